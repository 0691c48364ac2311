"""The private RabbitMQ and SQS servers of a bed."""
import os
import shutil

from builder import ensure_moto
from common import Fail, write_file

DEBIAN_RABBITMQ = "/usr/lib/rabbitmq/bin"


def rabbitmq_home():
    """The folder of RabbitMQ's own scripts: Debian's command in PATH is a wrapper that insists on root and su."""
    if os.access(os.path.join(DEBIAN_RABBITMQ, "rabbitmq-server"), os.X_OK):
        return DEBIAN_RABBITMQ
    found = shutil.which("rabbitmq-server")
    if found:
        return os.path.dirname(os.path.realpath(found))
    raise Fail("rabbitmq-server is missing: apt-get install rabbitmq-server", 3)


def require_rabbitmq():
    rabbitmq_home()
    if not shutil.which("epmd"):
        raise Fail("epmd is missing: apt-get install erlang-base", 3)


def rabbitmq_env(layout, ports, bind):
    """Everything below the bed's folder, loopback only (but for a node's pods), the Erlang port mapper on a port of its own."""
    home = layout.path("data", "rabbitmq")
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "HOME": home,
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"bed{ports['rabbitmq']}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": bind,
        "RABBITMQ_NODE_PORT": str(ports["rabbitmq"]),
        "RABBITMQ_DIST_PORT": str(ports["rabbitmq-dist"]),
        "RABBITMQ_MNESIA_BASE": os.path.join(home, "mnesia"),
        "RABBITMQ_LOG_BASE": os.path.join(home, "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONF_ENV_FILE": os.path.join(home, "none.conf"),   # not the machine's /etc/rabbitmq
        "RABBITMQ_CONFIG_FILE": os.path.join(home, "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": os.path.join(home, "none.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(home, "enabled_plugins"),
        # Its schedulers do not spin while there is nothing to do: others need the CPU.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
        # The script then execs Erlang instead of forking it, so the supervisor's child is the broker itself.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


# What `rabbitmqctl --formatter json list_queues name messages arguments` tells, as an object by name. That starts an Erlang of its own each
# time, half a second of CPU; this asks the broker's. erl_call shows the beginning of a long answer only: it comes in a file.
QUEUES = r'''answer=$(mktemp) || exit
trap 'rm -f "$answer"' EXIT
said=$(erl_call -c "$(cat "$HOME/.erlang.cookie")" -n "$RABBITMQ_NODENAME" -e 2>&1 <<ERLANG
Told = fun(Q) ->
    {resource, _, queue, Name} = proplists:get_value(name, Q),
    Arguments = [{Key, Value} || {Key, _, Value} <- proplists:get_value(arguments, Q)],
    {Name, #{messages => proplists:get_value(messages, Q), arguments => maps:from_list(Arguments)}}
end,
Queues = rabbit_amqqueue:info_all(<<"/">>, [name, messages, arguments]),
file:write_file("$answer", rabbit_json:encode(maps:from_list(lists:map(Told, Queues)))).
ERLANG
)
[ "$said" = '{ok, ok}' ] || { echo "$said" >&2; exit 1; }
cat "$answer"
'''


def rabbitmq_specs(layout, ports, management, bind):
    """Specs of epmd and rabbitmq-server, and a rabbitmqctl that finds this node."""
    home, scripts = layout.path("data", "rabbitmq"), rabbitmq_home()
    os.makedirs(os.path.join(home, "mnesia"), exist_ok=True)
    env = rabbitmq_env(layout, ports, bind)
    write_file(os.path.join(home, ".erlang.cookie"), os.urandom(16).hex(), 0o400)
    write_file(os.path.join(home, "enabled_plugins"), "[rabbitmq_management].\n" if management else "[].\n")
    config = "loopback_users = none\nlog.console = true\nlog.console.level = info\nlog.file = false\n"
    if management:
        config += f"management.tcp.ip = {bind}\nmanagement.tcp.port = {ports['rabbitmq-management']}\n"
    write_file(os.path.join(home, "rabbitmq.conf"), config)
    os.makedirs(layout.path("bin"), exist_ok=True)
    exports = "".join(f"export {key}='{value}'\n" for key, value in env.items() if key != "RUNNING_UNDER_SYSTEMD")
    write_file(layout.path("bin", "rabbitmqctl"), f"#!/bin/sh\n{exports}exec {scripts}/rabbitmqctl \"$@\"\n", 0o755)
    write_file(layout.path("bin", "rabbitmq-queues"), f"#!/bin/sh\n{exports}{QUEUES}", 0o755)
    epmd = ["epmd", "-port", str(ports["epmd"]), "-address", "127.0.0.1"]
    return {
        "epmd": {"argv": epmd, "env": env, "cwd": home},
        "rabbitmq": {"argv": [os.path.join(scripts, "rabbitmq-server")], "env": env, "cwd": home},
    }


def rabbitmq_values(layout, ports, management, address):
    """What tests find in the bed's env file."""
    values = {
        "BED_RABBITMQ_HOST": address,
        "BED_RABBITMQ_PORT": ports["rabbitmq"],
        "BED_RABBITMQ_USER": "guest",
        "BED_RABBITMQ_PASSWORD": "guest",
        "BED_RABBITMQ_URL": f"amqp://guest:guest@{address}:{ports['rabbitmq']}/",
        "BED_RABBITMQCTL": layout.path("bin", "rabbitmqctl"),
        "BED_RABBITMQ_QUEUES": layout.path("bin", "rabbitmq-queues"),
    }
    if management:
        values["BED_RABBITMQ_MANAGEMENT_URL"] = f"http://{address}:{ports['rabbitmq-management']}"
    return values


def sqs_spec(layout, ports):
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": layout.path("data"), "PYTHONUNBUFFERED": "1",
           "AWS_ACCESS_KEY_ID": "bed", "AWS_SECRET_ACCESS_KEY": "bed", "NO_COLOR": "1"}
    return {"argv": [ensure_moto(), "-H", "127.0.0.1", "-p", str(ports["sqs"])], "env": env,
            "cwd": layout.path("data")}


def roles_env(state):
    """Who lends roles where SQS is played, and with which rights they are asked for."""
    if "sqs" not in state["brokers"]:
        return {}
    return {"AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{state['ports']['sqs']}", "AWS_ACCESS_KEY_ID": "keda", "AWS_SECRET_ACCESS_KEY": "keda"}


def sqs_values(ports):
    return {"BED_SQS_URL": f"http://127.0.0.1:{ports['sqs']}", "BED_SQS_PORT": ports["sqs"],
            "BED_SQS_REGION": "us-east-1", "BED_SQS_ACCOUNT": "123456789012"}
