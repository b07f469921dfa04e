"""The `confhub` command: its container side."""

import re
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from watchers import logs, options
from watchers.agent import Agent
from watchers.etcd import Etcd
from watchers.health import HealthServer
from watchers.labels import read_wishes
from watchers.options import BadOption, Options
from watchers.run.child import CannotStart
from watchers.run.supervise import Job, NoConfiguration, Supervisor
from watchers.wire.names import BadName, check_slug

REFUSED = 1
# Python lets a busy thread keep the interpreter for 5 ms while another waits; a release passes
# through three threads here, and the signal shall not wait for any of them.
SWITCH_S = 0.0005


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(options.AGENT.partition("/")[2], prog_name="confhub")
def main() -> None:
    """Live configuration for services in containers.

    Settings come from the environment: ETCD_ENDPOINTS, ETCD_PREFIX, CONFHUB_HOST,
    CONFHUB_STATE_DIR, CONFHUB_AGENT_HEALTH, DOCKER_HOST, LOG_LEVEL, LOG_JSON.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """
    sys.setswitchinterval(SWITCH_S)


@main.command()
def agent() -> None:
    """Serve every labelled container of this host's engine, until it is stopped.

    Asks the engine with GET only, writes into the volumes that the labels name, and signals
    processes itself; for that it needs their process ids (`pid: host` in a container), and root
    or CAP_KILL.

    Exit codes: 0 stopped when asked (TERM, INT), 1 could not begin, 2 wrong usage.
    """
    told = _options()
    # Here, because `confhub run` does without the engine's client and its memory.
    from watchers.runtimes.docker import runtimes_from

    etcd = _etcd(told)
    try:
        served = Agent(etcd, told.keyspace, runtimes_from(told), told.state_dir, told.host)
        health = _health(served, told)
    except OSError as error:
        _refuse(f"The agent cannot begin: {error}. Set CONFHUB_STATE_DIR or CONFHUB_AGENT_HEALTH.")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    served.run(stop)
    if health is not None:
        health.close()
    etcd.close()


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--service", required=True, help="Whose configuration.")
@click.option("--environment", required=True, help="In which environment.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Where the files go. Default: below CONFHUB_STATE_DIR.",
)
@click.option(
    "--files",
    default="json,env",
    show_default=True,
    help="env, json, entry:NAME; config.json is always written.",
)
@click.option(
    "--reload",
    "how",
    default="none",
    show_default=True,
    help="How the process is told: signal:HUP, or none where it watches its files.",
)
@click.option(
    "--soak",
    default="2s",
    show_default=True,
    help="How long it must live with a release before that is proven.",
)
@click.option("--instance", help="The instance's id. Default: HOST-SERVICE-ENVIRONMENT.")
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Without any configuration: wait for one, or exit with 1.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    service: str,
    environment: str,
    directory: Path | None,
    files: str,
    how: str,
    soak: str,
    instance: str | None,
    wait: bool,
    command: tuple[str, ...],
) -> None:
    """Start COMMAND with its configuration, and tell it of each new one.

    It finds CONFHUB_DIR, CONFHUB_RELEASE and the configuration in its environment, and the files
    in CONFHUB_DIR. Without etcd it starts from the last known good files there. Signals are passed
    on. As process 1 of a container it also takes in orphans.

    Exit codes: COMMAND's own, 128+n when signal n ended it; 1 no configuration (with --no-wait) or
    no place for the files, 2 wrong usage, 126 COMMAND cannot be run, 127 there is no such program.
    """
    told = _options()
    job = _job(
        told, service, environment, directory, f"json,{files}", how, soak, instance, wait, command
    )
    state_dir = told.state_dir / "run" / job.instance_id
    etcd = _etcd(told)
    try:
        supervisor = Supervisor(job, told, etcd, state_dir)
        health = _health(supervisor.agent, told)
    except OSError as error:
        _refuse(f"{error}. Set CONFHUB_STATE_DIR to a directory that may be written.")
    try:
        code = supervisor.run()
    except NoConfiguration as error:
        _refuse(str(error))
    except CannotStart as error:
        _refuse(str(error), error.code)
    if health is not None:
        health.close()
    etcd.close()
    sys.exit(code)


def _job(
    told: Options,
    service: str,
    environment: str,
    directory: Path | None,
    files: str,
    how: str,
    soak: str,
    instance: str | None,
    wait: bool,
    command: tuple[str, ...],
) -> Job:
    try:
        check_slug(service, what="service")
        check_slug(environment, what="environment")
    except BadName as error:
        raise click.UsageError(str(error)) from error
    problems: list[str] = []
    wishes = read_wishes({"files": files, "reload": how, "soak": soak}, problems)
    if wishes is None:
        raise click.UsageError(" ".join(problems))
    name = instance or f"{told.host}-{service}-{environment}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", name):
        raise click.UsageError(
            f"{name[:140]!r} cannot be an instance's id: write letters, digits, '_', '.' or '-' "
            "with --instance, or set CONFHUB_HOST."
        )
    where = (directory or told.state_dir / "run" / name / "files").absolute()
    return Job(
        service, environment, name, where, replace(wishes, directory=str(where.resolve())),
        command, wait,
    )  # fmt: skip


def _options() -> Options:
    try:
        told = options.from_environment()
    except BadOption as error:
        raise click.UsageError(str(error)) from error
    logs.configure(level=told.log_level, as_json=told.log_json)
    return told


def _etcd(told: Options) -> Etcd:
    try:
        return Etcd(told.endpoints)
    except ValueError as error:
        raise click.UsageError(f"ETCD_ENDPOINTS: {error}") from error


def _health(served: Agent, told: Options) -> HealthServer | None:
    """Raises OSError when the address is taken."""
    if told.health is None:
        return None
    return HealthServer(told.health, served.pulse, lambda: {"etcd": served.silence()})


def _refuse(text: str, code: int = REFUSED) -> NoReturn:
    click.echo(f"confhub: {text}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
