"""The time, taken once at the edge of the system and handed on as `now=`."""

from datetime import UTC, datetime


def now() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """`moment` as the protocols write it: `2026-11-23T20:05:32.479Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
