"""An instance's tile with the words that a page puts to it. Pure.

The same is done by frontend/src/grid/tile.ts when a frame changes a tile; a browser test holds the
two together (a page that was changed by frames looks as the page drawn now).
"""

from collections.abc import Iterable
from typing import Any

from confhub.fleet.tiles import Tile

STAGES = ("delivered", "applied", "confirmed")
# state: tone, icon, word. Each has all three, because a colour alone says nothing to many.
STATES: dict[str, tuple[str, str, str]] = {
    "failed": ("bad", "cross", "Failed"),
    "waiting": ("off", "dots", "Waiting"),
    "delivered": ("lag", "quarter", "Delivered"),
    "applied": ("lag", "half", "Applied"),
    "confirmed": ("ok", "check", "Confirmed"),
    "gone": ("off", "ring", "Gone"),
}
_FAILED_FIRST = {"failed": 0, "gone": 2}


def towards(tile: Tile, head: int) -> str:
    """The tile's state as seen from release `head`: who has not heard of it yet waits for it."""
    if tile["state"] == "gone" or (tile["target"] or 0) >= head:
        return str(tile["state"])
    return "waiting"


def drawn(tile: Tile, head: int) -> dict[str, Any]:
    """The tile with "state", "tone", "icon", "word", "ticks" and "release_line" as drawn."""
    state = towards(tile, head)
    tone, icon, word = STATES[state]
    receipt = tile["receipt"] or {}
    return tile | {
        "state": state,
        "tone": tone,
        "icon": icon,
        "word": word,
        "rank": rank(state),
        "ticks": [_tick(stage, tile, receipt) for stage in STAGES],
        "release_line": release_line(tile, head, state),
        "health": "unknown" if state == "gone" else tile["health"],  # what it was says nothing now
        "failure": failure(receipt) if state == "failed" else "",
        "where": " · ".join(filter(None, (tile["host"], tile["runtime"]))),
    }


def drawn_all(tiles: Iterable[Tile], head: int) -> list[dict[str, Any]]:
    """Those that failed first, those that are gone last, by name in between."""
    found = [drawn(tile, head) for tile in tiles]
    return sorted(found, key=lambda each: (each["rank"], each["name"], each["id"]))


def rank(state: str) -> int:
    return _FAILED_FIRST.get(state, 1)


def counts(drawn_tiles: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """[{"state", "tone", "icon", "word", "count"}, …] of the states that occur, worst first."""
    states = [tile["state"] for tile in drawn_tiles]
    return [
        {"state": state, "tone": tone, "icon": icon, "word": word, "count": states.count(state)}
        for state, (tone, icon, word) in STATES.items()
        if state in states
    ]


def release_line(tile: Tile, head: int, state: str) -> str:
    """ "r41 → r42", "r42", or what is missing."""
    if state == "gone":
        return f"r{tile['running']} last" if tile["running"] else "none"
    running, target = tile["running"], max(tile["target"] or 0, head if state == "waiting" else 0)
    if running is None:
        return f"none yet → r{target}" if target else "none yet"
    return f"r{running}" if not target or running == target else f"r{running} → r{target}"


def failure(receipt: dict[str, Any]) -> str:
    stage, reason = receipt.get("stage") or "", receipt.get("reason") or "No reason was given."
    return f"{stage}: {reason}" if stage else str(reason)


def latency(ms: int | None) -> str:
    """ "480 ms", "95 s"; empty where it is not known. Nobody reads seven digits of milliseconds."""
    if ms is None:
        return ""
    return f"{ms} ms" if ms < 10_000 else f"{ms // 1000} s"


def _tick(stage: str, tile: Tile, receipt: dict[str, Any]) -> dict[str, Any]:
    """Done with the time of the receipt's release, which may be an older one than the page's."""
    at = receipt.get(f"{stage}_at")
    return {
        "stage": stage,
        "word": STATES[stage][2],
        "at": at,
        "took": latency(tile["latency_ms"][stage]),
    }
