"""Container images without a registry: the pause image of a node, and `bed docker`, a dockerd that has a Debian base."""
import contextlib
import hashlib
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import tarfile
import time

from builder import build_lock, load_pins, run_watched
from common import Fail, cache_root, die_with_parent, poll, remove_cgroup, say, tail

PAUSE = "localhost/bed/pause:1"
PAUSE_C = """#include <signal.h>
#include <unistd.h>
static void end(int number) { _exit(0); (void)number; }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }
"""
BASE = "debian:bookworm-slim"
SLIM = ("./var/cache/apt/*", "./var/lib/apt/lists/*", "./usr/share/doc/*", "./usr/share/locale/*", "./usr/share/man/*")
PACKAGES = {"docker": "docker.io", "dockerd": "docker.io", "debootstrap": "debootstrap", "unshare": "util-linux",
            "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring"}

# dockerd has its mounts, process ids and /run for itself, so that all of it is gone when it is, however it ended.
FIRST = """set -e
resolv=$(readlink -f /etc/resolv.conf) servers=$(cat /etc/resolv.conf)
mount -t tmpfs tmpfs /run
[ -e "$resolv" ] || { mkdir -p "${resolv%/*}"; echo "$servers" >"$resolv"; }
"$@"
"""


def digest_of(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def ensure_pause():
    """A docker archive of one static program that waits to be ended: what holds a pod's namespaces."""
    folder = os.path.join(cache_root(), "pause-" + digest_of(PAUSE, PAUSE_C, platform.machine())[:12])
    archive = os.path.join(folder, "pause.tar")
    if os.path.exists(archive):
        return archive
    os.makedirs(folder, exist_ok=True)
    program = os.path.join(folder, f"pause.{os.getpid()}")
    done = subprocess.run(["gcc", "-static", "-Os", "-s", "-o", program, "-x", "c", "-"], input=PAUSE_C,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False)
    if done.returncode:
        raise Fail(f"the pause program does not compile (apt-get install gcc libc6-dev?): {done.stdout.strip()}", 3)
    with open(program, "rb") as f:
        layer = tar_of({"pause": f.read()})
    os.unlink(program)
    config = json.dumps({"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()], "os": "linux",
                         "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}})
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"]}])
    with open(archive + f".{os.getpid()}", "wb") as f:
        f.write(tar_of({"config.json": config.encode(), "layer.tar": layer, "manifest.json": manifest.encode()}))
    os.rename(archive + f".{os.getpid()}", archive)
    return archive


def tar_of(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def run_docker(command):
    """Runs a command with DOCKER_HOST set to a dockerd of its own, which has the base image and keeps what was built."""
    missing = sorted({package for file, package in PACKAGES.items() if not shutil.which(file) and not os.path.exists(file)})
    if missing:
        raise Fail(f"`bed docker` needs: apt-get install --no-install-recommends {' '.join(missing)}", 3)
    if os.geteuid() != 0:
        raise Fail("`bed docker` needs root rights", 4)
    suite = load_pins("debian")
    root = os.path.join(cache_root(), "docker-" + digest_of(suite, SLIM, platform.machine())[:12])
    os.makedirs(root, exist_ok=True)
    with build_lock(root):  # one dockerd at a time has these files
        ensure_base(root, suite)
        with dockerd(root) as env:
            import_base(root, env)
            return subprocess.run(command, env=env, check=False).returncode


def ensure_base(root, suite):
    """A minimal Debian as a tar file: what Docker Hub has under the same name, made here."""
    archive = os.path.join(root, "base.tar")
    if os.path.exists(archive):
        return
    work = os.path.join(root, ".new-base")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    log = os.path.join(root, "debootstrap.log")
    run_watched(["debootstrap", "--variant=minbase", suite, os.path.join(work, "root")], "/", work, log, BASE)
    leave_out = [f"--exclude={pattern}" for pattern in SLIM]
    subprocess.run(["tar", "-C", os.path.join(work, "root")] + leave_out + ["-cf", os.path.join(work, "base.tar"), "."],
                   check=True)
    os.rename(os.path.join(work, "base.tar"), archive)
    shutil.rmtree(work)


@contextlib.contextmanager
def dockerd(root):
    cgroup = "asya-bed-" + os.path.basename(root)
    remove_cgroup(cgroup)  # of one that was killed
    socket = os.path.join(root, "docker.sock")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket)
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", FIRST, "docker",
            "dockerd", "--data-root", os.path.join(root, "data"), "--host", "unix://" + socket, "--iptables=false",
            "--ip6tables=false", "--bridge=none", "--cgroup-parent", "/" + cgroup]
    log = os.path.join(root, "dockerd.log")
    with open(log, "wb") as out:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                                 preexec_fn=die_with_parent(os.getpid()))
    env = dict(os.environ, DOCKER_HOST="unix://" + socket, DOCKER_BUILDKIT="0")
    try:
        if not poll(lambda: docker(env, "version").returncode == 0, 60, 0.2):
            raise Fail(f"dockerd does not serve; see {log}:\n{tail(log, 5)}")
        yield env
    finally:
        stop(child)
        remove_cgroup(cgroup)


def stop(child):
    """dockerd is asked to end, so that its files are whole; then everything that is left is killed."""
    for pid in children(child.pid):
        for grandchild in children(pid):
            os.kill(grandchild, signal.SIGTERM)
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def children(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
            return [int(word) for word in f.read().split()]
    return []


def docker(env, *arguments):
    return subprocess.run(["docker"] + list(arguments), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, check=False)


def import_base(root, env):
    if docker(env, "image", "inspect", BASE).returncode == 0:
        return
    started = time.monotonic()
    done = docker(env, "import", os.path.join(root, "base.tar"), BASE)
    if done.returncode:
        raise Fail(f"docker does not take the base image: {done.stdout.strip()}")
    say(f"build: {BASE} imported in {time.monotonic() - started:.0f} s")
