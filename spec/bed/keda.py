"""A real KEDA (`bed up --keda`): its operator, its metrics server behind the API server's aggregation, and its admission webhooks.

They are components like the others and run beside the control plane; what KEDA's own manifests would install is here only
as far as the API server has to know of them.
"""
import base64
import os

import brokers
import pki
from common import Fail, write_file

PART = "keda"  # the pins of these; a cache folder of its own, since they take long to build and few need them
COMPONENTS = ("keda-operator", "keda-adapter", "keda-webhooks")
PORTS = ("keda-operator", "keda-operator-health", "keda-operator-metrics", "keda-adapter", "keda-adapter-metrics",
         "keda-webhooks", "keda-webhooks-health", "keda-webhooks-metrics")
NAMESPACE = "keda"
FRONT_PROXY = "front-proxy-client"
WEBHOOKS = {"scaledobject": "scaledobjects", "scaledjob": "scaledjobs", "triggerauthentication": "triggerauthentications"}


def apiserver_argv(folder):
    """What aggregation takes: the API server forwards requests for external.metrics.k8s.io in the caller's name."""
    return ["--requestheader-client-ca-file", os.path.join(folder, "ca.crt"), "--requestheader-allowed-names", FRONT_PROXY,
            "--requestheader-username-headers", "X-Remote-User", "--requestheader-group-headers", "X-Remote-Group",
            "--requestheader-extra-headers-prefix", "X-Remote-Extra-",
            "--proxy-client-cert-file", os.path.join(folder, "front-proxy.crt"),
            "--proxy-client-key-file", os.path.join(folder, "front-proxy.key")]


def controller_manager_argv():
    """Tests should not wait the 15 s of the default for each step of an autoscaler."""
    return ["--horizontal-pod-autoscaler-sync-period", "2s"]


def make_certificates(layout):
    """One pair that all three show each other and the API server, in a folder as KEDA mounts it."""
    folder, certs = layout.path("pki"), layout.path("pki", "keda")
    pki.make_certificate(folder, "front-proxy", FRONT_PROXY)
    pki.make_certificate(folder, "keda", "keda", use="both")
    os.makedirs(certs, mode=0o700, exist_ok=True)
    for source, name in (("keda.crt", "tls.crt"), ("keda.key", "tls.key"), ("ca.crt", "ca.crt")):
        with open(os.path.join(folder, source), encoding="utf-8") as f:
            write_file(os.path.join(certs, name), f.read(), 0o600)
    return certs


def start(bed, cache):
    layout, ports = bed.layout, bed.state["ports"]
    certs, config = layout.path("pki", "keda"), bed.conf("keda-client.kubeconfig")
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": layout.path("data"), "WATCH_NAMESPACE": "",
           "POD_NAMESPACE": NAMESPACE, "POD_NAME": "keda", "OPERATOR_NAME": "keda", "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
           "AWS_EC2_METADATA_DISABLED": "true", **brokers.roles_env(bed.state)}
    local = {name: f"127.0.0.1:{ports[name]}" for name in PORTS}
    argv = {
        "keda-operator": ["--cert-dir", certs, "--leader-elect=false", "--metrics-service-bind-address", local["keda-operator"],
                          "--health-probe-bind-address", local["keda-operator-health"],
                          "--metrics-bind-address", local["keda-operator-metrics"], "--enable-webhook-patching=false",
                          "--enable-apiservice-patching=false", "--zap-encoder", "console"],
        "keda-adapter": ["--cert-dir", certs, "--bind-address", "127.0.0.1", "--secure-port", str(ports["keda-adapter"]),
                         "--port", str(ports["keda-adapter-metrics"]), "--client-ca-file", os.path.join(certs, "ca.crt"),
                         "--tls-cert-file", os.path.join(certs, "tls.crt"),
                         "--tls-private-key-file", os.path.join(certs, "tls.key"),
                         "--metrics-service-address", f"localhost:{ports['keda-operator']}",
                         "--lister-kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config],
        "keda-webhooks": ["--cert-dir", certs, "--port", str(ports["keda-webhooks"]),
                          "--health-probe-bind-address", local["keda-webhooks-health"],
                          "--metrics-bind-address", local["keda-webhooks-metrics"]],
    }
    for name in COMPONENTS:
        bed.define(name, {"argv": [cache.path(name), "--kubeconfig", config] + argv[name], "env": env, "cwd": layout.dir})


def objects(bed):
    """What the API server has to know: the metrics' group and who answers for it, and the webhooks."""
    with open(bed.layout.path("pki", "ca.crt"), "rb") as f:
        authority = base64.b64encode(f.read()).decode()
    ports, service = bed.state["ports"], "keda-metrics-apiserver"
    webhooks = [{
        "name": f"v{word}.kb.io", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 10,
        "clientConfig": {"url": f"https://localhost:{ports['keda-webhooks']}/validate-keda-sh-v1alpha1-{word}", "caBundle": authority},
        "rules": [{"apiGroups": ["keda.sh"], "apiVersions": ["v1alpha1"], "operations": ["CREATE", "UPDATE"], "resources": [plural]}],
    } for word, plural in WEBHOOKS.items()]
    return [
        ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        (f"/api/v1/namespaces/{NAMESPACE}/services",
         {"apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
          "spec": {"type": "ExternalName", "externalName": "localhost"}}),
        ("/apis/apiregistration.k8s.io/v1/apiservices",
         {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
          "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                   "insecureSkipTLSVerify": True,
                   "service": {"name": service, "namespace": NAMESPACE, "port": ports["keda-adapter"]}}}),
        ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
         {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
          "metadata": {"name": "keda-admission"}, "webhooks": webhooks}),
    ]


def register(bed, api):
    """Once the webhooks serve: nothing of KEDA's kinds could be written before."""
    for path, body in objects(bed):
        status, answer = api.call("POST", path, body)
        if status not in (201, 409):
            raise Fail(f"KEDA's {body['kind']} cannot be created: {status} {answer}")


def metrics_served(api):
    status, service = api.call("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io")
    return status == 200 and any(c["type"] == "Available" and c["status"] == "True"
                                 for c in service.get("status", {}).get("conditions", []))
