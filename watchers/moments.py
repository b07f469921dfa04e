"""The two clocks of the container side: the wall for display, the boot clock for order."""

import re
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path


def stamp() -> str:
    """Now, as the protocols write it: `2026-11-23T20:05:32.479Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: object) -> datetime | None:
    """A stamp of ours, or the engine's `2026-11-23T20:05:32.479123456Z`; None for anything else."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*Z", str(text))
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}{found[2] or ''}+00:00")
    except ValueError:
        return None


def boot_ns() -> int:
    """Nanoseconds since this machine booted, suspend included: the clock of /proc/<pid>/stat."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@cache
def boot_id() -> str:
    """A word that is another one after each boot, so that process ids of an earlier one are not believed."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
