"""bed up and bed down: a control plane with played nodes, everything inside one folder."""
import json
import os
import shutil
import subprocess
import time

import brokers
import builder
import keda
import node
import pki
import stages
from common import Fail, Layout, poll, process_name, remove_cgroup, say, write_file
from control import Api, Control, launch_supervisor, probe, wait_ready

NODE = "bed-node"
SERVICE_NETWORK = "10.96.0.0/16"
OURS = ("bin", "conf", "data", "kubeconfig", "logs", "pki", "run", "audit.log", "bed.json", "env")
PATIENCE = int(os.environ.get("BED_TIMEOUT", "120"))

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
    # One line per request (watches: one when they open, one when they end).
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class Bed:
    """A bed while it is being brought up."""

    def __init__(self, options):
        self.options = options
        self.layout = Layout(options.dir)
        self.kwok = options.kwok
        self.state = {"ports": {}, "proxies": {}}
        self.supervisor = None  # its process id
        self.control = None
        self.cache = None
        self.oldest = None      # the cache of the oldest servers, and of the kubelet
        self.keda = None        # the cache of KEDA

    def up(self):
        started = time.monotonic()
        if self.options.rabbitmq:
            brokers.require_rabbitmq()
        if self.options.node:
            node.require(self.layout)
        self.cache = builder.ensure(self.needed())
        self.oldest = builder.ensure(self.needed_oldest(), builder.OLDEST) if self.needed_oldest() else None
        self.keda = builder.ensure(None, keda.PART) if self.options.keda else None
        if self.options.sqs:
            builder.ensure_moto()
        prepare_folder(self.layout)
        owner = os.getppid() if self.options.owner_pid is None else self.options.owner_pid
        self.supervisor = launch_supervisor(self.layout, owner, self.options.node)
        if self.options.node:
            node.enter_network(self.supervisor)
            node.make_network()
            commands = {name: self.cache.path(name) for name in ("kubectl", "helm")}
            commands["bed-curl"] = "curl"  # beside curl: other things are asked for from outside
            for name, path in commands.items():
                node.write_wrapper(self.layout, self.supervisor, name, path)
        self.control = Control(self.layout)
        self.control.ask("starting")  # from here on, our end before "complete" is the bed's end
        try:
            self.bring_up()
        except BaseException:
            self.control.ask("down")
            raise
        self.control.ask("complete")
        lives = f"lives as long as process {owner} ({process_name(owner)})" if owner else "lives until `bed down`"
        say(f"up in {time.monotonic() - started:.1f} s; {lives}")
        print(self.layout.path("kubeconfig"))

    def needed(self):
        names = [name for name in builder.CONTROL_PLANE if name not in self.needed_oldest()]
        if self.options.node:
            names.append("helm")
        if self.kwok:
            names += ["kwok", "kwok-stages"]
        if self.options.keda_crds or self.options.keda:
            names.append("keda-crds")
        return names

    def needed_oldest(self):
        names = ["kubelet"] if self.options.node else []
        return names + list(builder.SERVERS) if self.options.server == builder.OLDEST else names

    def bring_up(self):
        self.take_ports()
        self.start_brokers()  # RabbitMQ is the slowest to start, and needs nobody
        if self.options.node:
            node.start(self)
        pki_folder = self.layout.path("pki")
        pki.make_authority(pki_folder)
        pki.make_certificate(pki_folder, "apiserver", "kube-apiserver", use="server")
        pki.make_certificate(pki_folder, "admin", "bed-admin", ["system:masters"])
        if self.options.keda:
            keda.make_certificates(self.layout)
        write_file(self.layout.path("conf", "audit.json"), json.dumps(AUDIT_POLICY))
        self.start("etcd", etcd_argv(self))
        self.start("kube-apiserver", apiserver_argv(self))
        self.start_kubeconfigs()
        self.layout.save(self.state)
        self.wait("etcd")
        self.wait("kube-apiserver")
        self.start_controllers()
        api = Api(self.layout, self.state["ports"]["kube-apiserver"])
        if self.options.node:
            node.join(self, self.oldest.path("kubelet"))
        if self.kwok:
            make_node(api, self.options.node)
        self.apply_crds()
        if self.options.keda:
            keda.start(self, self.keda)
        self.wait_populated(api)
        for name in self.state["brokers"]:
            self.wait(name)
        if self.options.keda:
            self.finish_keda(api)
        if self.options.node:
            self.wait("kubelet")
        write_env(self.layout, self.state, self.values())

    def finish_keda(self, api):
        for name in keda.COMPONENTS:
            self.wait(name)
        keda.register(self, api)
        if not poll(lambda: keda.metrics_served(api), PATIENCE):
            raise Fail(f"KEDA's metrics are not served; see {self.layout.log('keda-adapter')}")

    def take_ports(self):
        names = ["etcd", "etcd-peer", "kube-apiserver"]
        if self.options.rabbitmq:
            names += ["epmd", "rabbitmq", "rabbitmq-dist"]
            if self.options.rabbitmq_management:
                names.append("rabbitmq-management")
        if self.options.sqs:
            names.append("sqs")
        if self.options.keda:
            names += keda.PORTS
        ports = self.control.ask("ports", count=len(names))["ports"]
        self.state["ports"] = dict(zip(names, ports))
        if self.options.node:
            self.state["ports"].update({name: port for name, port in node.PORTS.items() if name in names})

    def define(self, name, spec):
        self.control.ask("define", name=name, spec=spec)
        self.control.ask("start", name=name)

    def start(self, name, argv):
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.layout.path("data")}
        for key in ("GOMAXPROCS", "GOGC", "GOMEMLIMIT"):  # benchmarks tune these
            if key in os.environ:
                env[key] = os.environ[key]
        cache = self.oldest if name in self.needed_oldest() else self.cache
        self.define(name, {"argv": [cache.path(name)] + argv, "env": env, "cwd": self.layout.dir})

    def wait(self, name):
        wait_ready(self.control, self.state, name, PATIENCE)

    def start_brokers(self):
        ports, self.state["brokers"] = self.state["ports"], []
        if self.options.rabbitmq:
            bind = "0.0.0.0" if self.options.node else "127.0.0.1"
            for name, spec in brokers.rabbitmq_specs(self.layout, ports, self.options.rabbitmq_management, bind).items():
                self.define(name, spec)
                self.wait(name) if name == "epmd" else self.state["brokers"].append(name)
            if self.options.node:
                os.rename(self.layout.path("bin", "rabbitmqctl"), self.layout.path("bin", ".rabbitmqctl"))
                node.write_wrapper(self.layout, self.supervisor, "rabbitmqctl", self.layout.path("bin", ".rabbitmqctl"))
        if self.options.sqs:
            self.define("sqs", brokers.sqs_spec(self.layout, ports))
            self.state["brokers"].append("sqs")

    def start_kubeconfigs(self):
        """Made while the API server starts: who the other components are."""
        folder, port = self.layout.path("pki"), self.state["ports"]["kube-apiserver"]
        pki.write_kubeconfig(self.layout.path("kubeconfig"), folder, "admin", port)
        users = {"kube-controller-manager": ("system:kube-controller-manager", []),
                 "kube-scheduler": ("system:kube-scheduler", [])}
        if self.kwok:
            users["kwok"] = ("kwok", ["system:masters"])
        if self.options.keda:
            users["keda-client"] = ("keda", ["system:masters"])
        for name, (user, groups) in users.items():
            pki.make_certificate(folder, name, user, groups)
            pki.write_kubeconfig(self.layout.path("conf", name + ".kubeconfig"), folder, name, port)

    def start_controllers(self):
        self.start("kube-controller-manager", controller_manager_argv(self))
        self.start("kube-scheduler", scheduler_argv(self))
        if self.kwok:
            stages.write_config(self.layout.path("conf", "kwok.yaml"), self.cache.path("kwok-stages"),
                                self.options.stages, self.options.node)
            self.start("kwok", ["--kubeconfig", self.conf("kwok.kubeconfig"), "--config", self.conf("kwok.yaml")])

    def conf(self, name):
        return self.layout.path("conf", name)

    def apply_crds(self):
        paths = list(self.options.crds)
        if self.options.keda_crds or self.options.keda:
            paths.append(self.cache.path("keda-crds"))
        if not paths:
            return
        kubectl = [self.cache.path("kubectl"), "--kubeconfig", self.layout.path("kubeconfig")]
        files = [argument for path in paths for argument in ("-f", path)]

        def run(command):
            return subprocess.run(kubectl + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, universal_newlines=True, check=False)

        for command in (["apply", "--server-side"] + files, ["wait", "--for=condition=Established", "crd", "--all",
                                                             "--timeout=60s"]):
            done = run(command)
            if "accessor error" in done.stdout:  # kubectl gives up on a CRD that has no status yet
                time.sleep(2)
                done = run(command)
            if done.returncode:
                raise Fail(f"kubectl {command[0]} of the CRDs failed: {done.stdout.strip()}")

    def wait_populated(self, api):
        """What a client may count on: the default service accounts, and a node that takes pods."""
        paths = [f"/api/v1/namespaces/{namespace}/serviceaccounts/default" for namespace in ("default", "kube-system")]
        for path in paths:
            if not poll(lambda path=path: api.call("GET", path)[0] == 200, PATIENCE):
                raise Fail(f"no {path}; see {self.layout.log('kube-controller-manager')}")
        if self.kwok and not poll(lambda: node_usable(api), PATIENCE):
            raise Fail(f"node {NODE} is not Ready; see {self.layout.log('kwok')}")

    def values(self):
        ports, layout = self.state["ports"], self.layout
        values = {
            "KUBECONFIG": layout.path("kubeconfig"),
            "BED_DIR": layout.dir,
            "BED_BIN": self.cache.bin,
            "BED_SERVER": f"https://127.0.0.1:{ports['kube-apiserver']}",
            "BED_APISERVER_PORT": ports["kube-apiserver"],
            "BED_CA": layout.path("pki", "ca.crt"),
            "BED_AUDIT_LOG": layout.path("audit.log"),
            "BED_ETCD_URL": f"http://127.0.0.1:{ports['etcd']}",
        }
        if self.options.rabbitmq:
            address = node.ADDRESS if self.options.node else "127.0.0.1"
            values.update(brokers.rabbitmq_values(layout, ports, self.options.rabbitmq_management, address))
        if self.options.sqs:
            values.update(brokers.sqs_values(ports))
        if self.options.node:
            values.update(BED_NODE=node.NAME, BED_NODE_ADDRESS=node.ADDRESS)
        return values


def etcd_argv(bed):
    client, peer = (f"http://127.0.0.1:{bed.state['ports'][name]}" for name in ("etcd", "etcd-peer"))
    return ["--name", "bed", "--data-dir", bed.layout.path("data", "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
            "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"bed={peer}", "--quota-backend-bytes",
            "4294967296"]


def apiserver_argv(bed):
    folder, ports = bed.layout.path("pki"), bed.state["ports"]

    def key(name):
        return os.path.join(folder, name)

    return ["--etcd-servers", f"http://127.0.0.1:{ports['etcd']}",
            # In a network of its own it also serves the address of the service `kubernetes`.
            "--bind-address", "0.0.0.0" if bed.options.node else "127.0.0.1",
            "--secure-port", str(ports["kube-apiserver"]),
            # The `kubernetes` service may not point to loopback: nobody in a played pod would call it anyway.
            "--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none",
            "--cert-dir", bed.layout.path("data"), "--tls-cert-file", key("apiserver.crt"),
            "--tls-private-key-file", key("apiserver.key"), "--client-ca-file", key("ca.crt"),
            "--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
            "--service-account-key-file", key("sa.pub"), "--service-account-signing-key-file", key("sa.key"),
            "--service-cluster-ip-range", SERVICE_NETWORK, "--authorization-mode", "Node,RBAC", "--allow-privileged",
            # As some distributions have it: an owner reference that blocks deletion takes a right of its own.
            "--enable-admission-plugins", "OwnerReferencesPermissionEnforcement",
            "--audit-policy-file", bed.conf("audit.json"), "--audit-log-path", bed.layout.path("audit.log"),
            "--audit-log-maxsize", "4096", "--profiling=false"] + (
                node.apiserver_argv(folder) if bed.options.node else []) + (
                    keda.apiserver_argv(folder) if bed.options.keda else []) + list(bed.options.apiserver_arg)


def controller_manager_argv(bed):
    folder = bed.layout.path("pki")
    return ["--kubeconfig", bed.conf("kube-controller-manager.kubeconfig"), "--secure-port", "0",
            "--use-service-account-credentials", "--leader-elect=false", "--profiling=false",
            "--service-account-private-key-file", os.path.join(folder, "sa.key"),
            "--root-ca-file", os.path.join(folder, "ca.crt"), "--service-cluster-ip-range", SERVICE_NETWORK,
            # The defaults (20 a second) would make tests with many objects wait for it.
            "--kube-api-qps", "300", "--kube-api-burst", "600",
            # Without this it creates a folder in /usr/libexec.
            "--flex-volume-plugin-dir", bed.layout.path("data", "flexvolume")] + (
                keda.controller_manager_argv() if bed.options.keda else [])


def scheduler_argv(bed):
    return ["--kubeconfig", bed.conf("kube-scheduler.kubeconfig"), "--secure-port", "0", "--leader-elect=false",
            "--profiling=false", "--kube-api-qps", "300", "--kube-api-burst", "600"]


def make_node(api, beside_real):
    room = {"cpu": "1k", "memory": "4Ti", "ephemeral-storage": "16Ti", "pods": "100k"}
    labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
              "type": "kwok"}
    played = {"apiVersion": "v1", "kind": "Node", "status": {"allocatable": room, "capacity": room},
              "metadata": {"name": NODE, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}}
    if beside_real:  # pods come here only when they ask to
        played["spec"] = {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]}
    status, answer = api.call("POST", "/api/v1/nodes", played)
    if status not in (201, 409):
        raise Fail(f"the node cannot be created: {status} {answer}")


def node_usable(api):
    """Ready, and the node controller took its not-ready taint away (until then no pod is scheduled)."""
    status, played = api.call("GET", f"/api/v1/nodes/{NODE}")
    if status != 200:
        return False
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in played["status"].get("conditions", []))
    return ready and not any(t["key"].startswith("node.kubernetes.io/") for t in played["spec"].get("taints", []))


def prepare_folder(layout):
    """An empty folder, or one that a bed left."""
    if probe(layout):
        raise Fail(f"a bed runs in {layout.dir}; end it with: bed down {layout.dir}")
    os.makedirs(layout.dir, exist_ok=True)
    names = os.listdir(layout.dir)
    if names and not os.path.exists(layout.state_file):
        raise Fail(f"{layout.dir} is not empty and holds no bed; give another folder")
    for name in names:
        if name in OURS or name.startswith("kubeconfig-"):
            remove(layout.path(name))
    layout.save({"ports": {}, "proxies": {}})
    for name in ("conf", "data", "logs", "pki", "run"):
        os.makedirs(layout.path(name), mode=0o700 if name in ("pki", "run", "data") else 0o755)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def write_env(layout, state, values):
    state["env"] = {key: str(value) for key, value in values.items()}
    layout.save(state)
    write_file(layout.path("env"), "".join(f"{key}={value}\n" for key, value in state["env"].items()), 0o600)


def down(options):
    layout = Layout(options.dir)
    if not os.path.exists(layout.state_file):
        raise Fail(f"no bed in {layout.dir}")
    started = time.monotonic()
    if probe(layout):
        control = Control(layout)
        supervisor = control.ask("status")["pid"]
        control.ask("down")
        poll(lambda: not os.path.exists(f"/proc/{supervisor}"), 10, 0.01)
        logs = "" if options.purge else f"; logs stay in {layout.path('logs')}"
        say(f"down in {time.monotonic() - started:.1f} s{logs}")
    else:
        remove_cgroup(node.cgroup_of(layout))  # of a bed whose supervisor was killed
        say(f"no bed runs in {layout.dir}")
    if options.purge:
        for name in os.listdir(layout.dir):
            if name in OURS or name.startswith("kubeconfig-"):
                remove(layout.path(name))
        if not os.listdir(layout.dir):
            os.rmdir(layout.dir)
    elif os.path.isdir(layout.path("data")):
        shutil.rmtree(layout.path("data"), ignore_errors=True)
