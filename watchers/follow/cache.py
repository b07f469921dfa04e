"""The newest release that was proven here, kept on this machine as etcd holds it: secrets stay sealed.

Delivered files with secrets are in memory and gone after a reboot. This is what a start without etcd
makes them anew from: one file for each service in each environment, for this user's eyes only.
"""

import hashlib
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from watchers import moments
from watchers.wire.documents import BadDocument, ReleaseDocument


class BadCache(Exception):
    """What is kept is not what was written; the text names the file. Nothing is rendered from it."""


@dataclass(frozen=True)
class Kept:
    """A release, and when it was proven here."""

    document: ReleaseDocument
    kept_at: str  # aware UTC

    @property
    def age(self) -> str:
        """ "3 h": for a sentence."""
        then, now = moments.parse(self.kept_at), moments.parse(moments.stamp())
        if then is None or now is None:
            return "of unknown age"
        seconds = max(0, int((now - then).total_seconds()))
        for unit, size in (("days", 172_800), ("h", 3600), ("min", 60)):
            if seconds >= size:
                return f"{seconds // (86_400 if unit == 'days' else size)} {unit} old"
        return f"{seconds} s old"


class Cache:
    """The files below one directory that only the agent writes.

    First line: `sha256:…` of everything after it. Second: when it was kept. Third: the document.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "cache"
        self._lock = threading.Lock()
        self._kept: dict[Path, tuple[int, str]] = {}  # what stands there, as we wrote it

    def keep(self, document: ReleaseDocument) -> None:
        """Keep `document`, whole or not at all. Raises OSError when the disk does not take it."""
        path = self._path(document.service, document.environment)
        which = (document.release, document.checksum)
        with self._lock:
            if self._kept.get(path) == which:
                return
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            rest = f"{moments.stamp()}\n".encode() + document.to_bytes()
            _write(path, f"{_digest(rest)}\n".encode() + rest)
            self._kept[path] = which

    def load(self, service: str, environment: str) -> Kept | None:
        """What was kept, None where nothing was. Raises BadCache, OSError."""
        path = self._path(service, environment)
        try:
            first, _, rest = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        if first.decode(errors="replace") != _digest(rest):
            raise BadCache(f"{path} is damaged, so nothing is made from it. Remove it.")
        kept_at, _, raw = rest.partition(b"\n")
        try:
            document = ReleaseDocument.from_bytes(raw)
        except BadDocument as error:
            raise BadCache(f"{path}: {error}. Nothing is made from it; remove it.") from error
        if (document.service, document.environment) != (service, environment):
            raise BadCache(f"{path} is of another service, so nothing is made from it. Remove it.")
        return Kept(document, kept_at.decode())

    def _path(self, service: str, environment: str) -> Path:
        return self._directory / f"{environment}.{service}"  # slugs hold no dot


def _digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _write(path: Path, raw: bytes) -> None:
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
