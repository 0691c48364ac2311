#!/usr/bin/env python3
"""Edits actors while their pods are being replaced, and waits each time until the edit has got through.

    churn.py NAMESPACE EDITS [SECONDS]

Each actor of the namespace has an editor of its own, which raises spec.scaling.maxReplicas by one and waits until the ScaledObject says
the same before it edits again: an edit that is lost stays lost, because no later one brings it along.  Meanwhile random pods are deleted,
three a second, so that the statuses of the actors are being written all the time.  Prints what was done; ends with 1 at the first edit that
is not followed within SECONDS (60).
"""
import http.client
import json
import os
import random
import ssl
import sys
import threading
import time
import urllib.parse

NAMESPACE, EDITS = sys.argv[1], int(sys.argv[2])
PATIENCE = float(sys.argv[3]) if len(sys.argv) > 3 else 60
PODS_A_SECOND = 3
ACTORS = f"/apis/asya.sh/v1alpha1/namespaces/{NAMESPACE}/asyncactors"
SCALERS = f"/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledobjects"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class Client:
    """One connection that is kept."""

    def __init__(self):
        server, pki = urllib.parse.urlsplit(os.environ["BED_SERVER"]), os.path.dirname(os.environ["BED_CA"])
        context = ssl.create_default_context(cafile=os.environ["BED_CA"])
        context.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
        self.connection = http.client.HTTPSConnection(server.hostname, server.port, context=context, timeout=60)

    def open(self, method, path, body=None):
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        self.connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
        return self.connection.getresponse()

    def ask(self, method, path, body=None):
        answer = self.open(method, path, body)
        text = answer.read()
        if answer.status >= 300 and answer.status != 404:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]}")
        return json.loads(text)


class Race:
    def __init__(self):
        client = Client()
        self.names = [each["metadata"]["name"] for each in client.ask("GET", ACTORS)["items"]]
        scalers = client.ask("GET", SCALERS)
        self.seen = {each["metadata"]["name"]: each["spec"]["maxReplicaCount"] for each in scalers["items"]}
        self.version = scalers["metadata"]["resourceVersion"]
        self.news = threading.Condition()
        self.over = threading.Event()
        self.done = self.deleted = 0
        self.lost = []
        self.slowest = 0.0

    def watch(self):
        answer = Client().open("GET", f"{SCALERS}?watch=1&resourceVersion={self.version}")
        while not self.over.is_set():
            event = json.loads(answer.readline())
            with self.news:
                self.seen[event["object"]["metadata"]["name"]] = event["object"]["spec"]["maxReplicaCount"]
                self.news.notify_all()

    def churn(self):
        client, begin, pods = Client(), time.monotonic(), []
        while not self.over.wait(1 / PODS_A_SECOND):
            if self.deleted % PODS_A_SECOND == 0 or not pods:
                pods = [each["metadata"]["name"] for each in client.ask("GET", PODS)["items"]]
            client.ask("DELETE", f"{PODS}/{random.choice(pods)}", {"gracePeriodSeconds": 0})
            self.deleted += 1

    def edit(self, name, count):
        client, wanted = Client(), self.seen[name]
        for _ in range(count):
            wanted += 1
            begin = time.monotonic()
            client.ask("PATCH", f"{ACTORS}/{name}", {"spec": {"scaling": {"maxReplicas": wanted}}})
            with self.news:
                self.news.wait_for(lambda: self.seen[name] == wanted or self.lost, PATIENCE)
                if self.lost:
                    return
                if self.seen[name] != wanted:
                    self.lost.append(name)
                self.done += 1
                self.slowest = max(self.slowest, time.monotonic() - begin)

    def run(self):
        count = EDITS // len(self.names)
        editors = [threading.Thread(target=self.edit, args=(name, count)) for name in self.names]
        for fn in (self.watch, self.churn):
            threading.Thread(target=fn, daemon=True).start()
        for editor in editors:
            editor.start()
        for editor in editors:
            editor.join()
        self.over.set()


race = Race()
race.run()
print(f"{race.done} edits of {len(race.names)} actors, {race.deleted} pods deleted, the slowest followed after {race.slowest:.1f} s,"
      f" {len(race.lost)} lost {' '.join(race.lost)}")
sys.exit(1 if race.lost or race.done < EDITS else 0)
