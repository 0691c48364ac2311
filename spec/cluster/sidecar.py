#!/usr/bin/env python3
"""A sidecar small enough for tests: moves messages between an actor's queue and the runtime script, as its environment says.

    sidecar.py [COUNT]      ends after COUNT messages, or never

It reads the variables that the operator gives to asya-sidecar.  RabbitMQ is spoken to through its management API
(BED_RABBITMQ_MANAGEMENT_URL, else its usual port), SQS through its JSON protocol, unsigned: moto does not mind.
"""
import base64
import json
import os
import socket
import struct
import sys
import time
import urllib.request

ENV = os.environ


def queue(actor):
    """The queue of an actor; other releases of sidecars have another one here."""
    return "asya-" + actor


def call(url, body, headers):
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json", **headers})
    text = urllib.request.urlopen(request, timeout=10).read()
    return json.loads(text) if text else {}


class RabbitMQ:
    def __init__(self):
        user = f"{ENV['ASYA_RABBITMQ_USERNAME']}:{ENV['ASYA_RABBITMQ_PASSWORD']}"
        self.headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
        usual = f"http://{ENV.get('ASYA_RABBITMQ_HOST')}:15672"
        self.base = ENV.get("BED_RABBITMQ_MANAGEMENT_URL", usual) + "/api"

    def receive(self, actor):
        got = call(f"{self.base}/queues/%2F/{queue(actor)}/get",
                   {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}, self.headers)
        return (got[0]["payload"], None) if got else (None, None)

    def send(self, actor, text):
        """As sidecars do: to the exchange, with the actor's bare name for a key."""
        answer = call(f"{self.base}/exchanges/%2F/{ENV['ASYA_RABBITMQ_EXCHANGE']}/publish",
                      {"properties": {}, "routing_key": actor, "payload": text, "payload_encoding": "string"}, self.headers)
        if not answer["routed"]:
            sys.exit(f"nobody is bound to {actor}")

    def done(self, actor, receipt):
        pass


class Sqs:
    wait = 1  # seconds for a message to come

    def ask(self, action, **body):
        headers = {"X-Amz-Target": "AmazonSQS." + action, "Content-Type": "application/x-amz-json-1.0",
                   "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{ENV['ASYA_AWS_REGION']}/sqs/aws4_request, "
                                    "SignedHeaders=host, Signature=0"}
        return call(ENV["ASYA_SQS_ENDPOINT"], body, headers)

    def url(self, actor):
        return self.ask("GetQueueUrl", QueueName=queue(actor))["QueueUrl"]

    def receive(self, actor):
        got = self.ask("ReceiveMessage", QueueUrl=self.url(actor), MaxNumberOfMessages=1, WaitTimeSeconds=self.wait).get("Messages")
        return (got[0]["Body"], got[0]["ReceiptHandle"]) if got else (None, None)

    def send(self, actor, text):
        self.ask("SendMessage", QueueUrl=self.url(actor), MessageBody=text)

    def done(self, actor, receipt):
        self.ask("DeleteMessage", QueueUrl=self.url(actor), ReceiptHandle=receipt)


def exactly(stream, count):
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def ask_runtime(text):
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(os.path.join(ENV["ASYA_SOCKET_DIR"], "asya-runtime.sock"))
        frame = text.encode()
        stream.sendall(struct.pack(">I", len(frame)) + frame)
        return json.loads(exactly(stream, struct.unpack(">I", exactly(stream, 4))[0]))


def main():
    broker = {"rabbitmq": RabbitMQ, "sqs": Sqs}[ENV["ASYA_TRANSPORT"]]()
    actor = ENV["ASYA_ACTOR_NAME"]
    for _ in range(int(sys.argv[1])) if sys.argv[1:] else iter(int, 1):
        text = None
        while text is None:
            text, receipt = broker.receive(actor)
            time.sleep(0.05)
        message = json.loads(text)
        for reply in ask_runtime(text):
            if "error" in reply:
                broker.send(ENV["ASYA_ACTOR_ERROR_END"], json.dumps({"id": message["id"], "payload": reply}))
                continue
            route = reply["route"]
            rest = route["actors"][route["current"]:]
            broker.send(rest[0] if rest else ENV["ASYA_ACTOR_HAPPY_END"],
                        json.dumps({"id": message["id"], "route": route, "payload": reply["payload"]}))
        broker.done(actor, receipt)


if __name__ == "__main__":
    main()
