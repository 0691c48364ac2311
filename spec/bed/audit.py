"""bed requests: what the API server's audit log says about a client."""
import collections
import json

from common import Fail, Layout


def events(path, since=0):
    """Finished requests, and watches as soon as they are open (their end comes minutes later: left out)."""
    try:
        log = open(path, "rb")
    except FileNotFoundError:
        raise Fail(f"no audit log at {path}") from None
    with log:
        log.seek(since)
        for line in log:
            if not line.endswith(b"\n"):
                break  # being written right now
            event = json.loads(line)
            wanted = "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"
            if event["stage"] == wanted or (event["verb"] == "watch" and event["stage"] == "ResponseComplete"
                                            and event.get("responseStatus", {}).get("code", 0) >= 400):
                yield event


def resource_of(event):
    ref = event.get("objectRef")
    if not ref:
        return event["requestURI"].partition("?")[0]
    name = ref["resource"] + ("." + ref["apiGroup"] if ref.get("apiGroup") else "")
    return name + ("/" + ref["subresource"] if ref.get("subresource") else "")


def show(options):
    counts = collections.Counter()
    for event in events(Layout(options.dir).path("audit.log"), options.since_byte):
        if not event.get("userAgent", "").startswith(options.agent):
            continue
        if options.user and event["user"].get("username") != options.user:
            continue
        counts[event["verb"], resource_of(event), event.get("responseStatus", {}).get("code", 0)] += 1
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if options.output == "json":
        print(json.dumps({"total": sum(counts.values()), "requests": [
            {"verb": verb, "resource": resource, "code": code, "count": count}
            for (verb, resource, code), count in rows]}))
        return
    print(f"{'COUNT':<8}{'VERB':<18}{'CODE':<6}RESOURCE")
    for (verb, resource, code), count in rows:
        print(f"{count:<8}{verb:<18}{code:<6}{resource}")
    print(f"{sum(counts.values())} requests")
