"""What the tests of the runtime script share: the real script as a process, and a sidecar's side of the socket."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "policies", "asya_runtime.py")
PYTHON = os.environ.get("ASYA_TEST_PYTHON", sys.executable)
DEADLINE = 20.0


def envelope(payload=None, **changes):
    """A request as a queue delivers it; a change to Ellipsis removes the key."""
    message = {"id": "m-1", "route": {"actors": ["a", "b", "c"], "current": 0}, "payload": payload}
    message.update(changes)
    return {key: value for key, value in message.items() if value is not ...}


def frame(body):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode("utf-8")
    return struct.pack("!I", len(body)) + body


def read_to_end(connection):
    data = b""
    while True:
        chunk = connection.recv(1 << 20)
        if not chunk:
            return data
        data += chunk


def decode(data):
    """The reply in what came until the end of the connection: exactly one frame of strict JSON, or nothing."""
    if not data:
        return None
    (length,) = struct.unpack("!I", data[:4])
    assert length == len(data) - 4, "a frame of %d bytes says %d" % (len(data) - 4, length)

    def refuse(word):
        raise AssertionError("%s is not JSON" % word)

    return json.loads(data[4:].decode("utf-8"), parse_constant=refuse)


class Runtime:
    """One process of the script with a handler module of its own."""

    def __init__(self, source, handler="app.handle", **env):
        self.directory = tempfile.mkdtemp(prefix="asya-")
        self.sockets = os.path.join(self.directory, "run")
        self.socket_path = os.path.join(self.sockets, "asya-runtime.sock")
        self.ready_path = os.path.join(self.sockets, "runtime-ready")
        self.write("app.py", source)
        self.env = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": self.directory, "PYTHONDONTWRITEBYTECODE": "1",
                    "ASYA_HANDLER": handler, "ASYA_SOCKET_DIR": self.sockets}
        self.env.update({key: value for key, value in env.items() if value is not None})
        for key in [key for key, value in env.items() if value is None]:
            self.env.pop(key, None)
        self.process = None

    def write(self, name, source):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(textwrap.dedent(source))

    def start(self, ready=True):
        with open(self.path("stderr"), "a") as log:
            self.process = subprocess.Popen([PYTHON, SCRIPT], env=self.env, stderr=log, stdout=subprocess.DEVNULL)
        if ready:
            self.wait_until(lambda: os.path.exists(self.ready_path) and os.path.getsize(self.ready_path), "the file runtime-ready, and its text")
        return self

    def path(self, name):
        return os.path.join(self.directory, name)

    def log(self):
        with open(self.path("stderr")) as file:
            return file.read()

    def wait_until(self, condition, what):
        end = time.monotonic() + DEADLINE
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError("ended with %s, no %s:\n%s" % (self.process.returncode, what, self.log()))
            if time.monotonic() > end:
                raise AssertionError("no %s:\n%s" % (what, self.log()))
            time.sleep(0.005)

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.socket_path)  # waits while the backlog is full, which it would not with a timeout
        except OSError:
            connection.close()
            raise
        connection.settimeout(DEADLINE)
        return connection

    def exchange(self, data, end_of_writing=False):
        """Sends bytes and returns the reply, None if the connection ended without one."""
        with self.connect() as connection:
            connection.sendall(data)
            if end_of_writing:
                connection.shutdown(socket.SHUT_WR)
            return decode(read_to_end(connection))

    def ask(self, message):
        return self.exchange(frame(message))

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=DEADLINE):
        return self.process.wait(timeout)

    def files(self):
        return sorted(os.listdir(self.sockets)) if os.path.isdir(self.sockets) else []

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class RuntimeCase(unittest.TestCase):
    """A test with runtimes. SOURCE, ENV: one for the whole class, started once."""

    SOURCE = None
    ENV = {}
    shared = None

    @classmethod
    def setUpClass(cls):
        if cls.SOURCE is not None:
            cls.shared = Runtime(cls.SOURCE, **cls.ENV)
            cls.addClassCleanup(cls.shared.close)
            cls.shared.start()

    def runtime(self, source="", handler="app.handle", **env):
        made = Runtime(source, handler, **env)
        self.addCleanup(made.close)
        return made

    def ask(self, message):
        return self.shared.ask(message)

    def fails(self, message, source="", handler="app.handle", **env):
        """A runtime that must refuse to start, leaving nothing behind. Returns its log."""
        made = self.runtime(source, handler, **env)
        made.start(ready=False)
        self.assertEqual(1, made.wait(), made.log())
        self.assertIn("CRITICAL", made.log())
        self.assertIn(message, made.log())
        self.assertEqual([], made.files())
        return made.log()

    def assert_error(self, reply, code, message=None, kind=None):
        self.assertIsInstance(reply, list, "no reply")
        self.assertEqual([code], [item.get("error") for item in reply])
        details = reply[0]["details"]
        self.assertEqual({"message", "type", "traceback"}, set(details))
        self.assertTrue(details["traceback"])
        if message is not None:
            self.assertIn(message, details["message"])
        if kind is not None:
            self.assertEqual(kind, details["type"])

    def assert_alive(self):
        """The process serves on after whatever the test did to it."""
        self.assertEqual([1], [len(self.shared.ask(envelope("still there")))])
