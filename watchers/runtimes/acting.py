"""What an engine can be asked about or to do with one container, beside what Engine asks of all.

`content` and `logs` are GETs. The rest are not, and are asked only where CONFHUB_ENGINE_ALLOWS names them.
"""

import io
import posixpath
import socket
import struct
import tarfile
import time
from collections.abc import Sequence
from typing import Any

from docker.errors import NotFound

from watchers.inside import OUTPUT_BYTES, CannotRun, Outcome
from watchers.runtimes.client import ClientEngine
from watchers.runtimes.engine import EngineAway
from watchers.runtimes.files import too_large

MAX_LINKS = 8
FRAME = struct.Struct(">BxxxL")  # the stream's number and the length of what follows
SPARE_BYTES = 64 * 1024  # of an archive, beside the file in it


class Acting(ClientEngine):
    """The engine, for one container."""

    def content(self, full_id: str, path: str, max_bytes: int) -> bytes:
        """A plain file's. Raises OSError, EngineAway."""
        asked = path
        for _ in range(MAX_LINKS):
            try:
                chunks, about = self._ask(lambda client: client.get_archive(full_id, asked))  # noqa: B023  # asked at once
            except NotFound as error:
                raise FileNotFoundError(f"{path}: there is no such file") from error
            link = str(about.get("linkTarget") or "")
            if not link:
                return _only_file(chunks, path, max_bytes)
            chunks.close()
            asked = posixpath.normpath(posixpath.join(posixpath.dirname(asked), link))
        raise OSError(f"{path}: more than {MAX_LINKS} symbolic links one after the other")

    def logs(self, full_id: str, since_s: float, lines: int) -> bytes:
        """The last `lines` that it wrote since then, both streams. Raises EngineAway."""
        since = since_s if since_s > 0 else None  # the client takes no zero
        try:
            said = self._ask(lambda client: client.logs(full_id, since=since, tail=lines))
        except NotFound:
            return b""
        return bytes(said)

    def restart(self, full_id: str, grace_s: float) -> None:
        """Raises CannotRun."""
        self._act("restarted", lambda client: client.restart(full_id, timeout=int(grace_s)))

    def kill(self, full_id: str, number: int) -> None:
        """Raises CannotRun."""
        self._act("signalled", lambda client: client.kill(full_id, number))

    def execute(
        self, full_id: str, argv: Sequence[str], *, timeout_s: float, stdin: bytes
    ) -> Outcome:
        """As `docker exec` does. The engine cannot end it: past its time, it is only left alone.

        Raises CannotRun.
        """
        deadline = time.monotonic() + timeout_s
        made = self._act(
            "entered", lambda client: client.exec_create(full_id, list(argv), stdin=bool(stdin))
        )
        held = self._act("entered", lambda client: client.exec_start(made["Id"], socket=True))
        try:
            output, timed_out = _converse(_socket(held), stdin, deadline)
        except OSError as error:
            raise CannotRun(f"The engine ended its answer about {argv[0]}: {error}") from error
        finally:
            _close(held)
        text = output.decode(errors="replace")
        if timed_out:
            note = "(It was left to itself after its time: an engine cannot end what it runs so.)"
            return Outcome(128 + 9, f"{text}\n{note}", timed_out=True)
        code = self._act("asked", lambda client: client.exec_inspect(made["Id"]))["ExitCode"]
        if code in (126, 127) and "exec failed" in text:
            raise CannotRun(f"{argv[0]} could not be begun: {text.strip()}")
        return Outcome(int(code), text)

    def _act(self, what: str, question: Any) -> Any:
        try:
            return self._ask(question)
        except NotFound as error:
            raise CannotRun("The container is not there any more.") from error
        except EngineAway as error:
            raise CannotRun(f"The container could not be {what} by its engine. {error}") from error


def _only_file(chunks: Any, path: str, max_bytes: int) -> bytes:
    """From an archive with one member. Raises OSError for anything but a plain file, or a larger one."""
    raw = io.BytesIO()
    for chunk in chunks:
        raw.write(chunk)
        if raw.tell() > max_bytes + SPARE_BYTES:
            raise too_large(path, max_bytes)
    raw.seek(0)
    try:
        with tarfile.open(fileobj=raw) as archive:
            member = archive.next()
            file = archive.extractfile(member) if member is not None and member.isreg() else None
            if file is None:
                raise OSError(f"{path} is not a plain file")
            content = file.read(max_bytes + 1)
    except tarfile.TarError as error:
        raise OSError(f"{path}: the engine answered no archive: {error}") from error
    if len(content) > max_bytes:
        raise too_large(path, max_bytes)
    return content


def _close(held: Any) -> None:
    """All three of what the client makes for one connection; by itself it leaves two of them open."""
    connection = _socket(held)
    response = getattr(held, "_response", None)
    if response is not None:
        response.close()
    held.close()
    connection.close()


def _socket(held: Any) -> socket.socket:
    """The connection below what the client answers, which differs with how the engine is reached."""
    found: socket.socket = getattr(held, "_sock", held)
    return found


def _converse(connection: socket.socket, stdin: bytes, deadline: float) -> tuple[bytes, bool]:
    """(the last OUTPUT_BYTES of both streams, whether the time was over first). Raises OSError."""
    said, last = b"", b""
    try:
        connection.settimeout(_left_s(deadline))
        if stdin:
            connection.sendall(stdin)
            connection.shutdown(socket.SHUT_WR)
        while True:
            connection.settimeout(_left_s(deadline))
            read = connection.recv(65536)
            if not read:
                return last, False
            frames, said = _frames(said + read)
            last = (last + frames)[-OUTPUT_BYTES:]
    except TimeoutError:
        return last, True


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _frames(raw: bytes) -> tuple[bytes, bytes]:
    """(what the whole frames in `raw` hold, the rest)."""
    found = b""
    while len(raw) >= FRAME.size:
        length = FRAME.unpack_from(raw)[1]
        if len(raw) < FRAME.size + length:
            break
        found += raw[FRAME.size : FRAME.size + length]
        raw = raw[FRAME.size + length :]
    return found, raw
