"""The KWOK configuration of a bed: how nodes and pods are played."""
import glob
import json
import os

from common import Fail, HERE, write_file

PLAYED = "kwok.x-k8s.io/node=fake"  # annotation of nodes that are played

# Nodes and deletion are KWOK's own; how pods run, end and fail is ours (stages/).
REPLACED = {"pod-complete.yaml"}  # KWOK's knows nothing of faults
CONFIGURATION = {
    "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
    "kind": "KwokConfiguration",
    "options": {
        "manageAllNodes": True, "manageNodesWithAnnotationSelector": "", "manageNodesWithLabelSelector": "",
        "enablePodsOnNodeSyncStreamWatch": True, "cidr": "10.244.0.0/16", "nodeLeaseDurationSeconds": 40,
        "nodeLeaseParallelism": 4, "nodePlayStageParallelism": 4, "podPlayStageParallelism": 16,
    },
}


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError as error:
        raise Fail(f"cannot read stage file {path}: {error.strerror}") from None


def fault_stages():
    """stages/fault.yaml.in once for each row of stages/faults.json."""
    folder = os.path.join(HERE, "stages")
    template = read(os.path.join(folder, "fault.yaml.in"))
    faults = json.loads(read(os.path.join(folder, "faults.json")))
    defaults = faults.pop("*")
    for name, row in faults.items():
        text = template.replace("@name@", name)
        for key, value in dict(defaults, **row).items():
            text = text.replace(f"@{key}@", json.dumps(value) if not isinstance(value, str) else value)
        yield text


def write_config(path, upstream, extra, others):
    """`others`: there are nodes that are not ours to play."""
    files = sorted(path for path in glob.glob(os.path.join(upstream, "*.yaml")) if os.path.basename(path) not in REPLACED)
    files += sorted(glob.glob(os.path.join(HERE, "stages", "*.yaml"))) + list(extra)
    configuration = CONFIGURATION
    if others:
        options = dict(configuration["options"], manageAllNodes=False, manageNodesWithAnnotationSelector=PLAYED)
        configuration = dict(configuration, options=options)
    documents = [json.dumps(configuration)] + [read(file) for file in files] + list(fault_stages())
    write_file(path, "\n---\n".join(documents))
