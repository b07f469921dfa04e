"""The two sockets on which a supervised process speaks for itself: NOTIFY_SOCKET, CONFHUB_REPORT."""

import contextlib
import json
import os
import secrets
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from watchers import moments
from watchers.confirm.reported import Notice, Report, Reports

log = structlog.get_logger("watchers.listening")
PATH_BYTES = 107  # sun_path of unix(7), without its final NUL
DATAGRAM_BYTES = 64 * 1024
AT_ONCE = 256  # datagrams in one go, so that a chatterbox keeps no signal waiting
TEXT_CHARS = 1500
_STAMPED = getattr(socket, "SO_TIMESTAMPNS", 35)  # the kernel says when each datagram was sent
_TIMESPEC = struct.Struct("@qq")


class Ear:
    """One datagram socket that only this user may write to."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises OSError when the socket cannot be made."""
        self._own_folder = ""
        self.path = folder / f"{name}-{secrets.token_hex(4)}.sock"
        if len(os.fsencode(self.path)) > PATH_BYTES:
            self._own_folder = tempfile.mkdtemp(prefix="confhub-")
            self.path = Path(self._own_folder) / f"{name}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        os.fchmod(self._socket.fileno(), 0o600)  # before bind, so that it is never wider
        self._socket.setsockopt(socket.SOL_SOCKET, _STAMPED, 1)
        self._socket.setblocking(False)
        self._socket.bind(str(self.path))

    def fileno(self) -> int:
        return self._socket.fileno()

    def heard(self) -> Iterator[tuple[int, bytes]]:
        """(when it was sent on the boot clock, datagram) of those that wait, AT_ONCE at most."""
        for _ in range(AT_ONCE):
            try:
                raw, more, flags, _ = self._socket.recvmsg(
                    DATAGRAM_BYTES, socket.CMSG_SPACE(_TIMESPEC.size)
                )
            except BlockingIOError:
                return
            # File descriptors that came along found no room in the answer, so the kernel closed
            # them: that is what BARRIER=1 waits for.
            if flags & socket.MSG_TRUNC:
                log.warning("datagram.too_long", socket=self.path.name, most=DATAGRAM_BYTES)
                continue
            yield _sent_at_ns(more), raw

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)
        if self._own_folder:
            with contextlib.suppress(OSError):
                Path(self._own_folder).rmdir()


class Ears:
    """Both sockets of one process. Its successor gets others, so that nobody speaks for it."""

    def __init__(self, folder: Path, reports: Reports, *, outer: str = "") -> None:
        """`outer`: the NOTIFY_SOCKET that this process was given itself; "" where there is none.

        Raises OSError when the sockets cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _tidy(folder)
        self._reports, self._outer, self._complained = reports, outer, False
        self._notify, self._report = Ear(folder, "notify"), Ear(folder, "report")
        reports.begin()

    def environment(self) -> dict[str, str]:
        return {
            "NOTIFY_SOCKET": str(self._notify.path),
            "CONFHUB_REPORT": str(self._report.path),
        }

    def sources(self) -> list[tuple[int, Callable[[], None]]]:
        """(descriptor, what to call when it can be read) of each."""
        return [
            (self._notify.fileno(), self._take_notices),
            (self._report.fileno(), self._take_reports),
        ]

    def close(self) -> None:
        self._notify.close()
        self._report.close()

    def _take_notices(self) -> None:
        for at_ns, raw in self._notify.heard():
            self._reports.notice(notice_of(raw, at_ns))
            if self._outer:
                pass_on(raw, self._outer)

    def _take_reports(self) -> None:
        for at_ns, raw in self._report.heard():
            try:
                self._reports.report(report_of(raw, at_ns))
            except ValueError as error:
                if not self._complained:  # once for each process: it may do so each second
                    log.warning("report.not_understood", reason=str(error))
                self._complained = True


def notice_of(raw: bytes, at_ns: int) -> Notice:
    """`READY=1\\nSTATUS=…` as a Notice; what is unknown there is left out."""
    said: dict[str, str] = {}
    for line in raw.decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        said[name] = value
    began_us = _number(said.get("MONOTONIC_USEC"))
    return Notice(
        at_ns,
        ready=said.get("READY") == "1",
        reloading=said.get("RELOADING") == "1",
        status=said.get("STATUS", "")[:TEXT_CHARS],
        errno=_number(said.get("ERRNO")) or 0,
        monotonic_ns=None if began_us is None else began_us * 1000,
    )


def report_of(raw: bytes, at_ns: int) -> Report:
    """`{"release": 43, "ok": false, "error": "…"}` as a Report. Raises ValueError naming what is wrong."""
    held = json.loads(raw.decode())
    if not isinstance(held, dict) or not isinstance(held.get("ok"), bool):
        raise ValueError('a report is one JSON object such as {"release": 43, "ok": true}')
    release, checksum = held.get("release"), held.get("checksum", "")
    is_number = isinstance(release, int) and not isinstance(release, bool)
    if not is_number and not (release is None and checksum and isinstance(checksum, str)):
        raise ValueError('a report names its release by its number, "release", or its "checksum"')
    waits = held.get("pending_restart", [])
    return Report(
        at_ns,
        release if is_number else None,
        str(checksum),
        ok=held["ok"],
        error=str(held.get("error") or "")[:TEXT_CHARS],
        pending_restart=tuple(map(str, waits)) if isinstance(waits, list) else (),
    )


def pass_on(raw: bytes, outer: str) -> None:
    """Say the same to whoever supervises us. Not the process's MAINPID: to them it is this one."""
    lines = [line for line in raw.split(b"\n") if line and not line.startswith(b"MAINPID=")]
    address = "\0" + outer[1:] if outer.startswith("@") else outer
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.setblocking(False)
        held.sendto(b"\n".join(lines), address)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _sent_at_ns(more: list[tuple[int, int, bytes]]) -> int:
    """When the kernel took the datagram, on the boot clock."""
    now_ns = moments.boot_ns()
    for level, kind, data in more:
        if (level, kind) == (socket.SOL_SOCKET, _STAMPED) and len(data) >= _TIMESPEC.size:
            seconds, rest = _TIMESPEC.unpack_from(data)
            age_ns: int = time.time_ns() - (seconds * 1_000_000_000 + rest)
            return now_ns - max(0, age_ns)
    return now_ns


def _tidy(folder: Path) -> None:
    """Remove the sockets of supervisors that were killed; those that somebody listens to stay."""
    for path in folder.glob("*.sock"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
            try:
                held.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue
