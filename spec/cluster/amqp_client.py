#!/usr/bin/env python3
"""An AMQP client small enough for tests of the faults before it: declares queues and prints what the broker answers.

    amqp_client.py PORT NAME...      a line for each: an answer's name, with code and text where it has them, "silence" after
                                     two seconds, "cut after N" where a frame stops, "reset" or "end" of the connection

After a channel's end it opens it again; after the connection's it stops.  A NAME may be "CHANNEL:NAME".
"""
import socket
import struct
import sys

NAMES = {(10, 10): "connection.start", (10, 30): "connection.tune", (10, 41): "connection.open-ok", (10, 50): "connection.close",
         (20, 11): "channel.open-ok", (20, 40): "channel.close", (50, 11): "queue.declare-ok"}


class Ended(Exception):
    pass


def short(text):
    return struct.pack("B", len(text)) + text.encode()


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(2)
        self.channels = set()
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self.wait("connection.start")
        plain = b"\0guest\0guest"
        self.send(0, 10, 11, struct.pack(">I", 0) + short("PLAIN") + struct.pack(">I", len(plain)) + plain + short("en_US"))
        self.wait("connection.tune")
        self.send(0, 10, 31, struct.pack(">HIH", 16, 131072, 0))
        self.send(0, 10, 40, short("/") + short("") + b"\0")
        self.wait("connection.open-ok")

    def send(self, channel, kind, method, arguments=b""):
        payload = struct.pack(">HH", kind, method) + arguments
        self.socket.sendall(struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce")

    def exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except socket.timeout:
                raise Ended("silence" if not data else f"cut after {len(data)}") from None
            except ConnectionResetError:
                raise Ended("reset" if not data else f"cut after {len(data)}") from None
            if not piece:
                raise Ended("end" if not data else f"cut after {len(data)}")
            data += piece
        return data

    def receive(self):
        """(channel, name, arguments)"""
        head = self.exactly(7)
        _, channel, size = struct.unpack(">BHI", head)
        payload = self.exactly(size + 1)
        return channel, NAMES.get(struct.unpack(">HH", payload[:4]), "?"), payload[4:-1]

    def wait(self, name):
        got = self.receive()
        if got[1] != name:
            raise Ended(self.told(got))

    @staticmethod
    def told(got):
        _, name, arguments = got
        if not name.endswith(".close"):
            return name
        code, size = struct.unpack(">HB", arguments[:3])
        return f"{name} {code} {arguments[3:3 + size].decode()}"

    def declare(self, channel, queue):
        if channel not in self.channels:
            self.send(channel, 20, 10, short(""))
            self.wait("channel.open-ok")
            self.channels.add(channel)
        self.send(channel, 50, 10, b"\0\0" + short(queue) + b"\x02" + struct.pack(">I", 0))  # durable
        got = self.receive()
        if got[1] == "channel.close":
            self.send(channel, 20, 41)
            self.channels.discard(channel)
        if got[1] == "connection.close":
            self.send(0, 10, 51)
            print(self.told(got), flush=True)
            self.exactly(1)
        return self.told(got)


def main():
    try:
        client = Client(int(sys.argv[1]))
        for word in sys.argv[2:]:
            channel, _, name = word.rpartition(":")
            try:
                print(client.declare(int(channel or 1), name), flush=True)
            except Ended as ended:
                print(ended, flush=True)
                if str(ended) != "silence":
                    break
    except (Ended, OSError) as error:
        print(error if isinstance(error, Ended) else type(error).__name__, flush=True)


if __name__ == "__main__":
    main()
