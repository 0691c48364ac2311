"""What every part of the bed needs: one error type, messages, the layout of a bed's folder, readable waits."""
import ctypes
import glob
import json
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BED = os.path.join(HERE, "bed")

# Short names people type, and the process they mean.
ALIASES = {
    "apiserver": "kube-apiserver", "api": "kube-apiserver",
    "controller-manager": "kube-controller-manager", "kcm": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "rabbit": "rabbitmq", "moto": "sqs",
}


libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class Fail(Exception):
    """An error for the user: one line that names the fix. `code` becomes the exit status."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


def say(message):
    """Progress goes to stderr: stdout belongs to what scripts read."""
    print("bed: " + message, file=sys.stderr, flush=True)


def full_name(name):
    return ALIASES.get(name, name)


def cache_root():
    explicit = os.environ.get("ASYA_BED_CACHE")
    if explicit:
        return os.path.abspath(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(os.path.abspath(base), "asya-operator")


class Layout:
    """Where things are inside the folder of one bed."""

    def __init__(self, directory):
        self.dir = os.path.abspath(directory)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def log(self, name):
        return self.path("logs", name + ".log")

    @property
    def state_file(self):
        return self.path("bed.json")

    def load(self):
        try:
            with open(self.state_file, encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            raise Fail(f"no bed in {self.dir}; start one with: bed up {self.dir}") from None

    def save(self, state):
        write_file(self.state_file, json.dumps(state, indent=1) + "\n")


def write_file(path, text, mode=0o644):
    """Whole or not at all: readers never see half a file. `mode` holds from the first byte on."""
    temp = f"{path}.tmp-{os.getpid()}"
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(temp, path)


def tail(path, lines=1):
    """The last non-empty lines of a log, for error messages."""
    try:
        with open(path, "rb") as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - 16384))
            text = f.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def poll(check, seconds, interval=0.05):
    """Calls `check` until it returns something true; returns that, or None when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            return None
        time.sleep(interval)


def make_cgroup(name):
    """A control group in every hierarchy there is: one with version 2, one a controller with version 1."""
    hierarchies = ["/sys/fs/cgroup"] if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else glob.glob("/sys/fs/cgroup/*")
    for hierarchy in hierarchies:
        os.makedirs(os.path.join(hierarchy, name), exist_ok=True)


def remove_cgroup(name):
    """Removes a control group, of whatever version, and those below it; nobody may be left in it."""
    for root in [f"/sys/fs/cgroup/{name}"] + glob.glob(f"/sys/fs/cgroup/*/{name}"):
        for folder, _, _ in os.walk(root, topdown=False):
            if not poll(lambda folder=folder: try_rmdir(folder), 5):
                say(f"cgroup {folder} is still in use")


def try_rmdir(folder):
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def process_start(pid):
    """Start time of a live process (a pid alone may be reused), or None if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def process_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return "?"


def die_with_parent(parent, niceness=0):
    """A preexec_fn: the kernel kills the child as soon as its parent is gone, however that ended."""
    def in_child():
        os.nice(niceness)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above took effect
            os._exit(1)
    return in_child
