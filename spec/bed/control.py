"""Talking to the supervisor of a bed, and to the servers it runs."""
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time

import node
from common import BED, Fail, Layout, poll, process_start, tail


class Control:
    """One connection to a bed's supervisor."""

    def __init__(self, layout):
        self.layout = layout
        self.socket = connect(layout)
        if self.socket is None:
            raise Fail(f"no bed runs in {layout.dir}; start one with: bed up {layout.dir}")
        self.reader = self.socket.makefile("rb")

    def ask(self, op, **fields):
        try:
            self.socket.sendall(json.dumps(dict(fields, op=op)).encode() + b"\n")
            line = self.reader.readline()
        except OSError:
            line = b""
        if not line:
            raise Fail(f"the bed's supervisor is gone; see {self.layout.log('supervisor')}")
        answer = json.loads(line)
        if not answer["ok"]:
            raise Fail(answer["error"])
        return answer


def connect(layout):
    """A connected socket, or None. By way of /proc, since a socket's path must be short and folders may be deep."""
    try:
        folder = os.open(layout.path("run"), os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(f"/proc/self/fd/{folder}/control.sock")
        return client
    except OSError:
        client.close()
        return None
    finally:
        os.close(folder)


def launch_supervisor(layout, owner, own_network=False):
    """Starts the supervisor, in a session of its own so that no Ctrl-C of a terminal reaches the servers."""
    network = ["unshare", "--net"] if own_network else []
    owner_start = 0
    if owner:
        owner_start = process_start(owner)
        if owner_start is None:
            raise Fail(f"--owner-pid {owner}: no such process")
    with open(layout.log("supervisor"), "ab") as log:
        process = subprocess.Popen(network + [sys.executable, BED, "supervise", layout.dir, str(owner), str(owner_start)],
                                   cwd="/", env=dict(os.environ, BED_DIR=layout.dir), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
    if not poll(lambda: process.poll() is not None or probe(layout), 10, 0.01) or process.poll() is not None:
        raise Fail(f"the supervisor did not start; see {layout.log('supervisor')}:\n"
                   f"{tail(layout.log('supervisor'), 5)}")
    process.returncode = 0  # it outlives us: spare Popen's warning
    return process.pid


def probe(layout):
    client = connect(layout)
    if client is None:
        return False
    client.close()
    return True


class Api:
    """The API server as the admin sees it, without kubectl's start-up time."""

    def __init__(self, layout, port):
        self.port = port
        self.tls = ssl.create_default_context(cafile=layout.path("pki", "ca.crt"))
        self.tls.load_cert_chain(layout.path("pki", "admin.crt"), layout.path("pki", "admin.key"))

    def call(self, method, path, body=None, content_type="application/json"):
        """(status, parsed JSON or text); status 0 when nobody answers."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.tls)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": content_type, "User-Agent": "bed"})
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()
        return response.status, json.loads(text) if text.startswith("{") else text

    def ready(self):
        return self.call("GET", "/readyz")[0] == 200


def http_ok(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def amqp_ok(port):
    """RabbitMQ opens its port before it serves: only an answer to the protocol header counts."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.settimeout(5)
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return client.recv(1) == b"\x01"
    except OSError:
        return False


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False


def readiness(layout, state, name):
    """A function that tells whether the component serves."""
    ports = state["ports"]
    checks = {
        "etcd": lambda: http_ok(ports["etcd"], "/health"),
        "kube-apiserver": lambda: Api(layout, ports["kube-apiserver"]).ready(),
        "epmd": lambda: port_open(ports.get("epmd")),
        "rabbitmq": lambda: amqp_ok(ports.get("rabbitmq")),
        "keda-operator": lambda: http_ok(ports.get("keda-operator-health"), "/readyz"),
        "keda-adapter": lambda: port_open(ports.get("keda-adapter")),
        "keda-webhooks": lambda: http_ok(ports.get("keda-webhooks-health"), "/readyz"),
        "sqs": lambda: http_ok(ports.get("sqs"), "/moto-api/"),
    }
    if name == "kubelet":
        return lambda: node.usable(Api(layout, ports["kube-apiserver"]))
    if name.startswith(("proxy", "faults")):
        return lambda: port_open(ports[name + "-control"])
    return checks.get(name, lambda: True)


def wait_ready(control, state, name, seconds):
    """Waits until the component serves; says early, and with its last words, if it died instead."""
    layout = control.layout
    ready = readiness(layout, state, name)
    deadline = time.monotonic() + seconds
    while not ready():
        ended = control.ask("status")["components"][name]["ended"]
        if ended:
            raise Fail(f"{name} {ended}; see {layout.log(name)}:\n{tail(layout.log(name), 5)}")
        if time.monotonic() > deadline:
            raise Fail(f"{name} is not ready after {seconds} s; see {layout.log(name)}:\n{tail(layout.log(name), 5)}")
        time.sleep(0.05)


def open_bed(directory):
    layout = Layout(directory)
    state = layout.load()
    control = Control(layout)
    node.enter_bed(control, state)
    return layout, state, control
