"""A TCP proxy that plays a bad network between a client and one server of the bed; TLS passes through untouched.

    bed run-proxy LISTEN_PORT TARGET_PORT CONTROL_PORT

The control port takes one command a line and answers each with one line of JSON, the proxy's state after it:

    pass            forward (the start)
    cut             reset all connections now (RST); new ones are served
    close           the same, politely (FIN)
    cut-after N     reset each connection once N more bytes came from the server; new ones are served
    refuse          reset all connections and refuse new ones until `pass`
    silent          half-open: every socket stays open, nothing moves in either direction, until `pass`
    delay MS        hold every piece of data back for MS milliseconds in both directions
    status          only the state
"""
import asyncio
import json
import socket
import struct

CHUNK = 65536


class Proxy:
    def __init__(self, listen_port, target_port):
        self.listen_port, self.target_port = listen_port, target_port
        self.mode = "pass"
        self.delay = 0.0
        self.links = set()
        self.accepted = 0
        self.server = None
        self.open_gate = None

    async def run(self, control_port):
        self.open_gate = asyncio.Event()  # here: before Python 3.10 an event belongs to the loop it was made in
        self.open_gate.set()
        await self.listen()
        control = await asyncio.start_server(self.control, "127.0.0.1", control_port)
        await control.serve_forever()

    async def listen(self):
        if self.server is None:
            self.server = await asyncio.start_server(self.accept, "127.0.0.1", self.listen_port, limit=CHUNK)

    async def accept(self, reader, writer):
        self.accepted += 1
        link = Link(self)
        self.links.add(link)
        try:
            await link.run(reader, writer)
        finally:
            self.links.discard(link)
            link.end(abort=False)

    async def control(self, reader, writer):
        while True:
            line = await reader.readline()
            if not line:
                break
            try:
                await self.command(line.decode().split())
                answer = self.status()
            except (ValueError, IndexError) as error:
                answer = {"error": str(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    def status(self):
        return {"mode": self.mode, "delay_ms": round(self.delay * 1000), "connections": len(self.links),
                "accepted": self.accepted}

    async def command(self, words):
        verb = words[0]
        if verb == "pass":
            self.mode, self.delay = "pass", 0.0
            self.open_gate.set()
            await self.listen()
        elif verb in ("cut", "close"):
            self.end_links(abort=verb == "cut")
        elif verb == "cut-after":
            for link in self.links:
                link.budget = int(words[1])
        elif verb == "refuse":
            self.mode = "refuse"
            if self.server:
                self.server.close()
                self.server = None
            self.end_links(abort=True)
        elif verb == "silent":
            self.mode = "silent"
            self.open_gate.clear()
            await self.listen()  # after `refuse`: the kernel answers again, nobody else does
        elif verb == "delay":
            self.mode, self.delay = "delay", float(words[1]) / 1000
            self.open_gate.set()
            await self.listen()
        elif verb != "status":
            raise ValueError(f"unknown command {verb!r}")

    def end_links(self, abort):
        for link in list(self.links):
            link.end(abort)


class Link:
    """One client connection and its connection to the server."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.writers = []
        self.tasks = []
        self.budget = None  # bytes from the server until we cut, or None

    async def run(self, reader, writer):
        self.writers.append(writer)
        await self.proxy.open_gate.wait()  # accepted by the kernel, but nobody is there
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.proxy.target_port, limit=CHUNK)
        except OSError:
            self.end(abort=True)
            return
        self.writers.append(far_writer)
        self.tasks = [asyncio.ensure_future(self.pump(reader, far_writer, False)),
                      asyncio.ensure_future(self.pump(far_reader, writer, True))]
        await asyncio.wait(self.tasks)

    async def pump(self, reader, writer, from_server):
        try:
            while True:
                await self.proxy.open_gate.wait()
                data = await reader.read(CHUNK)
                if self.proxy.delay:
                    await asyncio.sleep(self.proxy.delay)
                await self.proxy.open_gate.wait()  # silence may have fallen while we read
                if from_server and self.budget is not None and data:
                    data = data[:self.budget]
                    self.budget -= len(data)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
                if from_server and self.budget == 0:
                    await asyncio.sleep(0.05)  # a reset overtakes what the client has not read yet
                    self.end(abort=True)
                    return
            if writer.can_write_eof():
                writer.write_eof()
        except (OSError, asyncio.CancelledError):
            self.end(abort=True)

    def end(self, abort):
        for writer in self.writers:
            if abort:
                # Linger 0 turns the close into a reset, as a dying host's peer would see it.
                raw = writer.get_extra_info("socket")
                try:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    pass
                writer.transport.abort()
            else:
                writer.close()
        for task in self.tasks:
            task.cancel()


def main(arguments):
    listen_port, target_port, control_port = (int(argument) for argument in arguments)
    asyncio.run(Proxy(listen_port, target_port).run(control_port))


def send_command(control_port, line):
    """Used by `bed proxy DIR COMMAND` and `bed faults`: returns the proxy's answer."""
    with socket.create_connection(("127.0.0.1", control_port), 10) as client:
        client.sendall(line.encode() + b"\n")
        return json.loads(client.makefile("rb").readline())
