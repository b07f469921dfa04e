"""An agent's status as columns. Pure.

An agent is not ours to trust, and one row that the database refuses would keep all the others from
being written: what a column cannot hold is cut, cleaned or left out here.
"""

from datetime import UTC, datetime
from typing import Any

from watchers.wire.documents import BadDocument
from watchers.wire.status import Receipt, Status

MAX_ID_CHARS = 128
MAX_NUMBER = 2**31 - 1  # PostgreSQL's integer
MAX_PROBLEMS = 20


def facts_of(raw: bytes) -> dict[str, Any]:
    """{column: value} of the status in `raw`. Raises BadDocument."""
    try:
        status = Status.from_bytes(raw)
    except TypeError as error:  # a member of another type than it should be
        raise BadDocument(f"status is not readable: {error}") from error
    return {
        "host": clean(status.host, 255),
        "runtime": status.runtime,
        "agent": clean(status.agent, 80),
        "container": _container(status.container),
        "pid": _number(status.pid),
        "target": _number(status.target),
        "running": _number(status.running),
        "checksum": clean(status.checksum, 71),
        "health": clean(status.health, 20),
        "problems": [clean(problem, 500) for problem in status.problems[:MAX_PROBLEMS]],
        "receipt": _receipt(status.receipt),
    }


def foreign(instance_id: str, host: str) -> list[str]:
    """The problem that the status is not from the host that its key belongs to, or nothing.

    etcd's roles let a host write keys that begin with its name and a dot, and nothing else; what
    stands in a status is the word of whoever wrote it.
    """
    owner, _, name = instance_id.rpartition(".")
    if owner == host and name:
        return []
    says = (
        f"The status says that it is from host {host}, but the key {instance_id} is not that host's"
    )
    return [f"{says}: its agent runs without CONFHUB_INSTANCE_PREFIX, or somebody else wrote it."]


def is_id(text: str) -> bool:
    """True where `text`, from a key in etcd, can name a row."""
    return 0 < len(text) <= MAX_ID_CHARS and clean(text, MAX_ID_CHARS) == text


def clean(text: object, limit: int) -> str:
    """`text` as a column can hold it; "" where it is no text.

    Half a surrogate is not UTF-8, and PostgreSQL takes no NUL: a checker's output may have both.
    """
    if not isinstance(text, str):
        return ""
    return (
        text[:limit]
        .encode("utf-8", "replace")
        .decode()
        .replace("\x00", "\N{REPLACEMENT CHARACTER}")
    )


def moment(text: object) -> datetime | None:
    """An agent's time in UTC; None where there is none, or it is no time."""
    if not isinstance(text, str) or not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _number(value: object) -> int | None:
    held = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER
    return value if held else None  # type: ignore[return-value]  # known to be an int there


def _container(container: dict[str, Any]) -> dict[str, Any]:
    texts = {
        name: clean(container.get(name), 500) or None for name in ("name", "image", "started_at")
    }
    return {**texts, "restarts": _number(container.get("restarts"))}


def _receipt(receipt: Receipt | None) -> dict[str, Any] | None:
    if receipt is None or not 0 < receipt.release <= MAX_NUMBER:
        return None
    times = {
        name: getattr(receipt, name) for name in ("delivered_at", "applied_at", "confirmed_at")
    }
    return {
        "release": receipt.release,
        "state": receipt.state,
        "stage": clean(receipt.stage, 20),
        "reason": clean(receipt.reason, 4000),
        **{name: text if moment(text) else None for name, text in times.items()},
        "at": clean(receipt.at, 40),
        "pending_restart": [clean(name, 128) for name in receipt.pending_restart],
        "request_id": receipt.request_id,  # checked by watchers.wire
    }
