#!/usr/bin/env python3
"""Runs a user's handler inside an actor's pod and answers the sidecar over a Unix socket.

One connection carries one request and one reply. A frame is four bytes, the length as an unsigned big-endian number,
then that many bytes of UTF-8 JSON. Requests are served one at a time, in the main thread.

Request: the envelope as it came from the queue:

    {"id": str, "parent_id": str, "route": {"actors": [str], "current": int, ...}, "headers": {...}, "payload": any}

Reply: always an array. Empty means "nothing further"; one item for each message to send on:

    [{"payload": ..., "route": {...}, "headers": {...}}]
    [{"error": CODE, "details": {"message": str, "type": str, "traceback": str}}]

CODE is connection_error (the request ended early), msg_parsing_error (it makes no sense) or processing_error (the
handler failed, or returned what cannot be sent). Whatever a handler raises, SystemExit too, is an answer and not the
end of this process; os._exit() ends it.

Environment:

    ASYA_HANDLER            what to call: module.function or module.Class.method (required)
    ASYA_HANDLER_MODE       payload (default): the handler gets the payload and returns one, a list of them, or None
                            envelope: the handler gets the whole envelope and returns such dicts
    ASYA_ENABLE_VALIDATION  true (default): check envelopes that come in and, in envelope mode, that go out
    ASYA_SOCKET_DIR         directory of the socket and the file runtime-ready (/var/run/asya)
    ASYA_SOCKET_NAME        name of the socket (asya-runtime.sock; for tests, the sidecar knows only this one)
    ASYA_SOCKET_CHMOD       octal mode of the socket (0o666); empty leaves it alone
    ASYA_CHUNK_SIZE         most bytes to read at once (65536)
    ASYA_MAX_FRAME          longest request in bytes (268435456: 256 MiB, twice RabbitMQ 3's own default)
    ASYA_LOG_LEVEL          DEBUG, INFO (default), WARNING, ERROR or CRITICAL; logs go to stderr, without payloads

SIGTERM and SIGINT: the socket and runtime-ready go at once, the request at hand is finished, exit code 0.

Standard library only, Python 3.8 or later: this file is mounted into images that we know nothing about.
"""

import copy
import importlib
import inspect
import json
import logging
import os
import re
import select
import signal
import socket
import struct
import sys
import time
import traceback

log = logging.getLogger("asya.runtime")

CONNECTION_ERROR = "connection_error"
PARSING_ERROR = "msg_parsing_error"
PROCESSING_ERROR = "processing_error"

HEADER = struct.Struct("!I")
LONGEST_REPLY = 0xFFFFFFFF  # what four bytes can say
HANDLER_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*(\.[a-zA-Z_][a-zA-Z0-9_]*)+")
BACKLOG = 5
PATIENCE = 2.0  # seconds for a peer that should act at once


class StartError(Exception):
    """The runtime cannot start; the message says why and what to do."""


class RequestError(Exception):
    """A request that cannot be read."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


# --- settings


class Settings:
    """What the environment says about requests, checked."""

    def __init__(self, env):
        self.handler = env.get("ASYA_HANDLER", "")
        self.mode = env.get("ASYA_HANDLER_MODE", "payload").lower()
        self.validate = env.get("ASYA_ENABLE_VALIDATION", "true").lower() == "true"
        self.chmod = _octal(env, "ASYA_SOCKET_CHMOD", "0o666")
        self.chunk_size = _positive(env, "ASYA_CHUNK_SIZE", 65536)
        self.max_frame = _positive(env, "ASYA_MAX_FRAME", 256 * 1024 * 1024)
        if self.mode not in ("payload", "envelope"):
            raise StartError("ASYA_HANDLER_MODE is %r; it must be 'payload' or 'envelope'" % self.mode)
        if not HANDLER_NAME.fullmatch(self.handler):
            raise StartError("ASYA_HANDLER is %r; it must be 'module.function' or 'module.Class.method'" % self.handler)


def _positive(env, name, default):
    text = env.get(name, str(default))
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise StartError("%s is %r; it must be a whole number above zero" % (name, text))
    return value


def _octal(env, name, default):
    text = env.get(name, default)
    if not text:
        return None
    try:
        return int(text, 8)
    except ValueError:
        raise StartError("%s is %r; it must be an octal number such as 0o666, or empty" % (name, text)) from None


def start_logging(env):
    level = env.get("ASYA_LOG_LEVEL", "INFO").upper()
    known = isinstance(logging.getLevelName(level), int)
    logging.basicConfig(
        stream=sys.stderr, level=level if known else "INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if not known:
        log.warning("ASYA_LOG_LEVEL is %r, which is not a valid level; INFO is used", level)


# --- the handler


def load_handler(name):
    """The callable that `module.function` or `module.Class.method` names."""
    parts = name.split(".")
    module, rest = _import_longest(parts)
    if len(rest) > 2:
        raise StartError("module '%s' has no submodule '%s'; is it on PYTHONPATH?" % (module.__name__, rest[0]))
    target = _attribute(module, rest[0], "module '%s'" % module.__name__)
    if len(rest) == 2:
        if not inspect.isclass(target):
            raise StartError("'%s' of module '%s' is not a class" % (rest[0], module.__name__))
        target = _attribute(_instance(target), rest[1], "class '%s'" % rest[0])
    elif inspect.isclass(target):
        raise StartError("'%s' is a class; name its method, too, as in '%s.process'" % (name, name))
    if not callable(target):
        raise StartError("'%s' is not callable" % name)
    return target


def _import_longest(parts):
    """Imports the longest prefix that is a module. Returns it and the names that remain."""
    for count in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:count])
        try:
            return importlib.import_module(name), parts[count:]
        except ModuleNotFoundError as error:
            # Only if the missing module is the one asked for, or a parent of it, may a shorter name be meant.
            # Otherwise the module is there and lacks something that it imports itself.
            if not (name + ".").startswith((error.name or "?") + "."):
                raise StartError("module '%s' cannot be imported: %s" % (name, error)) from error
        except BaseException as error:
            raise StartError("module '%s' cannot be imported: %s" % (name, describe(error))) from error
    raise StartError("module '%s' not found; is it in the image and its directory on PYTHONPATH? Searched: %s"
                     % (parts[0], ", ".join(sys.path)))


def _attribute(owner, name, what):
    try:
        return getattr(owner, name)
    except AttributeError:
        raise StartError("%s has no '%s'" % (what, name)) from None


def _instance(cls):
    """Classes are instantiated once, with nothing to tell them."""
    try:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    except (TypeError, ValueError):  # a class from C that does not say
        parameters = []
    for each in parameters:
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            raise StartError("parameter '%s' of %s.__init__ needs a default" % (each.name, cls.__name__))
    try:
        return cls()
    except BaseException as error:
        raise StartError("%s() failed: %s" % (cls.__name__, describe(error))) from error


# --- envelopes


def check(condition, message, *values):
    if not condition:
        raise ValueError(message % values)


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def validate_route(route):
    check(isinstance(route, dict), "'route' must be an object, is %s", type(route).__name__)
    check("actors" in route, "'route.actors' is missing")
    actors = route["actors"]
    check(isinstance(actors, list), "'route.actors' must be a list, is %s", type(actors).__name__)
    current = route.setdefault("current", 0)
    check(is_int(current), "'route.current' must be an integer, is %s", type(current).__name__)
    check(actors, "'route.actors' is empty")
    check(0 <= current <= len(actors), "'route.current' is %d, but there are %d actors", current, len(actors))


def validate_past(route, before):
    """What has been, and where we are, is not the handler's to change."""
    done = before["current"] + 1
    past, claimed = before["actors"][:done], route["actors"][:done]
    check(past == claimed, "'route.actors' must still begin with %s, begins with %s", past, claimed)


def validate_envelope(envelope, before=None):
    """Checks an envelope, `before` being the route that came in, and returns it without foreign keys."""
    check(isinstance(envelope, dict), "an envelope must be an object, is %s", type(envelope).__name__)
    check("payload" in envelope, "'payload' is missing")
    check("route" in envelope, "'route' is missing")
    validate_route(envelope["route"])
    if "headers" in envelope:
        check(isinstance(envelope["headers"], dict), "'headers' must be an object")
    if before is not None:
        validate_past(envelope["route"], before)
    if "id" in envelope:
        check(isinstance(envelope["id"], str), "'id' must be a string")
    return {key: envelope[key] for key in ("payload", "route", "id", "parent_id", "headers") if key in envelope}


def parse_request(body, validate):
    """The envelope in a request. Raises RequestError."""
    try:
        # NaN and Infinity are Python's, not JSON's.
        envelope = json.loads(body.decode("utf-8"), parse_constant=_not_json)
        check(isinstance(envelope, dict), "a request must be an object, is %s", type(envelope).__name__)
        return validate_envelope(envelope) if validate else envelope
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, numbers of thousands of digits, deep nesting
        raise RequestError(PARSING_ERROR, describe(error)) from error


def _not_json(word):
    raise ValueError("%s is not JSON" % word)


def encode(reply):
    """JSON as everybody else understands it. Raises ValueError or TypeError for what is not."""
    body = json.dumps(reply, allow_nan=False).encode("utf-8")
    check(len(body) <= LONGEST_REPLY, "the result is %d bytes long, more than fits a frame", len(body))
    return body


# --- one request


def as_list(result):
    if result is None:
        return []
    return list(result) if isinstance(result, (list, tuple)) else [result]


def handle_payload(handler, envelope):
    """Payload mode: the handler knows nothing of routes, so every result goes one step on."""
    route = envelope.get("route")
    current = route.get("current", 0) if isinstance(route, dict) else None
    if not is_int(current) or "payload" not in envelope:  # only without validation
        raise RequestError(PARSING_ERROR, "'payload' and 'route' are needed in payload mode")
    rest = {"route": dict(route, current=current + 1)}
    if "headers" in envelope:
        rest["headers"] = envelope["headers"]
    return [dict(rest, payload=each) for each in as_list(handler(envelope["payload"]))]


def handle_envelope(handler, envelope, validate):
    """Envelope mode: the handler decides where to go next, within what validate_past() allows."""
    # A copy, because handlers may well change what they are given.
    before = copy.deepcopy(envelope["route"]) if validate else None
    results = as_list(handler(envelope))
    return [validate_envelope(each, before) for each in results] if validate else results


class Actor:
    """Turns the bytes of a request into the bytes of the reply."""

    def __init__(self, handler, settings):
        self.handler = handler
        self.envelope_mode = settings.mode == "envelope"
        self.validate = settings.validate
        self.pid = os.getpid()

    def answer(self, body):
        started, who = time.monotonic(), "a message"
        try:
            envelope = parse_request(body, self.validate)
            who = "message %.100s" % envelope.get("id", "without id")
            results = self.call(envelope)
            reply = encode(results)
        except RequestError as error:
            log.error("%s refused: %s", who, error)
            return failure(error.code, error.__cause__ or error)
        except BaseException as error:
            if os.getpid() != self.pid:  # a process that the handler forked leaves by itself
                raise
            log.error("%s failed after %.3f s", who, time.monotonic() - started, exc_info=True)
            return failure(PROCESSING_ERROR, error)
        log.info("%s done in %.3f s: %d bytes in, %d results, %d bytes out",
                 who, time.monotonic() - started, len(body), len(results), len(reply))
        return reply

    def call(self, envelope):
        if self.envelope_mode:
            return handle_envelope(self.handler, envelope, self.validate)
        return handle_payload(self.handler, envelope)


def describe(error):
    """The message of an exception, whatever its __str__ does."""
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def failure(code, error):
    details = {
        "message": describe(error),
        "type": type(error).__name__,
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }
    return encode([{"error": code, "details": details}])


# --- frames


def read_exactly(connection, count, chunk_size, what):
    """Reads `count` bytes; memory grows with what arrives, not with what was announced."""
    data = bytearray()
    while len(data) < count:
        chunk = connection.recv(min(chunk_size, count - len(data)))
        if not chunk:
            raise RequestError(CONNECTION_ERROR, "the %s ended after %d of %d bytes" % (what, len(data), count))
        data += chunk
    return data


def read_request(connection, first, settings):
    """The body of a request whose `first` byte is here."""
    header = first + read_exactly(connection, HEADER.size - 1, settings.chunk_size, "header")
    (length,) = HEADER.unpack(header)
    if length > settings.max_frame:
        raise RequestError(PARSING_ERROR, "the request is %d bytes long, ASYA_MAX_FRAME allows %d"
                           % (length, settings.max_frame))
    return read_exactly(connection, length, settings.chunk_size, "body")


def send_frame(connection, body):
    connection.sendall(HEADER.pack(len(body)))
    connection.sendall(body)


def drain(connection, chunk_size):
    """Swallows the rest of a refused request: the sidecar reads the reply only after it has written everything."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(PATIENCE)
    while connection.recv(chunk_size):
        pass


# --- the server


class Server:
    """Owns the socket, the file runtime-ready and the end of the process."""

    def __init__(self, env):
        self.directory = env.get("ASYA_SOCKET_DIR", "/var/run/asya")
        self.socket_path = os.path.join(self.directory, env.get("ASYA_SOCKET_NAME", "asya-runtime.sock"))
        self.ready_path = os.path.join(self.directory, "runtime-ready")
        self.pid = os.getpid()
        self.settings = None
        self.listener = None
        self.stopping = False
        # A signal writes a byte, so that waiting for a connection ends without a race.
        self.wake, self.waker = os.pipe()
        os.set_blocking(self.waker, False)

    def prepare(self):
        """Removes what a crash left behind: old files would keep the probes green while the handler loads."""
        os.makedirs(self.directory, exist_ok=True)
        self.remove_files()
        self.catch_signals()

    def catch_signals(self):
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self.on_signal)

    def on_signal(self, number, _frame):
        if os.getpid() != self.pid:  # inherited by a child of the handler: it dies as if we had never been here
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.stopping = True
        self.close()
        if self.listener is None:  # still loading the handler, nothing to finish
            os._exit(0)
        try:
            os.write(self.waker, b"!")
        except BlockingIOError:
            pass

    def remove_files(self):
        for path in (self.ready_path, self.socket_path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass

    def close(self):
        try:
            if os.getpid() == self.pid:
                self.remove_files()
        except OSError:  # the directory is gone or not ours any more
            pass

    def listen(self, settings):
        self.settings = settings
        self.catch_signals()  # again: the handler's modules may have put theirs in place
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self.socket_path)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        if settings.chmod is not None:
            os.chmod(self.socket_path, settings.chmod)
        self.listener = listener
        self.announce()
        if self.stopping:  # a signal came while the file was written
            self.close()

    def announce(self):
        try:
            with open(self.ready_path, "w") as file:
                file.write("ready")
        except OSError as error:
            log.error("%s cannot be written, the probes will fail: %s", self.ready_path, error)

    def serve(self, actor):
        """Accepts until a signal comes, and then once more: a sidecar may have connected just before."""
        last = False
        while not last:
            last = self.stopping
            self.wait_for(self.listener)
            connection = self.accept()
            if connection is not None:
                with connection:
                    self.converse(connection, actor)

    def accept(self):
        try:
            return self.listener.accept()[0]
        except (BlockingIOError, ConnectionError):
            return None
        except OSError as error:  # no file descriptors left, say
            log.error("cannot accept a connection: %s", error)
            time.sleep(PATIENCE)
            return None

    def wait_for(self, what, timeout=None):
        """True once `what` can be read; False after `timeout` seconds or, without one, when a signal asks to stop."""
        poll = select.poll()  # select() fails for descriptors above 1023, and handlers may hold many
        poll.register(what, select.POLLIN)
        if timeout is None:
            poll.register(self.wake, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        return any(fd == what.fileno() for fd, _ in ready)

    def converse(self, connection, actor):
        """One request and its reply. The peer's troubles end here."""
        try:
            connection.setblocking(True)  # whatever default the handler's modules have set
            first = self.first_byte(connection)
            if first:
                self.reply(connection, first, actor)
        except OSError as error:
            log.warning("the sidecar went away: %s", error)

    def first_byte(self, connection):
        """Nothing from a sidecar that only looks whether we are here, or that is silent when we have to stop."""
        if self.wait_for(connection) or self.wait_for(connection, PATIENCE):
            return connection.recv(1)
        return b""

    def reply(self, connection, first, actor):
        try:
            request = read_request(connection, first, self.settings)
        except RequestError as error:
            log.error("a request was refused: %s", error)
            send_frame(connection, failure(error.code, error))
            drain(connection, self.settings.chunk_size)
        else:
            send_frame(connection, actor.answer(request))


def run(server):
    server.prepare()
    settings = Settings(os.environ)
    actor = Actor(load_handler(settings.handler), settings)
    server.listen(settings)
    log.info("ready: %s in %s mode at %s", settings.handler, settings.mode, server.socket_path)
    server.serve(actor)
    log.info("stopped by a signal")


def main():
    start_logging(os.environ)
    server = Server(os.environ)
    try:
        run(server)
    except StartError as error:
        # The user's own traceback, if there is one, ends with the line to look at.
        log.critical("cannot start: %s", error, exc_info=error.__cause__)
        return 1
    except OSError as error:
        log.critical("cannot serve %s: %s", server.socket_path, error)
        return 1
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
