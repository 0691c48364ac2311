"""The process that owns a bed: starts its components, keeps their ports, and takes them all along when it goes.

    python3 bed supervise DIR OWNER_PID OWNER_START

It listens on DIR/run/control.sock and answers JSON lines. It knows nothing of Kubernetes: `bed` tells it what to run.
Three nets hold the children: each dies with this process (PR_SET_PDEATHSIG), this process ends when its owner is gone,
and grandchildren that were orphaned come back to it (PR_SET_CHILD_SUBREAPER) and are killed at the end.
"""
import fcntl
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time

from common import Layout, die_with_parent, libc, process_start, remove_cgroup, write_file

PR_SET_CHILD_SUBREAPER = 36
TICK = 0.2
# Below Linux's range for outgoing connections, so that a stopped server finds its port free when it comes back.
PORTS = (20000, 32000)


class Ports:
    """Free ports, each reserved among beds by a file lock that lasts as long as this process."""

    def __init__(self):
        self.folder = os.path.join(tempfile.gettempdir(), f"asya-bed-ports-{os.getuid()}")
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.locks = []

    def take(self, count):
        taken = []
        while len(taken) < count:
            port = random.randrange(*PORTS)
            if self.reserve(port):
                taken.append(port)
        return taken

    def reserve(self, port):
        fd = os.open(os.path.join(self.folder, str(port)), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(fd)
            return False
        self.locks.append(fd)
        return True


class Children:
    """The components by name, and how to start, stop and reap them."""

    def __init__(self, layout):
        self.layout = layout
        self.specs = {}     # name -> {"argv", "env", "cwd"}
        self.pids = {}      # name -> pid of the running process
        self.endings = {}   # name -> how the last process ended

    def start(self, name):
        if name in self.pids:
            return self.pids[name]
        spec = self.specs[name]
        env = dict(spec["env"], BED_DIR=self.layout.dir)  # by this one finds all processes of a bed
        with open(self.layout.log(name), "ab") as log:
            child = subprocess.Popen(spec["argv"], env=env, cwd=spec["cwd"], stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, start_new_session=True,
                                     preexec_fn=die_with_parent(os.getpid()))
        child.returncode = 0  # reaped by reap(), not by Popen
        self.pids[name] = child.pid
        self.endings.pop(name, None)
        return child.pid

    def signal(self, name, number):
        for pid in family(self.pids[name]):
            send(pid, number)

    def stop(self, name):
        pid = self.pids.get(name)
        if pid is None:
            return
        while name in self.pids:
            for member in family(pid):
                send(member, signal.SIGKILL)
            self.reap()
            time.sleep(0.01)
        self.endings[name] = "stopped"

    def stop_all(self):
        """Kills every descendant, again and again until none is left."""
        while True:
            found = descendants(os.getpid())
            if not found:
                break
            for pid in found:
                send(pid, signal.SIGKILL)
            self.reap()
            time.sleep(0.01)

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, known in list(self.pids.items()):
                if known == pid:
                    del self.pids[name]
                    self.endings[name] = ending(status)
                    print(f"{name} (pid {pid}) {ending(status)}", flush=True)

    def status(self):
        return {name: {"pid": self.pids.get(name), "ended": self.endings.get(name)} for name in self.specs}


def ending(status):
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"exited with {os.WEXITSTATUS(status)}"


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def processes():
    """(pid, parent, session) of every process there is, zombies left out."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                    fields = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                yield int(entry), int(fields[1]), int(fields[3])


def family(root):
    """A process, its session (which orphans of it stay in), and all it ever started that still has a parent there."""
    return {pid for pid, _, session in processes() if session == root} | descendants(root) | {root}


def descendants(root):
    parents = {pid: parent for pid, parent, _ in processes()}
    found = {root}
    grown = True
    while grown:
        grown = False
        for pid, parent in parents.items():
            if parent in found and pid not in found:
                found.add(pid)
                grown = True
    return found - {root}


class Supervisor:
    def __init__(self, directory, owner, owner_start):
        self.layout = Layout(directory)
        self.owner, self.owner_start = owner, owner_start
        self.children = Children(self.layout)
        self.ports = Ports()
        self.selector = selectors.DefaultSelector()
        self.buffers = {}
        self.starter = None     # the connection of `bed up`, until it says that the bed is complete
        self.ending = None      # why we end
        self.cgroup = None      # what no namespace takes along

    def run(self):
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.on_signal)
        listener = self.listen()
        self.selector.register(listener, selectors.EVENT_READ, None)
        while not self.ending:
            for key, _ in self.selector.select(TICK):
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    self.selector.register(connection, selectors.EVENT_READ)
                    self.buffers[connection] = b""
                else:
                    self.read(key.fileobj)
            self.children.reap()
            if self.owner and process_start(self.owner) != self.owner_start:
                self.ending = f"owner process {self.owner} is gone"
        print(f"ending: {self.ending}", flush=True)
        self.children.stop_all()
        if self.cgroup:
            remove_cgroup(self.cgroup)
        for connection in self.buffers:  # the asker of `down` learns it by our answer
            try:
                connection.sendall(b'{"ok": true}\n')
            except OSError:
                pass

    def on_signal(self, number, _frame):
        self.ending = f"signal {number}"

    def listen(self):
        # A socket's path is short (108 bytes), a test's folder may be deep: bind by a relative name.
        os.chdir(self.layout.path("run"))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("control.new")
        listener.listen(16)
        os.chmod("control.new", 0o600)
        os.rename("control.new", "control.sock")
        os.chdir("/")
        write_file(self.layout.path("run", "supervisor.pid"), f"{os.getpid()}\n")
        return listener

    def read(self, connection):
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(connection)
            del self.buffers[connection]
            connection.close()
            if connection is self.starter:
                self.ending = "`bed up` ended before the bed was complete"
            return
        self.buffers[connection] += data
        while b"\n" in self.buffers.get(connection, b"") and not self.ending:
            line, _, self.buffers[connection] = self.buffers[connection].partition(b"\n")
            try:
                answer = self.answer(connection, json.loads(line))
            except Exception as error:  # one bad request must not take the bed down
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            if answer is not None:
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def answer(self, connection, request):
        op, name = request["op"], request.get("name")
        children = self.children
        if op == "define":
            children.specs[name] = request["spec"]
        elif op in ("start", "stop", "signal") and name not in children.specs:
            return {"ok": False, "error": f"no component {name!r} here; there are: {', '.join(children.specs)}"}
        elif op == "start":
            return {"ok": True, "pid": children.start(name)}
        elif op == "stop":
            children.stop(name)
        elif op == "signal":
            if name not in children.pids:
                return {"ok": False, "error": f"{name} does not run"}
            children.signal(name, request["number"])
        elif op == "ports":
            return {"ok": True, "ports": self.ports.take(request["count"])}
        elif op == "reserve":
            return {"ok": self.ports.reserve(request["port"]), "error": f"port {request['port']} is in use"}
        elif op == "cgroup":
            self.cgroup = name
        elif op == "starting":
            self.starter = connection
        elif op == "complete":
            self.starter = None
        elif op == "down":
            self.ending = "bed down"
            return None
        elif op != "status":
            return {"ok": False, "error": f"unknown op {op!r}"}
        return {"ok": True, "pid": os.getpid(), "owner": self.owner, "components": children.status()}


def main(arguments):
    directory, owner, owner_start = arguments[0], int(arguments[1]), int(arguments[2])
    Supervisor(directory, owner, owner_start).run()
    sys.exit(0)
