"""The protocol of Redis and Valkey, version 2, as much of it as a question and its answer need.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import socket
from types import TracebackType
from typing import Self

Reply = str | int | None | list["Reply"]
MAX_BYTES = 4 * 1024 * 1024  # of one text; an answer of ours is some kilobytes
MAX_ITEMS = 100_000


class Refused(Exception):
    """The server answered with an error. The text is its own, without its leading "ERR"."""


class Client:
    """One connection. Takes it over; a `with` block closes it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")

    def call(self, *words: str) -> Reply:
        """Send one command and return its answer. Raises Refused, OSError."""
        raw = [word.encode(errors="surrogateescape") for word in words]
        told = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw)
        self._connection.sendall(b"*%d\r\n%s" % (len(raw), told))
        return self._read()

    def pairs(self, *words: str) -> dict[str, Reply]:
        """As `call`, for an answer that names and holds by turns."""
        answer = self.call(*words)
        flat = answer if isinstance(answer, list) else []
        return {str(name): held for name, held in zip(flat[::2], flat[1::2], strict=False)}

    def _read(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return _text(rest)
        if kind == b"-":
            raise Refused(_text(rest).removeprefix("ERR ").strip())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(_size(rest, MAX_BYTES))
        if kind == b"*":
            size = _size(rest, MAX_ITEMS)
            return None if size < 0 else [self._item() for _ in range(size)]
        raise OSError("what answers does not speak the protocol of Redis")

    def _item(self) -> Reply:
        """An element of an array; an error there is a text like any other."""
        try:
            return self._read()
        except Refused as error:
            return str(error)

    def _bulk(self, size: int) -> str | None:
        if size < 0:
            return None
        raw = self._reader.read(size + 2)
        if len(raw) != size + 2:
            raise ConnectionResetError("Redis closed the connection")
        return _text(raw[:-2])

    def _line(self) -> bytes:
        line = self._reader.readline(MAX_BYTES)
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("Redis closed the connection")
        return line[:-2]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._reader.close()
        self._connection.close()


def _size(digits: bytes, most: int) -> int:
    try:
        size = int(digits)
    except ValueError as error:
        raise OSError("what answers does not speak the protocol of Redis") from error
    if size > most:
        raise OSError(f"Redis answers with {size}, where {most} are the most")
    return size


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")
