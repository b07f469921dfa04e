"""The supervised process: started with its configuration, sent our signals, reaped."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from watchers import options, processes
from watchers.processes import ProcessId
from watchers.render.release import CannotRender, variables
from watchers.swap.disk import release_of

log = structlog.get_logger("watchers.child")
FORWARDED = tuple(
    signal.Signals[f"SIG{name}"]
    for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT", "ALRM")
)
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT}
# Configuration is data: whoever may publish must not choose what code a machine loads by it.
NOT_FROM_CONFIG = re.compile(
    r"PATH|HOME|SHELL|USER|IFS|ENV|BASH_ENV|(LD|DYLD|PYTHON|PERL5?|RUBY|CONFHUB|GIT|MALLOC)_?.*"
    r"|NODE_OPTIONS|NODE_PATH|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS|GCONV_PATH"
)
MAX_VARIABLE_BYTES = 128 * 1024 - 1  # MAX_ARG_STRLEN of execve(2), with its final NUL


class CannotStart(Exception):
    """The command cannot be run. `code` is what a shell would exit with."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


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

    def __init__(self, command: Sequence[str], ours: Mapping[str, str]) -> None:
        """Raises CannotStart."""
        try:
            self._process = subprocess.Popen(  # the command of our own command line
                list(command), env=options.child_environment(ours), process_group=0
            )
        except FileNotFoundError as error:
            raise CannotStart(f"{command[0]}: there is no such program on PATH.", 127) from error
        except OSError as error:
            raise CannotStart(f"{command[0]} cannot be run: {error.strerror}.", 126) from error
        self.pid = self._process.pid
        # Before anybody reaps it: a child that has ended already still has its identity.
        self.identity: ProcessId | None = processes.identify(self.pid)
        self._asked = False
        self._has_terminal = _has_terminal() and _give_terminal(self.pid)

    def send(self, number: signal.Signals) -> None:
        """Pass a signal of ours on. One that ended meanwhile is fine."""
        self._asked |= number in ENDING
        self._process.send_signal(number)

    def code(self) -> int | None:
        """Its exit code, 128 + n for signal n; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return code if code >= 0 else 128 - code

    @property
    def asked_to_stop(self) -> bool:
        """We passed on a request to end, or it ended as a terminal's Ctrl-C makes it."""
        return self._asked or self.code() in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)

    @property
    def ending(self) -> str:
        """ "exit code 1", "signal KILL" """
        code = self._process.returncode or 0
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name[3:]}"

    def close(self) -> None:
        if self._has_terminal:
            _give_terminal(os.getpgrp())


def reap_orphans(child: Child) -> None:
    """As process 1, take in what our child's children left behind; never the child itself.

    It is only looked at here (WNOWAIT), because whoever reaps it takes its exit code with it.
    """
    while os.getpid() == 1:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == child.pid:
            return
        os.waitpid(found.si_pid, 0)


def _give_terminal(group: int) -> bool:
    """Make `group` the one that our terminal talks to; False without one."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it would stop us for asking
    try:
        os.tcsetpgrp(0, group)
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGTTOU, before)
    return True


def _has_terminal() -> bool:
    """True when standard input is a terminal that is ours to give away."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
