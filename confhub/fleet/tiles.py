"""One instance as pages, REST and live frames show it: the same JSON object everywhere. Pure."""

from datetime import datetime
from typing import Any, TypeAlias

from confhub.fleet.models import Instance

Tile: TypeAlias = dict[str, Any]
STATES = ("confirmed", "applied", "delivered", "failed", "waiting", "gone")


def tile_of(instance: Instance, *, published_at: datetime | None) -> Tile:
    """`published_at` is when the release of the receipt was accepted; latencies count from there."""
    receipt = instance.receipt
    container = instance.container
    return {
        "id": instance.instance_id,
        "service": instance.scope.service.slug,
        "environment": instance.scope.environment.slug,
        "host": instance.host,
        "runtime": instance.runtime,
        "agent": instance.agent,
        "name": container.get("name") or instance.instance_id,
        "image": container.get("image") or "",
        "started_at": container.get("started_at"),
        "restarts": container.get("restarts"),
        "pid": instance.pid,
        "target": instance.target,
        "running": instance.running,
        "checksum": instance.checksum,
        "health": instance.health,
        "problems": instance.problems,
        "receipt": receipt,
        "state": state_of(instance),
        "latency_ms": _latencies(receipt, published_at),
        "seen_at": instance.seen_at.isoformat(),
        "gone_at": instance.gone_at.isoformat() if instance.gone_at else None,
    }


def state_of(instance: Instance) -> str:
    """How far the instance is on its way to its target: one of STATES."""
    if instance.gone_at is not None:
        return "gone"
    receipt = instance.receipt
    if receipt is None or instance.target is None or receipt["release"] != instance.target:
        return "waiting"
    return str(receipt["state"])


def _latencies(receipt: dict[str, Any] | None, published_at: datetime | None) -> dict[str, int | None]:  # fmt: skip
    """Milliseconds from acceptance to each stage, by the agent's clock; None where not reached."""
    return {
        stage: _ms(published_at, (receipt or {}).get(f"{stage}_at"))
        for stage in ("delivered", "applied", "confirmed")
    }


def _ms(start: datetime | None, end: str | None) -> int | None:
    if start is None or not end:
        return None
    try:
        took = datetime.fromisoformat(end) - start
    except (ValueError, TypeError):  # an agent's own text
        return None
    return max(0, int(took.total_seconds() * 1000))
