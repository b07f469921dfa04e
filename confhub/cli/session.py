"""One `make up` from start to stop: what runs when, what is printed, what stands in var/up.json."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

from confhub import env
from confhub.cli import kernel, stack
from confhub.cli.management.commands import bootstrap
from confhub.cli.stack import Addresses
from confhub.cli.supervisor import POLL_S, Supervisor

READY_S = 90.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class RunsAlready(Exception):
    """Another `make up` holds this folder."""


class DidNotStart(Exception):
    """Something ended before all of it was ready; everything that was started is stopped again."""


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold `directory` for this process. The kernel lets go of it however we end.

    Raises RunsAlready, with the address of the one that runs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "up.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = read_up_file(directory)
            pid = held.get("pids", {}).get("up")
            where = f" at {held['url']}" if "url" in held else ""
            way_out = f"press Ctrl-C in its terminal, or: kill {pid}" if pid else "wait for it"
            raise RunsAlready(
                f"ConfHub runs from this folder already{where}. To stop it, {way_out}"
            ) from None
        yield


def read_up_file(directory: Path) -> dict[str, Any]:
    """var/up.json, or {} where nothing runs."""
    try:
        held: dict[str, Any] = json.loads((directory / "up.json").read_text())
    except (OSError, ValueError):
        return {}
    return held


class Session:
    """Starts in two waves, waits until the pages answer, then keeps everything running."""

    def __init__(
        self, addresses: Addresses, *, host: str, with_demo: bool, verbose: bool, began: float
    ) -> None:
        self._at = addresses
        self._host = host
        self._with_demo = with_demo
        self._verbose = verbose
        self._began = began  # time.monotonic()
        self._asked_to_stop = 0
        self._logs = env.VAR_DIR / "log"
        self._up_file = env.VAR_DIR / "up.json"
        self._supervisor = Supervisor(directory=env.BASE_DIR, logs=self._logs, say=_say)
        self._shown: dict[str, IO[bytes]] = {}
        self._made: dict[str, str] = {}  # a password and a token that must reach somebody's eyes

    def until_stopped(self) -> None:
        """Returns after a signal, with everything stopped. Raises DidNotStart."""
        self._up_file.unlink(missing_ok=True)
        for which in SIGNALS:
            if signal.getsignal(which) is not signal.SIG_IGN or which is signal.SIGINT:
                signal.signal(which, self._on_signal)
        try:
            self._start()
            while not self._asked_to_stop:
                if self._supervisor.look():
                    self._write_up_file()
                self._show_new_lines()
                time.sleep(POLL_S)
        finally:
            self._stop()

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self._asked_to_stop += 1

    # --- start ------------------------------------------------------------------------------

    def _start(self) -> None:
        self._supervisor.start(stack.stores(self._at))
        self._prepare_database()
        programs = [stack.web(self._at), *stack.workers(self._at, self._host)]
        if self._with_demo:
            programs.append(
                stack.demo(
                    self._at,
                    service=bootstrap.DEMO,
                    environment_slug=bootstrap.DEMO_ENVIRONMENT,
                )
            )
        if not self._asked_to_stop:
            self._supervisor.start(programs)
            self._wait_until_ready()
        if not self._asked_to_stop:
            self._write_up_file()
            self._welcome()

    def _prepare_database(self) -> None:
        """Migrate and bootstrap, in a process of its own that knows this session's addresses."""
        demo = ["--demo"] if self._with_demo else []
        self._made = json.loads(self._manage("bootstrap", "--migrate", "--json", *demo))
        if self._with_demo:
            keys = self._manage("secrets_key", bootstrap.DEMO, bootstrap.DEMO_ENVIRONMENT)
            _write_for_us(stack.DEMO_KEYS, keys)

    def _manage(self, *arguments: str) -> str:
        """What the command printed. Raises DidNotStart."""
        manager = os.getpid()
        done = subprocess.run(
            [sys.executable, str(env.BASE_DIR / "manage.py"), *arguments],
            env=stack.environment(self._at), cwd=env.BASE_DIR, capture_output=True, text=True,
            check=False, start_new_session=True,
            preexec_fn=lambda: kernel.end_with_parent(manager),
        )  # fmt: skip
        if done.returncode:
            raise DidNotStart(f"{done.stderr.strip()}\nThe database could not be prepared.")
        return done.stdout

    def _wait_until_ready(self) -> None:
        """Until the pages and the demo answer and nothing that they depend on is missing."""
        deadline = time.monotonic() + READY_S
        while not self._asked_to_stop and (missing := self._missing()):
            if ended := self._supervisor.ended():
                raise DidNotStart(
                    f"{ended.last_lines()}\n{ended.program.name} ended while ConfHub was starting; "
                    f"its last lines stand above, all of them in {ended.log}."
                )
            if time.monotonic() > deadline:
                raise DidNotStart(f"Not ready within {READY_S:g} s: {missing} Logs: {self._logs}")
            time.sleep(POLL_S)

    def _missing(self) -> str:
        """What keeps us from being ready, in a sentence; empty once we are."""
        document = _ask(f"{self._at.url}/readyz")
        if document is None or "dependencies" not in document:
            return "The pages do not answer."
        for name, found in document["dependencies"].items():
            if not found["ok"]:
                return f"{name}: {found['why']}"
        if self._with_demo and _ask(f"{self._at.demo_url}/config.json") is None:
            return "The demo's page does not answer."
        return ""

    # --- what is told -----------------------------------------------------------------------

    def _write_up_file(self) -> None:
        """For programs: where things are. 0600, because process ids invite signals."""
        content = {
            "url": self._at.url,
            "etcd": self._at.etcd_endpoint,
            "redis": self._at.redis_url,
            "pids": {"up": os.getpid(), **self._supervisor.pids},
        }
        if self._with_demo:
            content["demo"] = self._at.demo_url
        _write_for_us(self._up_file, json.dumps(content, indent=1))

    def _welcome(self) -> None:
        took_s = time.monotonic() - self._began
        _say(f"\nConfHub is ready after {took_s:.1f} s:  {self._at.url}\n")
        self._show_sign_in()
        _say(_to_try(self._at, with_demo=self._with_demo))
        _say(f"Logs: {self._logs}   Ctrl-C stops everything that was started here.\n")
        names = self._supervisor.running if self._verbose else ["demo"] * self._with_demo
        for name in names:
            self._shown[name] = self._supervisor.running[name].log.open("rb")

    def _show_sign_in(self) -> None:
        made, self._made = self._made, {}
        if "password" in made:
            _say(
                f"  Sign in as  {bootstrap.ADMIN}  with  {made['password']}   (printed only this once)"
            )
        else:
            _say(
                f"  Sign in as  {bootstrap.ADMIN}  with the password of the first start. "
                "Lost? make up CONFHUB_ADMIN_PASSWORD=a-new-one"
            )
        if "token" in made:
            _say(f"  Token for programs:  {made['token']}   (printed only this once)")

    def _show_new_lines(self) -> None:
        for name, log in self._shown.items():
            for line in log.readlines():
                _say(f"{name:>6} │ {line.decode(errors='replace').rstrip()}")

    # --- stop -------------------------------------------------------------------------------

    def _stop(self) -> None:
        if self._made:  # the start failed, yet the password is set
            self._show_sign_in()
        asked = self._asked_to_stop
        _say("\nStopping … (Ctrl-C again: at once)")
        self._supervisor.stop(hurried=lambda: self._asked_to_stop > max(asked, 1))
        self._up_file.unlink(missing_ok=True)
        for log in self._shown.values():
            log.close()
        _say("Everything that was started here has stopped. The data stays in var/.")


def _write_for_us(path: Path, content: str) -> None:
    """Replace a file by one of mode 0600 that nobody sees half written."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
    fresh.replace(path)


def _to_try(at: Addresses, *, with_demo: bool) -> str:
    if not with_demo:
        return (
            "\n  Try next\n"
            f"  1. Make a service:  {at.url}/\n"
            "  2. Add a key in its environment dev, review, publish.\n"
            f"  3. The same for programs:  {at.url}/api/v1/docs\n"
        )
    page = f"{at.url}/services/{bootstrap.DEMO}/{bootstrap.DEMO_ENVIRONMENT}/"
    return (
        "\n  Try next\n"
        f"  1. Look at the demo, a real process with its configuration and process id:  {at.demo_url}\n"
        f"  2. Change GREETING, review, publish:  {page}\n"
        "     The line appears below and on both pages, under the same process id.\n"
        f"  3. The same for programs:  {at.url}/api/v1/docs\n"
    )


def _ask(url: str) -> dict[str, Any] | None:
    """The JSON object at `url`, also with an error's status; None where none comes."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310  # http to loopback
            held: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            return dict(json.load(error))
        return None
    except (OSError, ValueError):
        return None
    return held


def _say(line: str) -> None:
    # A terminal that was closed must not keep us from stopping the rest.
    with contextlib.suppress(OSError):
        print(line, flush=True)
