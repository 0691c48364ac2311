"""The real node of a bed (`bed up --node`): one containerd and one kubelet that run real containers.

Nothing of it can outlive the bed, because everything hangs on namespaces that end with their processes: the whole bed has
a network of its own (the supervisor's), and containerd, kubelet and all containers have mounts and process ids of their
own (the component `node`, whose end is the end of all of them). What a namespace cannot hold, the cgroup, the supervisor
removes at its end.
"""
import hashlib
import json
import os
import shutil
import subprocess

import images
import pki
from common import Fail, cache_root, libc, make_cgroup, poll, tail, write_file

NAME = "real-node"
ADDRESS = "10.88.0.1"           # of the bridge: the node's address, and how pods reach RabbitMQ
POD_NETWORK = "10.88.0.0/16"
API_ADDRESS = "10.96.0.1"       # of the service `kubernetes`
SOCKET = "/run/containerd/containerd.sock"
PLUGINS = "/usr/lib/cni"
HIDDEN = ("/run", "/var/lib", "/var/log")  # the node has these for itself
CLONE_NEWNET = 0x40000000

# Nobody else has ports in the bed's own network: well-known ones are free.
PORTS = {"kube-apiserver": 443, "rabbitmq": 5672, "rabbitmq-management": 15672}

PACKAGES = {"containerd": "containerd", "ctr": "containerd", "runc": "runc", "ip": "iproute2", "unshare": "util-linux",
            "nsenter": "util-linux", "mount": "mount", os.path.join(PLUGINS, "bridge"): "containernetworking-plugins",
            "gcc": "gcc libc6-dev"}

# The first process of the node: sets up its mounts, then waits. Orphans come to it; ignoring SIGCHLD reaps them.
FIRST = """set -e
mount --make-rshared /
for folder in "$@"; do mount -t tmpfs tmpfs "$folder"; done
mkdir -p /run/containerd
trap '' CHLD
exec sleep infinity
"""


def missing_packages(needed):
    return sorted({package for command, package in needed.items() if not shutil.which(command)})


def require(layout):
    """Says what a machine lacks for a node: packages, or rights."""
    missing = missing_packages(PACKAGES)
    reason = "root rights are needed" if os.geteuid() else "" if missing else unable()
    if reason:
        raise Fail(f"this machine cannot run a node: {reason}", 4)
    if missing:
        raise Fail(f"a node needs: apt-get install --no-install-recommends {' '.join(missing)}", 3)
    for path in (layout.dir, cache_root()):
        for hidden in HIDDEN:
            if os.path.realpath(path).startswith(hidden + "/"):
                raise Fail(f"{path} is below {hidden}, which a node has for itself; take another folder")


def unable():
    """Why no node can run here: '' when it can. Everything it asks the kernel for is tried once."""
    script = """set -e
        ip link add bed-try type bridge
        mount -t tmpfs tmpfs /mnt
        mkdir /mnt/1 /mnt/2 /mnt/3 /mnt/4
        mount -t overlay overlay -o lowerdir=/mnt/1,upperdir=/mnt/2,workdir=/mnt/3 /mnt/4"""
    done = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, check=False)
    if done.returncode:
        return done.stdout.strip().replace("\n", "; ")
    if not any(os.path.exists(path) for path in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cgroup.controllers")):
        return "no memory cgroups in /sys/fs/cgroup"
    return ""


def cgroup_of(layout):
    return "asya-bed-" + hashlib.sha256(layout.dir.encode()).hexdigest()[:8]


def enter_network(pid):
    """From here on this process lives in the network of that one."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(fd, CLONE_NEWNET):
            raise Fail("the bed has a network of its own: only root can enter it")
    finally:
        os.close(fd)


def enter_bed(control, state):
    """Commands that talk to servers of a bed with a node must be in its network."""
    if state.get("node"):
        enter_network(control.ask("status")["pid"])


def ip(*arguments):
    done = subprocess.run(["ip"] + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, check=False)
    if done.returncode:
        raise Fail(f"ip {' '.join(arguments)}: {done.stdout.strip()}")


def make_network():
    """The bridge of the pods, and the API server's service address on the loopback: no kube-proxy is needed for that."""
    ip("link", "set", "lo", "up")
    ip("address", "add", API_ADDRESS + "/32", "dev", "lo")
    # An address that was given stays; otherwise it changes with the ports, and pods send to the old one for a while.
    ip("link", "add", "cni0", "address", "02:00:0a:58:00:01", "type", "bridge")
    ip("address", "add", ADDRESS + "/16", "dev", "cni0")
    ip("link", "set", "cni0", "up")


def write_wrapper(layout, pid, name, path):
    """A command that enters the bed's network by itself, so that it works in any shell."""
    os.makedirs(layout.path("bin"), exist_ok=True)
    write_file(layout.path("bin", name), f'#!/bin/sh\nexec nsenter --net=/proc/{pid}/ns/net {path} "$@"\n', 0o755)


def containerd_config(layout):
    return f"""version = 2
root = {json.dumps(layout.path("data", "containerd"))}
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{images.PAUSE}"
# Without CAP_SYS_RESOURCE runc may not lower a score, and dies of it.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = {json.dumps(layout.path("conf", "cni"))}
"""


def cni_config(layout):
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True,
              "ipam": {"type": "host-local", "dataDir": layout.path("data", "cni"),
                       "ranges": [[{"subnet": POD_NETWORK, "gateway": ADDRESS}]], "routes": [{"dst": "0.0.0.0/0"}]}}
    return {"cniVersion": "0.4.0", "name": "bed", "plugins": [bridge]}


def kubelet_config(layout):
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix://" + SOCKET,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                           "x509": {"clientCAFile": layout.path("pki", "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        # Bare cgroups of either version, all below one that the supervisor removes.
        "cgroupDriver": "cgroupfs", "cgroupRoot": "/" + cgroup_of(layout), "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [], "failCgroupV1": False, "failSwapOn": False,
        # The machine's own disk and memory are none of the tests' business.
        "evictionHard": {"memory.available": "1Mi"}, "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "resolvConf": layout.path("conf", "resolv.conf"), "makeIPTablesUtilChains": False,
        "volumePluginDir": layout.path("data", "flexvolume"), "nodeStatusUpdateFrequency": "5s",
    }


def start(bed):
    """Starts containerd (which needs nobody) and takes the pause image in; the kubelet comes when the API server serves."""
    layout = bed.layout
    os.makedirs(layout.path("conf", "cni"))
    write_file(layout.path("conf", "cni", "bed.conflist"), json.dumps(cni_config(layout)))
    write_file(layout.path("conf", "resolv.conf"), "")
    write_file(layout.path("conf", "containerd.toml"), containerd_config(layout))
    write_file(layout.path("conf", "kubelet.json"), json.dumps(kubelet_config(layout)))
    bed.control.ask("cgroup", name=cgroup_of(layout))
    make_cgroup(cgroup_of(layout))
    env = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "HOME": layout.path("data")}
    first = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", FIRST, "node"]
    bed.define("node", {"argv": first + list(HIDDEN), "env": env, "cwd": layout.dir})
    bed.state["node"] = {"pid": bed.control.ask("start", name="node")["pid"]}
    if not poll(lambda: inside(bed.state, "test", "-d", "/run/containerd").returncode == 0, 10):
        raise Fail(f"the node's namespaces are not there; see {layout.log('node')}:\n{tail(layout.log('node'), 5)}")
    containerd = ["containerd", "--config", layout.path("conf", "containerd.toml")]
    bed.define("containerd", {"argv": entering(bed.state) + containerd, "env": env, "cwd": layout.dir})


def entering(state):
    """The command that enters the node's mounts and process ids."""
    pid = state["node"]["pid"]
    return ["nsenter", f"--mount=/proc/{pid}/ns/mnt", f"--pid=/proc/{pid}/ns/pid_for_children", "--"]


def inside(state, *command, stdin=subprocess.DEVNULL):
    return subprocess.run(entering(state) + list(command), stdin=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, check=False)


def join(bed, kubelet):
    """Makes the node a member of the cluster."""
    layout, folder = bed.layout, bed.layout.path("pki")
    if not poll(lambda: inside(bed.state, "ctr", "-a", SOCKET, "version").returncode == 0, 30):
        raise Fail(f"containerd does not serve; see {layout.log('containerd')}:\n{tail(layout.log('containerd'), 5)}")
    load(bed.state, images.ensure_pause())
    pki.make_certificate(folder, "kubelet", "system:node:" + NAME, ["system:nodes"])
    pki.write_kubeconfig(bed.conf("kubelet.kubeconfig"), folder, "kubelet", bed.state["ports"]["kube-apiserver"])
    argv = entering(bed.state) + [kubelet, "--kubeconfig", bed.conf("kubelet.kubeconfig"),
                                  "--config", bed.conf("kubelet.json"), "--hostname-override", NAME, "--node-ip", ADDRESS,
                                  "--root-dir", layout.path("data", "kubelet")]
    env = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "HOME": layout.path("data")}
    bed.define("kubelet", {"argv": argv, "env": env, "cwd": layout.dir})


def load(state, path):
    """Gives the node an image: a file made by `docker save`."""
    with open(path, "rb") as archive:
        done = inside(state, "ctr", "-a", SOCKET, "-n", "k8s.io", "images", "import", "-", stdin=archive)
    if done.returncode:
        raise Fail(f"containerd does not take {path}: {done.stdout.strip()}")


def apiserver_argv(folder):
    """How the API server reaches the kubelet (logs, exec, port-forward): as the admin, who may all that."""
    return ["--kubelet-client-certificate", os.path.join(folder, "admin.crt"),
            "--kubelet-client-key", os.path.join(folder, "admin.key"), "--kubelet-preferred-address-types", "InternalIP"]


def usable(api):
    status, node = api.call("GET", f"/api/v1/nodes/{NAME}")
    if status != 200 or node["spec"].get("taints"):
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
