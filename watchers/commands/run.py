"""`confhub run`: one command, started with its configuration and told of each new one."""

import sys
from pathlib import Path

import click

from watchers.commands.common import etcd_of, health_of, read_options, refuse
from watchers.run.beginning import NoConfiguration
from watchers.run.child import CannotStart
from watchers.run.job import STOP_GRACE_S, BadJob, job_from
from watchers.run.supervise import Supervisor


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--service", required=True, help="Whose configuration.")
@click.option("--environment", required=True, help="In which environment.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Where the files go. Default: below CONFHUB_STATE_DIR.",
)
@click.option(
    "--deliver",
    default="volume",
    show_default=True,
    help="volume: it reads its files; env: it reads its environment only, so that whatever changes "
    "waits for a restart.",
)
@click.option(
    "--files",
    default="json,env",
    show_default=True,
    help="As in the label confhub.files; config.json is always written.",
)
@click.option(
    "--check",
    help="A command that is asked before the files are swapped in: exec:PROGRAM ARGUMENT…, where "
    "{dir} is the directory of the new files.",
)
@click.option(
    "--reload",
    default="none",
    show_default=True,
    help="How it is told: signal:HUP, http:POST :PORT/PATH, exec:PROGRAM ARGUMENT…, profile:NAME, "
    "restart, or none where it watches its files; several with ' ; ' between them are tried in turn.",
)
@click.option(
    "--confirm",
    help="What proves that it runs a release: pid, notify, report, exec:PROGRAM ARGUMENT…, or "
    "http:GET :PORT/PATH contains {release}. Default: the profile's own, else pid.",
)
@click.option("--process", help="exe=NAME: tell this program below COMMAND instead of COMMAND.")
@click.option(
    "--soak",
    default="2s",
    show_default=True,
    help="How long it must live with a release before that is proven.",
)
@click.option(
    "--stop-signal",
    default="TERM",
    show_default=True,
    help="What ends COMMAND gracefully: for a restart, and when confhub run itself gets TERM.",
)
@click.option(
    "--stop-grace",
    default=f"{STOP_GRACE_S:g}s",
    show_default=True,
    help="How long it may take to end after that, before KILL. Docker waits 10s for all of it.",
)
@click.option("--instance", help="The instance's id. Default: HOST-SERVICE-ENVIRONMENT.")
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Without any configuration: wait for one, or exit with 1.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], directory: Path | None, wait: bool, **asked: str | None) -> None:
    """Start COMMAND with its configuration, and tell it of each new one.

    It finds CONFHUB_DIR, CONFHUB_RELEASE and the configuration in its environment, and the files
    in CONFHUB_DIR. It may say of itself how a release went, at NOTIFY_SOCKET (as systemd's services
    do) and CONFHUB_REPORT. Without etcd it starts from the last known good files there. Signals
    are passed on, and orphans are taken in. Given `--reload restart` it is ended gracefully and
    begun anew with each release, and with the one before where it does not live with the new one.

    Exit codes: COMMAND's own, 128+n when signal n ended it; 1 no configuration (with --no-wait) or
    no place for the files, 2 wrong usage, 126 COMMAND cannot be run, 127 there is no such program.
    """
    told = read_options()
    try:
        job = job_from(told, asked, command, directory=directory, wait=wait)
    except BadJob as error:
        raise click.UsageError(str(error)) from error
    state_dir = told.state_dir / "run" / job.instance_id
    etcd = etcd_of(told)
    try:
        supervisor = Supervisor(job, told, etcd, state_dir)
        health = health_of(supervisor.agent, told)
    except OSError as error:
        refuse(f"{error}. Set CONFHUB_STATE_DIR to a directory that may be written.")
    try:
        code = supervisor.run()
    except NoConfiguration as error:
        refuse(str(error))
    except CannotStart as error:
        refuse(str(error), error.code)
    if health is not None:
        health.close()
    etcd.close()
    sys.exit(code)
