"""What an instance says of itself: its status, with the receipt of its newest release."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, cast

from watchers.wire.canonical import canonical
from watchers.wire.documents import BadDocument, read_object, request_id_of, take

State = Literal["delivered", "applied", "confirmed", "failed"]
STATES: tuple[State, ...] = ("delivered", "applied", "confirmed", "failed")
MAX_PENDING = 100  # names in a receipt
MAX_REASON_CHARS = 4000  # a validator's last lines; more belongs into the host's own log


@dataclass(frozen=True)
class Receipt:
    """How far one release got in one instance. Times are aware UTC, `None` where not reached."""

    release: int
    state: State
    at: str
    stage: str = ""  # where it failed: fetch, render, check, swap, reload, confirm
    reason: str = ""
    delivered_at: str | None = None
    applied_at: str | None = None
    confirmed_at: str | None = None
    pending_restart: tuple[str, ...] = ()  # entries or settings that wait for one; then `delivered`
    request_id: str = ""  # of the call that published the release, as its document says


@dataclass(frozen=True)
class Status:
    """One instance, as its agent last saw it. Stands in etcd under the agent's lease."""

    id: str
    service: str
    environment: str
    host: str
    runtime: Literal["docker", "podman", "process"]
    agent: str  # "confhub/0.1.0"
    container: dict[str, Any] = field(default_factory=dict)  # name, image, started_at, restarts
    pid: int | None = None
    target: int | None = None
    running: int | None = None
    checksum: str | None = None
    receipt: Receipt | None = None
    health: str = "unknown"  # healthy, unhealthy, starting, stopped, unknown
    problems: tuple[str, ...] = ()  # unknown or contradictory labels, missing rights: sentences

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        held = read_object(raw, what="status")
        what = f"status of {str(held.get('id'))[:80]}"
        runtime = take(held, "runtime", str, what=what)
        if runtime not in ("docker", "podman", "process"):
            raise BadDocument(f"{what} has an unknown runtime: {runtime[:40]!r}")
        return cls(
            id=take(held, "id", str, what=what),
            service=take(held, "service", str, what=what),
            environment=take(held, "environment", str, what=what),
            host=take(held, "host", str, what=what),
            runtime=runtime,
            agent=str(held.get("agent", "")),
            container=take({"container": {}, **held}, "container", dict, what=what),
            pid=_number(held, "pid", what),
            target=_number(held, "target", what),
            running=_number(held, "running", what),
            checksum=held.get("checksum"),
            receipt=_receipt(held.get("receipt"), what),
            health=str(held.get("health", "unknown")),
            problems=tuple(map(str, held.get("problems") or ())),
        )

    def to_bytes(self) -> bytes:
        return canonical(asdict(self))


def _number(held: dict[str, Any], name: str, what: str) -> int | None:
    return None if held.get(name) is None else cast(int, take(held, name, int, what=what))


def _receipt(held: object, what: str) -> Receipt | None:
    if held is None:
        return None
    if not isinstance(held, dict):
        raise BadDocument(f"{what} has a receipt that is not an object")
    state = take(held, "state", str, what=what)
    if state not in STATES:
        raise BadDocument(f"{what} has an unknown receipt state: {state[:40]!r}")
    return Receipt(
        release=take(held, "release", int, what=what),
        state=state,
        at=take(held, "at", str, what=what),
        stage=str(held.get("stage") or ""),
        reason=str(held.get("reason") or "")[:MAX_REASON_CHARS],
        delivered_at=held.get("delivered_at"),
        applied_at=held.get("applied_at"),
        confirmed_at=held.get("confirmed_at"),
        pending_restart=_names(held.get("pending_restart")),
        request_id=request_id_of(held),
    )


def _names(held: object) -> tuple[str, ...]:
    return tuple(map(str, held[:MAX_PENDING])) if isinstance(held, list) else ()
