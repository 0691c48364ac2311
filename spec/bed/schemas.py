#!/usr/bin/env python3
"""Prints crds/openapi/schemas.json: of the API server's OpenAPI v3 schemas what is needed to check the children that our policies make.

    eval "$(spec/bed/bed env DIR)"; spec/bed/schemas.py > crds/openapi/schemas.json     # a bed that was started with --keda-crds

Names and types only, no descriptions; one definition a line, so that a diff shows what an upgrade of Kubernetes or KEDA changed.
"""
import json
import subprocess

KINDS = {
    "api/v1": ["ConfigMap", "ServiceAccount"],
    "apis/apps/v1": ["Deployment", "StatefulSet"],
    "apis/batch/v1": ["Job"],
    "apis/keda.sh/v1alpha1": ["TriggerAuthentication", "ScaledObject", "ScaledJob"],
}
GVK = "x-kubernetes-group-version-kind"
LISTS = ("allOf", "oneOf", "anyOf")
SINGLE = ("items", "additionalProperties")
PLAIN = ("type", "format", "$ref", "required", "enum", "default", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
         "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")


def trim(schema):
    if not isinstance(schema, dict):
        return schema
    out = {key: schema[key] for key in PLAIN if key in schema}
    out.update({key: trim(schema[key]) for key in SINGLE if key in schema})
    out.update({key: [trim(each) for each in schema[key]] for key in LISTS if key in schema})
    if "properties" in schema:
        out["properties"] = {name: trim(each) for name, each in schema["properties"].items()}
    return out


def references(schema):
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rsplit("/", 1)[1]
        for each in schema.values():
            yield from references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from references(each)


def collect(path, kinds, out):
    text = subprocess.run(["kubectl", "get", "--raw", "/openapi/v3/" + path], check=True, capture_output=True).stdout
    schemas = json.loads(text)["components"]["schemas"]
    roots = {name for name, each in schemas.items()
             if any(gvk["kind"] in kinds for gvk in each.get(GVK, [])) and not name.endswith("List")}
    todo = sorted(roots)
    while todo:
        name = todo.pop()
        if name in out:
            continue
        out[name] = trim(schemas[name])
        if name in roots:
            out[name]["properties"].pop("status", None)  # never rendered
            out[name][GVK] = schemas[name][GVK]
        todo += references(out[name])


def main():
    out = {}
    for path, kinds in KINDS.items():
        collect(path, kinds, out)
    lines = [f"{json.dumps(name)}:{json.dumps(out[name], sort_keys=True, separators=(',', ':'))}" for name in sorted(out)]
    print('{"components":{"schemas":{\n' + ",\n".join(lines) + "\n}}}")


if __name__ == "__main__":
    main()
