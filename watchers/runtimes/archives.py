"""A container's directory through the engine's archive API: for one that is stopped, or out of reach.

The directory is fetched, changed here, and put back as a whole. Two things are less than elsewhere: a
reader can see the files of two releases while they are put back, and nothing can be taken away
that way, so old generations go once the container is reached again while it runs.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/PutContainerArchive
"""

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from watchers.runtimes.base import CannotReach
from watchers.runtimes.client import ClientEngine
from watchers.runtimes.engine import EngineAway
from watchers.swap import folders
from watchers.swap.disk import CannotWrite, Directory

MAX_BYTES = 64 * 1024 * 1024  # what stands there belongs to the container, so it may be anything


class Archives(ClientEngine):
    """The engine, asked for a part of a container's files, and to put one there."""

    def fetch(self, full_id: str, path: str) -> bytes | None:
        """The tar of `path`, its last name at its root; None where it is not there. Raises EngineAway."""

        def ask(client: Any) -> bytes:
            parts, size = [], 0
            chunks: Iterator[bytes] = client.get_archive(full_id, path)[0]
            for chunk in chunks:
                size += len(chunk)
                if size > MAX_BYTES:
                    raise ValueError(f"{path} holds more than {MAX_BYTES >> 20} MiB")
                parts.append(chunk)
            return b"".join(parts)

        try:
            held: bytes = self._ask(ask)
        except NotFound:
            return None
        return held

    def put(self, full_id: str, raw: bytes) -> None:
        """Unpack a tar at the container's root. Raises EngineAway."""
        try:
            self._ask(lambda client: client.put_archive(full_id, "/", raw))
        except NotFound as error:
            raise EngineAway(
                f"The engine at {self.address} has no such container: {error}"
            ) from error


class Archived(Directory):
    """A copy of a container's directory; whatever readers shall see is put back at once."""

    def __init__(self, engine: Archives, full_id: str, path: str, name: str) -> None:
        """Raises CannotReach, CannotWrite."""
        self._engine, self._full_id, self._path = engine, full_id, path
        self._folder = tempfile.TemporaryDirectory(prefix="confhub-copy-")
        try:
            copy = Path(self._folder.name, Path(path).name)
            copy.mkdir()
            self._unpack(engine.fetch(full_id, path))
            super().__init__(os.open(copy, folders.DIRECTORY), name)
        except BaseException as error:
            self._leave()
            if isinstance(error, EngineAway | tarfile.TarError | OSError):
                raise CannotReach(f"{name} cannot be fetched: {error}.") from error
            raise

    def identity(self) -> tuple[int, int]:
        return -1, int(self._full_id[:15], 16)  # the copy is another one each time

    def is_in_memory(self) -> bool:
        return False  # wherever the copy is, the container's files are on the engine's disk

    def swap(self, generation: str) -> None:
        super().swap(generation)
        self._put()

    def settle(self, *, good: str | None = None) -> None:
        super().settle(good=good)
        if good is not None:
            self._put()

    def close(self) -> None:
        super().close()
        self._leave()

    def _leave(self) -> None:
        self._folder.cleanup()
        self._engine.close()

    def _unpack(self, raw: bytes | None) -> None:
        if raw is None:
            return
        with tarfile.open(fileobj=io.BytesIO(raw)) as found:
            # Only what stays within the copy, and neither devices nor owners.
            found.extractall(self._folder.name, filter="data")

    def _put(self) -> None:
        made, parent = io.BytesIO(), self._path.strip("/").rpartition("/")[0]
        top = Path(self._folder.name, Path(self._path).name)
        with tarfile.open(fileobj=made, mode="w") as tar:
            tar.add(top, arcname=f"{parent}/{top.name}".lstrip("/"), filter=_by_root)
        try:
            self._engine.put(self._full_id, made.getvalue())
        except EngineAway as error:
            raise CannotWrite(f"{self.name}: {error}") from error


def _by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    if member.isdir():
        member.mode = 0o755
    return member
