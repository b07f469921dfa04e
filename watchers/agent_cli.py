"""`confhub agent` and what can be asked of it: once, diff, explain."""

import signal
import threading
from pathlib import Path

import click

from watchers.agent import Agent
from watchers.commands.common import (
    Output,
    etcd_of,
    health_of,
    output_option,
    read_options,
    refuse,
)


@click.group(invoke_without_command=True)
@click.pass_context
def agent(context: click.Context) -> None:
    """Serve every labelled container of this host's engine, until it is stopped.

    Asks the engine with GET only, writes into the volumes that the labels name, and signals
    processes itself; for that it needs their process ids (`pid: host` in a container), and root
    or CAP_KILL.

    Exit codes: 0 stopped when asked (TERM, INT), 1 could not begin, 2 wrong usage.
    """
    if context.invoked_subcommand is None:
        _serve()


def _serve() -> None:
    told = read_options()
    # Here, because `confhub run` does without the engine's client and its memory.
    from watchers.runtimes.docker import runtimes_from

    etcd = etcd_of(told)
    try:
        served = Agent(etcd, told.keyspace, runtimes_from(told), told.state_dir, told.host)
        health = health_of(served, told)
    except OSError as error:
        refuse(f"The agent cannot begin: {error}. Set CONFHUB_STATE_DIR or CONFHUB_AGENT_HEALTH.")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    served.run(stop)
    if health is not None:
        health.close()
    etcd.close()


@agent.command()
@click.option("--service", help="Only write the files of this service; no engine is asked.")
@click.option("--environment", help="In which environment.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Where the files of --service go. Default: CONFHUB_DIR, else /run/confhub.",
)
@click.option(
    "--files",
    default="env,json",
    show_default=True,
    help="What is written of --service, as in confhub.files.",
)
@click.option(
    "--instance",
    help="As which instance, while a rollout stands. Default: HOST-SERVICE-ENVIRONMENT.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to wait.",
)
@output_option
def once(
    service: str | None,
    environment: str | None,
    directory: Path | None,
    files: str,
    instance: str | None,
    timeout_s: float,
    form: str,
) -> None:
    """Bring everything to its release, then end: for an init container, or before a test.

    Without options: every labelled container of this host's engine, until each one has confirmed
    its release, or holds the files where it does not run. With --service and --environment: only
    the files of that scope, written to --dir.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not done within --timeout.
    """
    from watchers.commands import once as command

    told = read_options(quiet=True)
    output = Output(form == "json")
    if (service is None) != (environment is None):
        raise click.UsageError("--service and --environment are needed together.")
    if service is not None and environment is not None:
        code = command.write_scope(
            told, etcd_of(told), (service, environment), directory, files, instance, timeout_s,
            output,
        )  # fmt: skip
    else:
        code = command.serve_once(told, etcd_of(told), timeout_s, output)
    raise SystemExit(code)


@agent.command()
@click.argument("container", required=False)
@output_option
def diff(container: str | None, form: str) -> None:
    """Show what the agent would do now, without doing it.

    For each labelled container (or the one named): which files would differ, what its check says
    of them, and which way would tell which process. The check runs against a generation that is
    written beside the present one and removed again; nothing is swapped or signalled. Secrets are
    masked.

    Exit codes: 0 looked, 1 a check or the labels refuse, or there is no such container, 2 wrong
    usage.
    """
    from watchers.commands import diff as command

    told = read_options(quiet=True)
    raise SystemExit(command.show(told, etcd_of(told), container, Output(form == "json")))


@agent.command()
@click.argument("container")
@output_option
def explain(container: str, form: str) -> None:
    """Say what the agent knows of CONTAINER (name or id), and what it will do at the next release.

    Exit codes: 0 served, 1 something is in its way, or there is no such container, 2 wrong usage.
    """
    from watchers.commands import explain as command

    told = read_options(quiet=True)
    raise SystemExit(command.show(told, etcd_of(told), container, Output(form == "json")))
