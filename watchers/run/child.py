"""The supervised process: started with its configuration, sent our signals, ended."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from watchers import processes
from watchers.processes import ProcessId
from watchers.render.errors import CannotRender
from watchers.render.formats import variables
from watchers.run.signals import name_of
from watchers.swap.disk import release_of

log = structlog.get_logger("watchers.child")
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT}
# Configuration is data: whoever may publish must not choose what code a machine loads by it.
NOT_FROM_CONFIG = re.compile(
    r"PATH|HOME|SHELL|USER|IFS|ENV|BASH_ENV|(LD|DYLD|CONFHUB|GIT|MALLOC|LISTEN|WATCHDOG)_.*"
    r"|(PYTHON|PERL|RUBY).*|NOTIFY_SOCKET|GLIBC_TUNABLES|GCONV_PATH"
    r"|NODE_OPTIONS|NODE_PATH|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS"
)
MAX_VARIABLE_BYTES = 128 * 1024 - 1  # MAX_ARG_STRLEN of execve(2), with its final NUL


class CannotStart(Exception):
    """The command cannot be run. `code` is what a shell would exit with.

    `by_release`: the configuration is what is in the way, so another one may not be.
    """

    def __init__(self, text: str, code: int, *, by_release: bool = False) -> None:
        super().__init__(text)
        self.code, self.by_release = code, by_release


def environment_of(
    files: Mapping[str, bytes], *, generation: str, directory: Path
) -> dict[str, str]:
    """The variables that a process begins with: the release's values, CONFHUB_DIR, CONFHUB_RELEASE.

    Entries that are files of their own are left out, and so is what execve or NOT_FROM_CONFIG
    does not allow; each of these is said in the log by name.
    """
    values = json.loads(files.get("config.json", b"{}"))
    try:
        made = variables({key: value for key, value in values.items() if key not in files})
    except CannotRender as error:
        log.warning("environment.left_out", reason=str(error))
        made = {}
    for name in list(made):
        too_long = len(name) + len(made[name].encode()) + 1 > MAX_VARIABLE_BYTES
        if too_long or NOT_FROM_CONFIG.fullmatch(name):
            del made[name]
            reason = "longer than an environment variable may be" if too_long else "reserved"
            log.warning("variable.left_out", name=name, reason=reason)
    return {
        **made,
        "CONFHUB_DIR": str(directory),
        "CONFHUB_RELEASE": str(release_of(generation)),
    }


class Child:
    """One process in a group of its own, so that a terminal's Ctrl-C reaches it once."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """`environment` is all of it. Raises CannotStart."""
        try:
            self._process = subprocess.Popen(  # the command of our own command line
                list(command), env=dict(environment), process_group=0
            )
        except FileNotFoundError as error:
            raise CannotStart(f"{command[0]}: there is no such program on PATH.", 127) from error
        except OSError as error:
            too_large = error.errno == errno.E2BIG
            text = (
                "the configuration is larger than a process's environment may be"
                if too_large
                else error.strerror
            )
            raise CannotStart(
                f"{command[0]} cannot be run: {text}.", 126, by_release=too_large
            ) from error
        self.pid = self._process.pid
        self.began = time.monotonic()
        # Before anybody reaps it: a child that has ended already still has its identity.
        self.identity: ProcessId | None = processes.identify(self.pid)
        self.told_to_restart = False
        self._asked = False
        self._kill_at: float | None = None
        self._has_terminal = _has_terminal() and _give_terminal(self.pid)

    def send(self, number: int) -> None:
        """Pass a signal of ours on. One that ended meanwhile is fine."""
        self._asked |= number in ENDING
        self._process.send_signal(number)

    def stop(self, number: int, *, grace_s: float, restarts: bool = False) -> None:
        """Ask it to end. Once `grace_s` is over, `press` ends it; asking again gives no more time.

        `restarts`: so that another one can begin.
        """
        self._asked = True
        self.told_to_restart |= restarts
        if self._kill_at is None:
            self._kill_at = time.monotonic() + grace_s
        self._process.send_signal(number)

    def press(self) -> float | None:
        """KILL it, and what is left of its group, if its grace is over; else the seconds left.

        None when nobody asked it to end.
        """
        if self._kill_at is None:
            return None
        left_s = self._kill_at - time.monotonic()
        if left_s > 0:
            return left_s
        if self.code() is None:
            log.warning("process.killed", pid=self.pid, because="it did not end within its grace")
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.kill()
        return None

    def code(self) -> int | None:
        """Its exit code, 128 + n for signal n; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return code if code >= 0 else 128 - code

    @property
    def asked_to_stop(self) -> bool:
        """We asked it to end, or it ended as a terminal's Ctrl-C makes it."""
        return self._asked or self.code() in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)

    @property
    def ending(self) -> str:
        """`exit code 1`, `signal KILL`."""
        code = self._process.returncode or 0
        return f"exit code {code}" if code >= 0 else f"signal {name_of(-code)}"

    @property
    def lived_s(self) -> float:
        return time.monotonic() - self.began

    def close(self) -> None:
        if self._has_terminal:
            _give_terminal(os.getpgrp())


def _give_terminal(group: int) -> bool:
    """Make `group` the one that our terminal talks to; False without one."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it would stop us for asking
    try:
        os.tcsetpgrp(0, group)
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGTTOU, before)
    if group != os.getpgrp():
        # It may have asked the terminal for something already, and was stopped for that.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)
    return True


def _has_terminal() -> bool:
    """True when standard input is a terminal that is ours to give away."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
