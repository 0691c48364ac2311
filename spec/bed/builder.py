"""Builds the pinned tools from the Go module proxy into a cache outside the tree.

A folder bed-<key> in the cache holds one set of pins; a binary appears in it only when it is whole (built under
another name, then renamed), so an interrupted build is simply taken up again, and a file lock lets one build at a
time into the folder.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

from common import Fail, HERE, cache_root, die_with_parent, poll, say, tail, write_file

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
OLDEST = "oldest"  # the pins of the oldest servers we support, and of the kubelet; a cache folder of its own
FROM_ASSETS = ("etcd", "kube-apiserver", "kubectl")  # what a KUBEBUILDER_ASSETS folder is known to hold
HEARTBEAT = 15


def load_pins(part=None):
    with open(os.path.join(HERE, "pins.json"), encoding="utf-8") as f:
        pins = json.load(f)
    return pins[part] if part else pins


def assets():
    """Tools the user brings along: name -> path."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return {}
    found = {name: os.path.join(os.path.abspath(folder), name) for name in FROM_ASSETS}
    return {name: path for name, path in found.items() if os.access(path, os.X_OK)}


def cache_key(pins, brought):
    """Changes with whatever changes the built files: pins, go.mod and go.sum, platform, brought tools."""
    digest = hashlib.sha256()
    digest.update(json.dumps([pins["tools"], pins["files"], sorted(brought.items())], sort_keys=True).encode())
    digest.update(f"{platform.system()}/{platform.machine()}".encode())
    for module in sorted({entry["module"] for part in ("tools", "files") for entry in pins[part].values()}):
        for name in ("go.mod", "go.sum"):
            with open(os.path.join(HERE, "modules", module, name), "rb") as f:
                digest.update(f"\0{module}/{name}\0".encode() + f.read())
    return digest.hexdigest()[:12]


class Cache:
    """One bed-<key> folder."""

    def __init__(self, part=None):
        self.pins = load_pins(part)
        self.brought = {} if part else assets()
        self.root = os.path.join(cache_root(), "bed-" + cache_key(self.pins, self.brought))
        self.bin = os.path.join(self.root, "bin")

    def path(self, name):
        return os.path.join(self.bin if name in self.pins["tools"] else self.root, name)

    def names(self):
        return list(self.pins["tools"]) + list(self.pins["files"])

    def missing(self, names):
        return [name for name in names if not os.path.exists(self.path(name))]


def ensure(names=None, part=None):
    """Makes the named tools and files (default: all) present and returns their Cache."""
    cache = Cache(part)
    names = list(names or cache.names())
    unknown = [name for name in names if name not in cache.names()]
    if unknown:
        raise Fail(f"unknown tool {unknown[0]!r}; known: {', '.join(cache.names())}", 2)
    if not cache.missing(names):
        return cache
    os.makedirs(cache.bin, exist_ok=True)
    started = time.monotonic()
    with build_lock(cache.root):
        todo = cache.missing(names)  # another build may have made some while we waited
        sweep(cache)
        for number, name in enumerate(todo, 1):
            make_one(cache, name, f"{number} of {len(todo)}")
        sweep(cache)
    if todo:
        say(f"build: {len(todo)} made in {time.monotonic() - started:.0f} s, kept in {cache.root}")
    return cache


@contextlib.contextmanager
def build_lock(root):
    """Held by the builder; the file's text tells those who wait whom they wait for."""
    path = os.path.join(root, "lock")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        started = time.monotonic()
        while not try_lock(fd):
            with open(path, encoding="utf-8") as f:
                say(f"build: waiting for the build of process {f.read().strip() or '?'}, "
                    f"{time.monotonic() - started:.0f} s")
            poll(lambda: try_lock(fd), HEARTBEAT, 0.5)
        os.truncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)


def try_lock(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


def sweep(cache):
    """Removes what an interrupted build left; only called under the lock."""
    for folder in (cache.root, cache.bin):
        for name in os.listdir(folder):
            if name.startswith(".new-"):
                path = os.path.join(folder, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def make_one(cache, name, count):
    target = cache.path(name)
    fresh = os.path.join(os.path.dirname(target), ".new-" + name)
    if name in cache.brought:
        os.symlink(cache.brought[name], fresh)
        say(f"build: {name} ({count}) taken from KUBEBUILDER_ASSETS")
    elif name in cache.pins["files"]:
        copy_files(cache, name, fresh)
        say(f"build: {name} ({count}) copied from the module cache")
    else:
        build_tool(cache, name, fresh, count)
    os.rename(fresh, target)


def go_env():
    """The environment of go: ours decides how, the user's decides from where (GOPROXY, GOMODCACHE, ...)."""
    env = dict(os.environ)
    env.update(CGO_ENABLED="0", GOFLAGS="-mod=readonly -buildvcs=false", GOWORK="off", GO111MODULE="on")
    env.setdefault("GOTOOLCHAIN", "auto")
    return env


def require_go():
    if not shutil.which("go"):
        raise Fail("Go is missing: install Go 1.21 or later (https://go.dev/dl, or apt-get install golang-go) "
                   "and put `go` in PATH", 3)
    text = subprocess.run(["go", "env", "GOVERSION"], env=dict(os.environ, GOTOOLCHAIN="local"), cwd="/",
                          stdout=subprocess.PIPE, universal_newlines=True, check=False).stdout.strip()
    match = re.match(r"go(\d+)\.(\d+)", text)
    # An older go cannot fetch the toolchain that go.mod asks for.
    if match and (int(match.group(1)), int(match.group(2))) < (1, 21):
        raise Fail(f"{text} is too old: install Go 1.21 or later", 3)


def module_dir(cache, name):
    entry = cache.pins["tools"].get(name) or cache.pins["files"][name]
    return os.path.join(HERE, "modules", entry["module"])


def build_tool(cache, name, fresh, count):
    require_go()
    pin = cache.pins["tools"][name]
    flags = ["-s", "-w"]
    for package, variables in pin["set"].items():
        flags += [f"-X {package}.{variable}={value}" for variable, value in variables.items()]
    scratch = os.path.join(cache.root, ".new-scratch")  # go's own; a killed go leaves it behind, sweep() takes it
    os.makedirs(scratch, exist_ok=True)
    compile_go(["-trimpath", "-ldflags", " ".join(flags)], pin["package"], fresh, module_dir(cache, name), scratch,
               os.path.join(cache.root, name + ".log"), f"{name} ({count})")


def compile_go(flags, package, target, cwd, scratch, log, what):
    """Builds a Go program; while that lasts, says which package of how many is compiled."""
    with announced(what) as started:
        # Those that go has in its cache are neither counted nor compiled.
        watch(["go", "list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *flags, package], cwd, scratch, log, what, started)
        total = len(packages(log))
        watch(["go", "build", "-v", *flags, "-o", target, package], cwd, scratch, log, what, started, total)


def packages(log):
    """What a log of go names line by line, without its own words ("go: downloading ...", "# package", errors)."""
    with open(log, encoding="utf-8", errors="replace") as f:
        return [line.strip() for line in f if re.fullmatch(r"[\w.~/-]+\n", line)]


def progress(log, total):
    """What go is at, for people."""
    line, compiled = tail(log), packages(log) if total else []
    if line.startswith("go: downloading"):
        return f"({line})"
    return f"(package {len(compiled)} of {total}: {compiled[-1]})" if compiled else ""


@contextlib.contextmanager
def announced(what):
    """A line at the start and one with the time at the end."""
    started = time.monotonic()
    say(f"build: {what} ...")
    yield started
    say(f"build: {what} done in {time.monotonic() - started:.0f} s")


def run_watched(command, cwd, scratch, log, what):
    """Runs a long command quietly."""
    with announced(what) as started:
        watch(command, cwd, scratch, log, what, started)


def watch(command, cwd, scratch, log, what, started, total=0):
    """Runs a command with a heartbeat while it lasts. `total`: how many packages it compiles, when it does."""
    with open(log, "wb") as out:
        child = subprocess.Popen(command, cwd=cwd, env=dict(go_env(), GOTMPDIR=scratch), stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=out, start_new_session=True,
                                 preexec_fn=die_with_parent(os.getpid(), niceness=5))
    try:
        while True:
            try:
                status = child.wait(HEARTBEAT)
                break
            except subprocess.TimeoutExpired:
                say(f"build: {what} ... {time.monotonic() - started:.0f} s {progress(log, total)}".rstrip())
    except BaseException:
        # go starts compilers of its own: end the whole group, or they keep on working for nobody.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    if status:
        raise Fail(f"building {what} failed after {time.monotonic() - started:.0f} s; "
                   f"see {log}:\n{tail(log, 10)}")


def copy_files(cache, name, fresh):
    """Copies files out of a module of the module cache, its checksum verified by go."""
    require_go()
    pin = cache.pins["files"][name]
    done = subprocess.run(["go", "list", "-m", "-f", "{{.Path}}@{{.Version}}", pin["from"]],
                          cwd=module_dir(cache, name), env=go_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, check=False)
    if done.returncode:
        raise Fail(f"go cannot find module {pin['from']}: {done.stderr.strip()}")
    done = subprocess.run(["go", "mod", "download", "-json", done.stdout.strip()], cwd=module_dir(cache, name),
                          env=go_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                          check=False)
    if done.returncode:
        raise Fail(f"go cannot download module {pin['from']}: {(done.stderr or done.stdout).strip()}")
    source = json.loads(done.stdout)["Dir"]
    os.mkdir(fresh)
    for path in pin["paths"]:
        # The module cache is read-only: take the bytes, not the mode.
        with open(os.path.join(source, path), encoding="utf-8") as f:
            write_file(os.path.join(fresh, os.path.basename(path)), f.read())


def ensure_faults():
    """The proxy of `bed faults`, built of the sources in faults/ whenever they changed; returns its path. It takes no download."""
    folder = os.path.join(HERE, "faults")
    digest = hashlib.sha256(f"{platform.system()}/{platform.machine()}".encode())
    for name in sorted(name for name in os.listdir(folder) if name == "go.mod" or name.endswith(".go")):
        with open(os.path.join(folder, name), "rb") as f:
            digest.update(f"\0{name}\0".encode() + f.read())
    root = os.path.join(cache_root(), "faults-" + digest.hexdigest()[:12])
    target = os.path.join(root, "faults")
    if os.path.exists(target):
        return target
    require_go()
    os.makedirs(root, exist_ok=True)
    with build_lock(root):
        if not os.path.exists(target):
            fresh, scratch = os.path.join(root, ".new-faults"), os.path.join(root, ".new-scratch")
            os.makedirs(scratch, exist_ok=True)
            compile_go(["-trimpath"], ".", fresh, folder, scratch, os.path.join(root, "build.log"), "faults")
            os.rename(fresh, target)
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def ensure_moto():
    """A virtual environment with the pinned SQS server; returns the path of moto_server."""
    pins = load_pins()["pip"]["moto"]
    tag = hashlib.sha256(json.dumps([pins, platform.python_version(), platform.machine()]).encode()).hexdigest()[:12]
    root = os.path.join(cache_root(), "moto-" + tag)
    server = os.path.join(root, "bin", "moto_server")
    if os.path.exists(os.path.join(root, "complete")):
        return server
    os.makedirs(root, exist_ok=True)
    with build_lock(root):
        if not os.path.exists(os.path.join(root, "complete")):
            install_moto(root, pins)
    return server


def install_moto(root, pins):
    started = time.monotonic()
    say("build: moto_server (a Python environment of its own) ...")
    log = os.path.join(root, "install.log")
    with open(log, "wb") as out:
        for command in ([sys.executable, "-m", "venv", "--clear", os.path.join(root, "venv")],
                        [os.path.join(root, "venv", "bin", "pip"), "install", "--disable-pip-version-check"] + pins):
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False).returncode:
                raise Fail(f"installing moto failed (apt-get install python3-venv?); see {log}:\n{tail(log, 3)}", 3)
    with contextlib.suppress(FileExistsError):
        os.symlink("venv/bin", os.path.join(root, "bin"))
    write_file(os.path.join(root, "complete"), "")
    say(f"build: moto_server done in {time.monotonic() - started:.0f} s")
