"""Begins a follower: one, however many processes find at the same time that there is none."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import confhub
from watchers import options

if TYPE_CHECKING:
    from confhub.client.followed import Joining

LOG_BYTES = 1024 * 1024
TAIL_CHARS = 600
GONE_S = 1.0


class Launcher:
    """Starts `python -m confhub.client.follower`, which lets go of us as soon as it is the one."""

    def __init__(self, joining: "Joining") -> None:
        self._joining = joining
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = -1  # a locked file: ours to launch until it was connected to

    def launch(self) -> None:
        """Begin one, unless one that we began is on its way, or another process has that turn."""
        if self._process is not None and self._process.poll() is None:
            return
        if not self._has_turn():
            return
        with self._log() as log:
            self._process = subprocess.Popen(
                [_python(), "-P", "-m", "confhub.client.follower", str(self._joining.folder),
                 json.dumps(self._joining.to_json())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd="/", env=options.child_environment(self._environment(), keys=True),
            )  # fmt: skip

    def _has_turn(self) -> bool:
        if self._turn < 0:
            self._turn = os.open(
                self._joining.folder / "turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _log(self) -> BinaryIO:
        path = self._joining.folder / "follower.log"
        with contextlib.suppress(OSError):
            if path.stat().st_size > LOG_BYTES:
                path.unlink()
        return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")  # noqa: PTH123  # its mode from the start

    def _environment(self) -> dict[str, str]:
        """Where it finds this very package, also where a program put it on its path by itself."""
        ours = {"CONFHUB_STATE_DIR": str(self._joining.state_dir)}
        parent = Path(confhub.__path__[0]).resolve().parent
        if parent.name not in ("site-packages", "dist-packages"):
            before = options.child_environment({}).get("PYTHONPATH", "")
            ours["PYTHONPATH"] = os.pathsep.join(filter(None, [str(parent), before]))
        return ours

    def arrived(self) -> None:
        """It answers, or is not wanted any more: others may launch."""
        if self._turn >= 0:
            os.close(self._turn)
            self._turn = -1
        if self._process is not None:
            # It has ended by now: it lets go of us before it, or another one, can be connected to.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GONE_S)
                self._process = None

    def abandon(self) -> None:
        """In a forked child: what was begun is the parent's."""
        if self._process is not None:
            self._process.returncode = 0  # or its finalizer would wait for a process of another's
        self._process = None
        self.arrived()

    def last_words(self) -> str:
        """The end of the follower's log, for a sentence about why it does not answer."""
        try:
            text = (self._joining.folder / "follower.log").read_text(errors="replace").strip()
        except OSError:
            return ""
        return f"its log ends with: {text[-TAIL_CHARS:]}" if text else ""


def _python() -> str:
    """The interpreter; where Python is embedded (uWSGI), `sys.executable` is the host program."""
    if "python" in Path(sys.executable).name or "pypy" in Path(sys.executable).name:
        return sys.executable
    return str(Path(sys.prefix) / "bin" / "python3")
