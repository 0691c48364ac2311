"""The command line of bed."""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys

from common import BED, Fail, full_name, say

HELP = """bed runs a real Kubernetes control plane on this machine, with played nodes, for tests and demos.

Build:
  build        Build the pinned tools into the cache and print their folder

Life of a bed:
  up           Start a control plane inside a folder
  down         End it and everything it started
  status       Show what runs in it
  env          Print its settings as shell exports

Its components (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok, rabbitmq, sqs, proxy, faults):
  kill         Kill a component with SIGKILL
  start        Start a component again, on the same port, and wait until it serves
  restart      Kill and start a component
  pause        Freeze a component (SIGSTOP)
  resume       Let it go on (SIGCONT)
  logs         Print the log of a component

A real node (bed up --node):
  load         Give its containerd images
  enter        Run a command in the bed's network
  docker       Run a command with a dockerd of its own that has a Debian base image

Access:
  user         Make a kubeconfig for another user
  token        Print a token of a service account
  requests     Count the requests that the API server saw

Faults:
  proxy        Put a bad network in front of a server
  faults       Put a proxy that answers wrongly in front of a server

Usage:
  bed COMMAND DIR [flags]

Use "bed COMMAND --help" for more about a command.
"""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Fail(f"{message}\nSee '{self.prog} --help' for usage.", 2)


def parser():
    root = Parser(prog="bed", add_help=False)
    commands = root.add_subparsers(dest="command", parser_class=Parser)

    def command(name, function, text, example, folder=True):
        sub = commands.add_parser(name, prog=f"bed {name}", description=text, epilog=f"Examples:\n{example}",
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
        sub.set_defaults(run=function)
        if folder:
            sub.add_argument("dir", metavar="DIR", help="folder of the bed")
        return sub

    sub = command("build", run_build, "Build the pinned tools. Their folder is the last line on stdout.",
                  "  bed build\n  bed build --only kubectl,helm", folder=False)
    sub.add_argument("--only", metavar="NAMES", help="only these tools, separated by commas")
    sub.add_argument("--key", action="store_true", help="build nothing, print the cache folder of these pins")
    sub.add_argument("--oldest", action="store_true", help="those of the oldest server, and the kubelet")

    add_up(command)

    sub = command("down", run_down, "End a bed. Logs stay unless purged.", "  bed down /tmp/bed --purge")
    sub.add_argument("--purge", action="store_true", help="remove the logs, too, and the folder if it is then empty")

    sub = command("status", run_status, "Show what runs. Exit status 0: all components run, 1: not all.",
                  "  bed status /tmp/bed\n  bed status /tmp/bed -o json")
    sub.add_argument("-o", dest="output", choices=["json"], help="output format")

    command("env", run_env, "Print the settings of a bed as shell exports, its tools first in PATH.",
            '  eval "$(bed env /tmp/bed)"')

    for name, text in (("kill", "Kill a component with SIGKILL; it stays down until `bed start`."),
                       ("start", "Start a component again, on the same port, and wait until it serves."),
                       ("restart", "Kill a component, start it again, and wait until it serves."),
                       ("pause", "Freeze a component: its sockets stay open, it answers nothing."),
                       ("resume", "Let a paused component go on."),
                       ("logs", "Print the log of a component.")):
        sub = command(name, run_component, text, f"  bed {name} /tmp/bed apiserver")
        sub.add_argument("component", metavar="COMPONENT", help="e.g. etcd, apiserver, scheduler, rabbitmq, sqs")
        if name == "logs":
            sub.add_argument("--tail", type=int, metavar="N", help="only the last N lines")

    sub = command("user", run_user, "Make a client certificate and DIR/kubeconfig-NAME for a user without rights.",
                  "  bed user /tmp/bed jane --group developers")
    sub.add_argument("name", metavar="NAME")
    sub.add_argument("--group", action="append", default=[], help="group of the user (repeatable)")
    sub.add_argument("--through-proxy", action="store_true", help="let the kubeconfig go through `bed proxy`")

    sub = command("token", run_token, "Print a bound token of a service account.",
                  "  bed token /tmp/bed default default")
    sub.add_argument("namespace", metavar="NAMESPACE")
    sub.add_argument("account", metavar="SERVICEACCOUNT")
    sub.add_argument("--duration", default="24h", help="how long it is valid (default 24h)")

    sub = command("load", run_load, "Give the node's containerd images: files that `docker save` made.",
                  "  bed load /tmp/bed image.tar")
    sub.add_argument("files", nargs="+", metavar="FILE")

    sub = command("enter", run_enter, "Run a command in the network and with the settings of a bed that has a node.\n"
                  "kubectl and helm of `bed env` enter it by themselves.",
                  "  bed enter /tmp/bed curl http://10.88.0.5:8080/metrics\n  bed enter /tmp/bed bash")
    sub.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")

    sub = command("docker", run_docker, "Run a command with DOCKER_HOST set to a dockerd that lives as long as the command.\n"
                  "It has debian:bookworm-slim (made by debootstrap), and what was built is kept in the cache.",
                  "  bed docker make docker-build IMG=asya-operator:dev", folder=False)
    sub.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")

    sub = command("requests", run_requests,
                  "Count requests in the audit log by verb and resource. A watch counts when it opens.",
                  "  bed requests /tmp/bed --agent asya-operator\n  bed requests /tmp/bed --since-byte 123456 -o json")
    sub.add_argument("--agent", default="", help="only user agents that start so")
    sub.add_argument("--user", default="", help="only this user name")
    sub.add_argument("--since-byte", type=int, default=0, metavar="N", help="skip the first N bytes of the log")
    sub.add_argument("-o", dest="output", choices=["json"], help="output format")

    add_proxy(command)
    add_faults(command)
    return root


def add_up(command):
    sub = command("up", run_up, "Start etcd, API server, controller-manager, scheduler and played nodes in a folder.\n"
                  "Returns when they serve. Prints the kubeconfig; all settings are in DIR/env.",
                  "  bed up /tmp/bed\n  bed up /tmp/bed --keda-crds --crds crds/ --rabbitmq --owner-pid 0")
    sub.add_argument("--kwok", dest="kwok", action="store_true", default=True, help="play a node (default)")
    sub.add_argument("--no-kwok", dest="kwok", action="store_false", help="no node: pods stay Pending")
    sub.add_argument("--node", action="store_true",
                     help="also a real node: containerd and kubelet, in a network of the bed's own (root only)")
    sub.add_argument("--server", choices=["newest", "oldest"], default="newest", help="which pinned servers (default newest)")
    sub.add_argument("--keda-crds", action="store_true", help="install KEDA's CRDs")
    sub.add_argument("--keda", action="store_true",
                     help="a real KEDA: operator, metrics server, webhooks (their first build takes some ten minutes)")
    sub.add_argument("--crds", action="extend", nargs="+", default=[], metavar="PATH", help="install these, too")
    sub.add_argument("--stages", action="extend", nargs="+", default=[], metavar="FILE", help="more KWOK stages")
    sub.add_argument("--rabbitmq", action="store_true", help="start a RabbitMQ")
    sub.add_argument("--rabbitmq-management", action="store_true", help="the same, with the management plugin")
    sub.add_argument("--sqs", action="store_true", help="start an SQS and STS server (moto)")
    sub.add_argument("--owner-pid", type=int, metavar="PID",
                     help="the bed ends with this process (default: the parent of bed; 0: only with `bed down`)")
    sub.add_argument("--apiserver-arg", action="append", default=[], metavar="ARG",
                     help="one more argument for kube-apiserver, e.g. --apiserver-arg=--max-requests-inflight=5")


def add_proxy(command):
    sub = command("proxy", run_proxy,
                  "Start a TCP proxy in front of a server, or tell it what to do. It prints its state as JSON.\n"
                  "For the API server there is DIR/kubeconfig-proxy; for brokers see BED_PROXY_* in DIR/env.\n\n"
                  "What it does: pass, cut, close, cut-after BYTES, refuse, silent, delay MS, status.",
                  "  bed proxy /tmp/bed\n  bed proxy /tmp/bed silent\n  bed proxy /tmp/bed --for rabbitmq delay 200")
    sub.add_argument("--for", dest="target", default="kube-apiserver", metavar="COMPONENT",
                     help="server behind it (default kube-apiserver; rabbitmq, sqs)")
    sub.add_argument("--listen", type=int, metavar="PORT", help="port to listen on (default: a free one)")
    sub.add_argument("do", nargs="*", metavar="WHAT", help="what to do from now on")


def add_faults(command):
    sub = command("faults", run_faults,
                  "Start a proxy that speaks HTTP or AMQP in front of a server, or tell it what to do. It prints its answer as JSON.\n"
                  "For the API server there is DIR/kubeconfig-faults; for brokers see BED_FAULTS_* in DIR/env.\n\n"
                  "What it does: add RULE (JSON, see README.md), remove ID, clear, list, recert [close].",
                  "  bed faults /tmp/bed\n"
                  "  bed faults /tmp/bed add '{\"act\": \"status\", \"status\": 429, \"method\": \"PATCH\", \"times\": 3}'\n"
                  "  bed faults /tmp/bed clear")
    sub.add_argument("--for", dest="target", default="kube-apiserver", metavar="COMPONENT",
                     help="server behind it (default kube-apiserver; rabbitmq, sqs)")
    sub.add_argument("do", nargs="*", metavar="WHAT", help="what to do from now on")


def run_build(options):
    import builder
    part = builder.OLDEST if options.oldest else None
    if options.key:
        print(builder.Cache(part).root)
        return
    names = [name for name in (options.only or "").split(",") if name]
    print(builder.ensure(names, part).bin)


def run_up(options):
    import cluster
    options.rabbitmq = options.rabbitmq or options.rabbitmq_management
    cluster.Bed(options).up()


def run_down(options):
    import cluster
    cluster.down(options)


def run_status(options):
    from control import open_bed
    layout, _, control = open_bed(options.dir)
    answer = control.ask("status")
    components = answer["components"]
    if options.output == "json":
        print(json.dumps({"supervisor": answer["pid"], "owner": answer["owner"], "components": components}))
    else:
        print(f"{'NAME':<26}{'PID':<10}STATUS")
        print(f"{'supervisor':<26}{answer['pid']:<10}owner {answer['owner'] or 'none'}")
        for name, one in components.items():
            print(f"{name:<26}{one['pid'] or '-':<10}{'running' if one['pid'] else one['ended']}")
    return 0 if all(one["pid"] for one in components.values()) else 1


def run_env(options):
    import shlex
    from common import Layout
    values = Layout(options.dir).load().get("env", {})
    for key, value in values.items():
        print(f"export {key}={shlex.quote(value)}")
    print(f"export PATH={shlex.quote(tools(Layout(options.dir), values))}:\"$PATH\"")


def tools(layout, env):
    """What belongs first in PATH: a bed with a node has its own kubectl and helm, and bed-curl, which enter its network."""
    return f"{layout.path('bin')}:{env['BED_BIN']}" if "BED_NODE" in env else env.get("BED_BIN", "")


def run_load(options):
    import node
    from control import open_bed
    _, state, _ = open_bed(options.dir)
    if not state.get("node"):
        raise Fail(f"the bed in {options.dir} has no node; start one with: bed up {options.dir} --node")
    for path in options.files:
        node.load(state, path)


def run_enter(options):
    from control import open_bed
    layout, state, _ = open_bed(options.dir)
    env = dict(os.environ, **state["env"], PATH=f"{tools(layout, state['env'])}:{os.environ['PATH']}")
    words = words_of(options)
    os.execvpe(words[0], words, env)


def run_docker(options):
    import images
    return images.run_docker(words_of(options))


def words_of(options):
    if not options.words:
        raise Fail(f"no command given\nSee 'bed {options.command} --help' for usage.", 2)
    return options.words


def run_component(options):
    from control import open_bed, wait_ready
    from common import Layout
    name, verb = full_name(options.component), options.command
    if verb == "logs":
        print_log(Layout(options.dir), name, options.tail)
        return
    _, state, control = open_bed(options.dir)
    if verb in ("kill", "restart"):
        control.ask("stop", name=name)
    if verb in ("start", "restart"):
        control.ask("start", name=name)
        wait_ready(control, state, name, int(os.environ.get("BED_TIMEOUT", "120")))
    if verb in ("pause", "resume"):
        control.ask("signal", name=name, number=int(signal.SIGSTOP if verb == "pause" else signal.SIGCONT))


def print_log(layout, name, count):
    try:
        with open(layout.log(name), encoding="utf-8", errors="replace") as f:
            lines = f.readlines()
    except FileNotFoundError:
        known = sorted(entry[:-4] for entry in os.listdir(layout.path("logs"))) if os.path.isdir(
            layout.path("logs")) else []
        raise Fail(f"no log of {name}; there are: {', '.join(known) or 'none'}") from None
    sys.stdout.write("".join(lines[-count:] if count else lines))


def run_user(options):
    import pki
    from common import Layout
    layout = Layout(options.dir)
    state = layout.load()
    if not options.name or "/" in options.name or options.name in ("proxy", "faults"):
        raise Fail(f"a user cannot be named {options.name!r} here", 2)
    server = "proxy" if options.through_proxy else "kube-apiserver"
    if server not in state["ports"]:
        raise Fail(f"no proxy yet; start it with: bed proxy {options.dir}")
    file = "user-" + options.name
    pki.make_certificate(layout.path("pki"), file, options.name, options.group)
    path = layout.path("kubeconfig-" + options.name)
    pki.write_kubeconfig(path, layout.path("pki"), file, state["ports"][server])
    print(path)


def run_token(options):
    from common import Layout
    layout = Layout(options.dir)
    env = layout.load()["env"]
    kubectl = shutil.which("kubectl", path=tools(layout, env))
    return subprocess.run([kubectl, "--kubeconfig", layout.path("kubeconfig"),
                           "create", "token", "-n", options.namespace, options.account,
                           "--duration", options.duration], check=False).returncode


def run_requests(options):
    import audit
    audit.show(options)


def run_proxy(options):
    from control import open_bed
    target = full_name(options.target)
    name = "proxy" if target == "kube-apiserver" else "proxy-" + target
    layout, state, control = open_bed(options.dir)
    if target not in state["ports"]:
        raise Fail(f"{target} has no port in this bed")
    if name not in control.ask("status")["components"]:
        start_proxy(layout, state, control, name, target, options.listen)
    tell(state, name, " ".join(options.do or ["status"]))


def tell(state, name, line):
    import proxy
    answer = proxy.send_command(state["ports"][name + "-control"], line)
    print(json.dumps(dict(answer, port=state["ports"][name])))
    if "error" in answer:
        raise Fail(answer["error"], 2)


def start_proxy(layout, state, control, name, target, listen):
    if listen:
        control.ask("reserve", port=listen)
    ports = ([listen] if listen else []) + control.ask("ports", count=1 if listen else 2)["ports"]
    state["ports"].update({name: ports[0], name + "-control": ports[1]})
    argv = [sys.executable, BED, "run-proxy", str(ports[0]), str(state["ports"][target]), str(ports[1])]
    run_before(layout, state, control, name, argv)


def run_before(layout, state, control, name, argv):
    """Starts what stands before a server: `proxy` and `faults` before the API server, else with the server's name behind."""
    import pki
    from cluster import write_env
    from control import wait_ready
    control.ask("define", name=name, spec={"argv": argv, "env": {"PATH": os.environ["PATH"]}, "cwd": layout.dir})
    control.ask("start", name=name)
    wait_ready(control, state, name, 20)
    port, prefix = state["ports"][name], "BED_" + name.upper().replace("-", "_")
    values = dict(state["env"])
    values.update({prefix + "_PORT": port, prefix + "_CONTROL_PORT": state["ports"][name + "-control"]})
    if "-" not in name:
        values[prefix + "_SERVER"] = f"https://127.0.0.1:{port}"
        pki.write_kubeconfig(layout.path("kubeconfig-" + name), layout.path("pki"), "admin", port)
    write_env(layout, state, values)


SCHEMES = {"kube-apiserver": "https", "rabbitmq": "amqp", "sqs": "http"}  # what `bed faults` speaks


def run_faults(options):
    from control import open_bed
    target = full_name(options.target)
    if target not in SCHEMES:
        raise Fail(f"no faults for {target}; there are some for {', '.join(SCHEMES)}", 2)
    name = "faults" if target == "kube-apiserver" else "faults-" + target
    line = faults_line(options.do or ["list"])
    layout, state, control = open_bed(options.dir)
    if target not in state["ports"]:
        raise Fail(f"{target} has no port in this bed")
    if name not in control.ask("status")["components"]:
        start_faults(layout, state, control, name, target)
    tell(state, name, line)


def faults_line(words):
    """The words of the shell as the proxy's control port wants them."""
    verb, rest, fields = words[0], words[1:], {}
    try:
        if verb == "add":
            fields = json.loads(" ".join(rest))
        elif verb == "remove":
            fields = {"id": int(" ".join(rest))}
        elif verb == "recert" and rest == ["close"]:
            fields = {"close": True}
        elif rest:
            raise ValueError(f"unknown word {rest[0]!r}")
        return json.dumps(dict(fields, do=verb))
    except (TypeError, ValueError) as error:
        raise Fail(f"{verb}: {error}", 2) from None


def start_faults(layout, state, control, name, target):
    import builder
    ports = control.ask("ports", count=2)["ports"]
    state["ports"].update({name: ports[0], name + "-control": ports[1]})
    argv = [builder.ensure_faults(), "-listen", str(ports[0]), "-control", str(ports[1]),
            "-target", f"{SCHEMES[target]}://127.0.0.1:{state['ports'][target]}", "-pki", layout.path("pki")]
    run_before(layout, state, control, name, argv)


def main(arguments):
    if arguments[:1] == ["supervise"]:
        import supervisor
        return supervisor.main(arguments[1:])
    if arguments[:1] == ["run-proxy"]:
        import proxy
        return proxy.main(arguments[1:])
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    # An interrupted `bed up` must come to its own cleaning up, whoever interrupts it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        options, rest = parser().parse_known_args(arguments)
        # argparse does not see words that follow a flag as belonging to `do`.
        if options.command in ("proxy", "faults") and not any(word.startswith("-") for word in rest):
            options.do, rest = options.do + rest, []
        if rest:
            raise Fail(f"unknown flag or argument: {rest[0]}\nSee 'bed {options.command} --help' for usage.", 2)
        return options.run(options) or 0
    except Fail as error:
        print(f"bed: error: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        say("interrupted")
        return 130
