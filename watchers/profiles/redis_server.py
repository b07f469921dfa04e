"""A running Redis or Valkey: where it listens, who may ask it, and what it answers."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from watchers.attempt import Attempt
from watchers.inside import CannotRun, Inside
from watchers.profiles.redis_file import BadFile, File, read_file
from watchers.profiles.resp import Client, Refused, Reply
from watchers.profiles.started import arguments, delivered, options

# Debian's redis-server is a link to the program that checks dumps, which is the same one.
PROGRAMS = ("redis-server", "redis-check-rdb", "valkey-server", "valkey-check-rdb")
PORT = 6379
LOOK_S = 5.0
NAMES = ("redis.conf", "valkey.conf")
# "can't set immutable config" of Redis 7; Redis 6 knows the name and supports no change of it
NEEDS_RESTART = re.compile(r"'([^']+)'.*can't set (?:immutable|protected) config")
OLD_NEEDS_RESTART = "Unsupported CONFIG parameter"


class NoEntry(Exception):
    """The server cannot be asked; the text says why, and the way out. `lasting`: it will not do."""

    def __init__(self, text: str, *, lasting: bool) -> None:
        super().__init__(text)
        self.lasting = lasting


@dataclass(frozen=True)
class Address:
    program: str  # as it was started: "redis-server", "/usr/bin/valkey-server"
    port: int = 0
    socket: str = ""

    @classmethod
    def of(cls, attempt: Attempt) -> "Address":
        """By its title, which shows the address that it listens at now, or by its arguments.

        Raises Gone.
        """
        argv = arguments(attempt, PROGRAMS)
        title = " ".join(argv).strip("\0 ")
        program, _, rest = title.partition(" ")
        if path := re.match(r"unixsocket:(\S+)", rest):
            return cls(program, socket=path[1])
        if port := re.match(r"\S*:(\d+)(?:\s|$)", rest):
            return cls(program, port=int(port[1]))
        ports = options(argv, "port")
        sockets = options(argv, "unixsocket")
        return cls(program, int(ports[-1]) if ports else PORT, sockets[-1] if sockets else "")


@contextmanager
def connected(attempt: Attempt, *files: File) -> Iterator[Client]:
    """A client that may use CONFIG, with a password of `files` where one is needed.

    Raises NoEntry, Gone.
    """
    address = Address.of(attempt)
    try:
        with Client(_connection(attempt.inside, address)) as client:
            _enter(client, attempt.inside, files)
            yield client
    except OSError as error:
        where = address.socket or f"port {address.port}"
        raise NoEntry(f"Redis does not answer at {where}: {error}.", lasting=False) from error


def _connection(inside: Inside, address: Address) -> socket.socket:
    if address.socket:
        return inside.connect_unix(address.socket, timeout_s=LOOK_S)
    return inside.connect(address.port, timeout_s=LOOK_S)


def _enter(client: Client, inside: Inside, files: tuple[File, ...]) -> None:
    """Log in as whoever may use CONFIG: nobody, the users of the files, REDISCLI_AUTH."""
    said = _objection(client)
    if not said:
        return
    found = dict.fromkeys(pair for file in files for pair in file.passwords())
    if password := _of_environment(inside):
        found[("default", password)] = None
    for user, password in found:
        try:
            client.call("AUTH", *([] if user == "default" else [user]), password)
        except Refused:
            continue
        if not (said := _objection(client)):
            return
    raise NoEntry(
        f"Redis lets the agent use no CONFIG: {said}. It needs the password: write requirepass, or a "
        "user with +config and a plain >password, into the delivered file, or set REDISCLI_AUTH in "
        "the container's environment.",
        lasting=True,
    )


def _objection(client: Client) -> str:
    """Why CONFIG is refused; "" where it is not."""
    try:
        client.call("CONFIG", "GET", "port")
    except Refused as error:
        return str(error).rstrip(".")
    return ""


def _of_environment(inside: Inside) -> str:
    try:
        outcome = inside.run(["printenv", "REDISCLI_AUTH"], timeout_s=LOOK_S)
    except CannotRun:
        return ""
    return outcome.output.removesuffix("\n") if outcome.passed else ""


# ── its file ──────────────────────────────────────────────────────────────────────────────────────


def new_file(attempt: Attempt, name: str) -> File:
    """What the delivered file comes to. Raises BadFile, OSError."""

    def include(path: str) -> str:
        ours = delivered(attempt, path)
        return _text(attempt.files[ours] if ours else attempt.inside.read(path))

    return read_file(_text(attempt.files[name]), include)


def old_file(attempt: Attempt, name: str) -> File:
    """What the file comes to that the server finds now; an empty one where it cannot be read."""
    inside = attempt.inside
    try:
        text = _text(inside.read(f"{attempt.directory}/{name}"))
        return read_file(text, lambda path: _text(inside.read(path)))
    except (OSError, BadFile):
        return File()


def file_name(attempt: Attempt) -> str:
    """Which delivered file is its configuration; "" where none is."""
    names = [name for name in NAMES if name in attempt.files]
    others = [name for name in attempt.files if name.endswith(".conf")]
    return (names or (others if len(others) == 1 else [""]))[0]


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


# ── what it runs ──────────────────────────────────────────────────────────────────────────────────


def settings_of(client: Client, names: Iterator[str] | list[str]) -> dict[str, str]:
    """The values of those `names` that the server knows. Raises Refused, OSError."""
    found: dict[str, str] = {}
    for name in names:
        answer = client.pairs("CONFIG", "GET", name)
        if name in answer:
            found[name] = str(answer[name])
    return found


def needs_restart(error: Refused, names: list[str]) -> str:
    """Which of `names` cannot be set while the server runs, by its refusal; "" for another reason."""
    if found := NEEDS_RESTART.search(str(error)):
        return found[1] if found[1] in names else ""
    return names[0] if len(names) == 1 and OLD_NEEDS_RESTART in str(error) else ""


def major(client: Client) -> int:
    """7 for Redis 7.0.15; Valkey answers with the Redis that it is compatible with."""
    found = re.search(r"redis_version:(\d+)", str(client.call("INFO", "server")))
    return int(found[1]) if found else 0


def modules_of(client: Client) -> set[str] | None:
    """The paths of its loaded modules; None where its version does not say them."""
    answer = client.call("MODULE", "LIST")
    if not isinstance(answer, list):
        return None
    found = set()
    for module in answer:
        flat = module if isinstance(module, list) else []
        about: dict[Reply, Reply] = {
            str(key): held for key, held in zip(flat[::2], flat[1::2], strict=False)
        }
        if "path" not in about:
            return None
        found.add(str(about["path"]))
    return found


def knows(client: Client, command: str) -> bool:
    answer = client.call("COMMAND", "INFO", command)
    return isinstance(answer, list) and bool(answer) and answer[0] is not None
