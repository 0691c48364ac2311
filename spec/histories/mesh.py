#!/usr/bin/env python3
"""Senders and readers of actors that are migrated from profile 0.1 to 0.4, in place of pods and of those who send to them.

    mesh.py FILE STOP TRANSPORT NAMESPACE COUNT ACTOR...

Each actor is sent COUNT numbered messages: half of them at once, the others one by one, while readers take some out of old and new queues.
When all are sent and the file STOP is there, the rest is read.  FILE gets a line "sent ID" or "got ID" for what a broker has taken or given
away for good, and "end" or what went wrong as the last one.

On RabbitMQ senders give an actor's name to the exchange.  On SQS they name the old queue and the new one by turns; where one is not there the
message goes to the other, as a sender that tries again would have it.
"""
import json
import os
import sys
import time
import urllib.error

import sidecar

PAUSE = 1  # seconds between two rounds


class Mesh:
    def __init__(self, file, transport, namespace, actors):
        self.file, self.namespace, self.actors = file, namespace, actors
        self.by_name = transport == "sqs"
        self.broker = {"rabbitmq": sidecar.RabbitMQ, "sqs": sidecar.Sqs}[transport]()

    def tell(self, *words):
        print(*words, file=self.file, flush=True)

    def names(self, actor, turn):
        """The queues of both profiles."""
        both = [actor, f"{self.namespace}-{actor}"]
        return both if turn % 2 == 0 else both[::-1]

    def send(self, actor, turn):
        ident = f"{actor}/{turn}"
        for queue in self.names(actor, turn) if self.by_name else [actor]:
            try:
                self.broker.send(queue, json.dumps({"id": ident}))
                self.tell("sent", ident)
                return
            except urllib.error.HTTPError as error:
                if error.code != 400:
                    raise
        sys.exit(f"no queue of {actor} takes a message")

    def take(self, queue):
        """One message, if there is one."""
        try:
            text, receipt = self.broker.receive(queue)
            if text:
                self.broker.done(queue, receipt)
        except urllib.error.HTTPError as error:
            if error.code not in (400, 404):
                raise
            return False
        if text:
            self.tell("got", json.loads(text)["id"])
        return text is not None

    def run(self, count, stop):
        for turn in range(count // 2):
            for actor in self.actors:
                self.send(actor, turn)
        for turn in range(count // 2, count):
            for actor in self.actors:
                self.send(actor, turn)
                self.take(self.names(actor, turn)[0])
            time.sleep(PAUSE)
        while not os.path.exists(stop):
            time.sleep(0.2)
        for actor in self.actors:
            while self.take(self.names(actor, 1)[0]):
                pass


def main(path, stop, transport, namespace, count, *actors):
    sidecar.Sqs.wait = 0
    with open(path, "w", encoding="ascii") as file:
        mesh = Mesh(file, transport, namespace, actors)
        try:
            mesh.run(int(count), stop)
            mesh.tell("end")
        except (SystemExit, OSError) as error:
            mesh.tell("failed:", error)


main(*sys.argv[1:])
