"""A directory that a follower of our own fills: one process beside all those that read it.

etcd is spoken to by that process alone, because gRPC does not outlive a fork, and because ten
workers shall be one instance with one connection. They hold a connection to its socket, by which it
knows them, hears what they loaded, and ends when none is left. docs/python-client.md says the same
for users; follower.py is the other end.
"""

import contextlib
import json
import logging
import os
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from confhub.client.delivered import Delivered
from confhub.client.errors import ConfigError, NoConfiguration
from confhub.client.launching import Launcher
from confhub.client.reports import Report
from confhub.client.sources import POLL_S

log = logging.getLogger("confhub.client")
AGAIN_S = 0.3  # between two tries to find a follower that should be there
OTHER_S = 5.0  # until we look whether a follower with other settings has ended
MESSAGE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Joining:
    """What decides whose follower it is, and where it lives."""

    service: str
    environment: str
    instance: str
    state_dir: Path
    endpoints: tuple[str, ...]
    prefix: str
    soak_s: float

    @property
    def folder(self) -> Path:
        """One for each instance of each ConfHub."""
        return self.state_dir / "client" / _word(self.prefix.strip("/")) / _word(self.instance)

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service, "environment": self.environment, "instance": self.instance,
            "endpoints": list(self.endpoints), "soak_s": self.soak_s,
        }  # fmt: skip


class FollowedSource:
    """Joins the follower of an instance, and begins one where there is none."""

    takes_back = True

    def __init__(self, joining: Joining) -> None:
        self._joining = joining
        self.files = Delivered(joining.folder / "files")
        self._launcher = Launcher(joining)
        self._link: socket.socket | None = None
        self._said: Report | None = None
        self._is_unsaid = False  # the follower's socket was full
        self._ready, self._reason = False, ""
        self._retry_at = 0.0
        self._warned = ""

    # ── beginning ─────────────────────────────────────────────────────────────────────────────

    def open(self, wait_s: float) -> None:
        """Return once the follower says that the newest release, or the last good one, is there."""
        self._make_folder()
        deadline = time.monotonic() + wait_s
        while not (self._ready and self.files.moment()) and time.monotonic() < deadline:
            if self._link is None:
                self._try_to_join()
            if self._link is None:
                time.sleep(0.02)
            else:
                self._hear(min(POLL_S, max(0.0, deadline - time.monotonic())))
        if self._ready and self.files.moment():
            if self._reason:
                log.warning("the last known good release is used: %s", self._reason)
            return
        self._launcher.arrived()  # let another process try
        why = self._reason or self._launcher.last_words() or "the follower said nothing"
        if not self.files.moment():
            raise NoConfiguration(
                f"There is no configuration of {self._joining.service} in {self._joining.environment} "
                f"after {wait_s:g} s, and none on disk in {self._joining.folder}: {why}"
            )
        log.warning("the release on disk is used, nothing newer is known: %s", why)

    def _make_folder(self) -> None:
        try:
            self._joining.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._joining.folder.chmod(0o700)
        except OSError as error:
            raise ConfigError(
                f"{self._joining.folder} cannot be made: {error.strerror}. Set CONFHUB_STATE_DIR to a "
                "directory that this user may write."
            ) from error

    def _try_to_join(self) -> None:
        """Connect, or have a follower begun; at most once in AGAIN_S."""
        if time.monotonic() < self._retry_at:
            return
        link = None
        try:
            link = connect(self._joining.folder)
            link.send(json.dumps({"hello": self._introduction()}).encode())
        except OSError:
            if link is not None:
                link.close()  # it ended between the two
            self._launcher.launch()
            self._retry_at = time.monotonic() + AGAIN_S / 6
            return
        self._launcher.arrived()
        self._link, self._ready = link, False
        if self._said is not None:
            self.report(self._said)

    def _introduction(self) -> dict[str, Any]:
        path = Path(sys.argv[0] if sys.argv and sys.argv[0] else sys.executable)
        program = path.parent if path.name == "__main__.py" else path  # python -m gunicorn
        return {"program": program.name, "pid": os.getpid(), **self._joining.to_json()}

    # ── while it runs ─────────────────────────────────────────────────────────────────────────

    def wait(self, wake: int, timeout_s: float = POLL_S) -> None:
        if self._link is None:
            self._try_to_join()
        if self._is_unsaid and self._said is not None:
            self.report(self._said)
        link = self._link
        waited = [wake] if link is None else [wake, link.fileno()]
        ready, _, _ = select.select(waited, [], [], timeout_s)
        if link is not None and waited[1] in ready:
            self._hear(0.0)

    def _hear(self, timeout_s: float) -> None:
        """Take one message of the follower's, if one comes."""
        link = self._link
        if link is None or not select.select([link], [], [], timeout_s)[0]:
            return
        try:
            raw = link.recv(MESSAGE_BYTES)
        except OSError:
            raw = b""
        if not raw:
            self._lost(AGAIN_S if self._ready else 0.05)
            return
        told = json.loads(raw)
        if "differs" in told:
            self._lost(OTHER_S)
            self._ready, self._reason = True, ""  # what it delivers is ours, too, meanwhile
            if told["differs"] != self._warned:
                log.warning("%s", told["differs"])
            self._warned = told["differs"]
        elif "ready" in told:
            self._ready, self._reason = told["ready"], told["reason"]

    def _lost(self, again_s: float) -> None:
        """The follower has ended: whoever is first begins another one."""
        if self._link is not None:
            self._link.close()
        self._link = None
        self._retry_at = time.monotonic() + again_s

    def report(self, report: Report) -> None:
        self._said, link = report, self._link
        if link is None:
            return  # it is said to the next follower, first of all
        try:
            link.send(json.dumps({"report": json.loads(report.to_bytes())}).encode())
            self._is_unsaid = False
        except OSError:
            self._is_unsaid = True  # said again at the next look, to this one or another

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._link is not None:
                self._link.send(b'{"bye": true}')
        self._lost(0.0)
        self._launcher.arrived()

    def abandon(self) -> None:
        # Closed, not shut down: the connection itself is the parent's.
        self._lost(0.0)
        self._launcher.abandon()


def connect(folder: Path) -> socket.socket:
    """A connection to the follower that serves `folder`. Raises OSError where none does."""
    with _short(folder) as path:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            link.settimeout(1.0)
            link.connect(path)
        except OSError:
            link.close()
            raise
    link.setblocking(False)
    return link


def listen(folder: Path) -> socket.socket:
    """The follower's end, in place of what one before left. Raises OSError."""
    (folder / "socket").unlink(missing_ok=True)
    with _short(folder) as path:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
    listener.listen(512)
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def _short(folder: Path) -> Any:
    """The socket's path by way of a descriptor: the address of a unix socket has 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/socket"
    finally:
        os.close(descriptor)


def _word(text: str) -> str:
    return quote(text, safe="").replace("~", "%7E").lstrip(".") or "-"
