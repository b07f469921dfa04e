"""Search and a layer's preview at 100 services x 3 environments x 500 keys: `python -m benchmarks.search`.

The search is taken beside its floor, the database's own look for the same text in the same columns;
the preview beside reading the entries of every newest release once. In turns, in one run, on a SQLite
file of its own, with the server's real actions.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SERVICES, KEYS, ROUNDS = 100, 500, 9
ENVIRONMENTS = ("dev", "staging", "prod")
SEARCH_LIMIT_MS, PREVIEW_LIMIT_MS = 300.0, 2000.0
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

# What is looked for, and what makes it hard.
TEXTS = {
    "in one place": "needle-of-one-place",
    "in every scope": "value-of-the-global-layer",
    "nowhere": "not-there-at-all",
    # Quotes are left to the reader, so that the database lets every release through.
    "read everywhere, found nowhere": 'alue":"value',
}


@dataclass(frozen=True)
class Measured:
    """Medians in milliseconds."""

    scopes: int
    text_bytes: int  # of the newest releases' entries
    search_ms: dict[str, float]  # by what is looked for
    search_floor_ms: dict[str, float]
    preview_ms: float
    preview_floor_ms: float
    touched: int  # scopes that the preview names


def measure(services: int = SERVICES, keys: int = KEYS, rounds: int = ROUNDS) -> Measured:
    """Needs Django set up on an empty, migrated database."""
    from django.db.models import F, Q, Sum
    from django.db.models.functions import Length

    from confhub.publishing.layers import preview
    from confhub.releases.models import Release
    from confhub.releases.searching import search
    from tests.parts.factories import ANN

    layer = landscape(services, keys)
    heads = Release.objects.filter(number=F("scope__head"))
    times: dict[str, list[float]] = {}
    touched = 0

    def floor(text: str) -> list[int]:
        held = Q(entries__contains=text) | Q(own__contains=text)
        return list(heads.filter(held).values_list("pk", flat=True))

    def previewed() -> None:
        nonlocal touched
        touched = len(preview(layer, ANN))

    turns: dict[str, Callable[[], Any]] = {}
    for name, text in TEXTS.items():
        turns[f"floor, {name}"] = lambda text=text: floor(text)
        turns[f"search, {name}"] = lambda text=text: search(ANN, text)
    turns["floor of preview"] = lambda: list(heads.values_list("entries", flat=True))
    turns["preview"] = previewed
    order = list(turns)
    shuffled = random.Random(rounds)  # noqa: S311  # shuffles turns, and keeps no secret
    for _ in range(rounds + 1):
        shuffled.shuffle(order)
        for name in order:
            times.setdefault(name, []).append(_ms(turns[name]))
    middle = {name: statistics.median(held[1:]) for name, held in times.items()}
    size = heads.aggregate(size=Sum(Length("entries")))["size"] or 0
    return Measured(
        scopes=heads.count(),
        text_bytes=size,
        search_ms={name: middle[f"search, {name}"] for name in TEXTS},
        search_floor_ms={name: middle[f"floor, {name}"] for name in TEXTS},
        preview_ms=middle["preview"],
        preview_floor_ms=middle["floor of preview"],
        touched=touched,
    )


def landscape(services: int, keys: int) -> Any:
    """The global layer, with a draft that touches every scope of `services` in three environments."""
    from confhub.access import layers as doors
    from confhub.publishing import actions as publishing
    from confhub.publishing import layers
    from confhub.releases import actions as releases
    from tests.parts.factories import ANN, a_scope

    layer = doors.layer_for(ANN, "publish", "global")
    shared = {f"SHARED_{at}": f"value-of-the-global-layer {at}" for at in range(20)}
    releases.change_draft(layer, set=shared, expected=None, who=ANN, now=NOW)
    layers.publish_layer(layer, message="m", targets=[], who=ANN, now=NOW)
    chance = random.Random(1)  # noqa: S311  # makes values, and keeps no secret
    for number in range(services):
        for environment in ENVIRONMENTS:
            held = {f"KEY_{at:03}": f"value {chance.random()} of {at}" for at in range(keys)}
            held["URL"] = "http://${SHARED_1}/"
            if number == services // 2 and environment == "prod":
                held["NEEDLE"] = TEXTS["in one place"]
            scope = a_scope(f"service-{number:03}", environment)
            publishing.publish_changes(
                scope, set=held, unset=[], message="m", expected_release=None, who=ANN, now=NOW
            )
    releases.change_draft(layer, set={"SHARED_1": "other"}, expected=None, who=ANN, now=NOW)
    return layer


def _ms(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def words(held: Measured) -> str:
    lines = [f"{held.scopes} scopes ({held.text_bytes / 1e6:.1f} MB of entries):"]
    for name, ms in held.search_ms.items():
        lines.append(
            f"- search, {name}: {_beside(ms, held.search_floor_ms[name], SEARCH_LIMIT_MS)}"
        )
    lines.append(
        f"- a change of the global layer previewed for {held.touched} scopes: "
        f"{_beside(held.preview_ms, held.preview_floor_ms, PREVIEW_LIMIT_MS)}"
    )
    return "\n".join(lines)


def _beside(ms: float, floor_ms: float, limit_ms: float) -> str:
    verdict = "reached" if ms <= limit_ms else "**missed**"
    return (
        f"{ms:.0f} ms, {ms / floor_ms:.1f} times its floor of {floor_ms:.0f} ms "
        f"(the aim is {limit_ms:.0f} ms: {verdict})."
    )


def measured(into: Path) -> str:
    """Measure in a process of its own, because the database is chosen before Django is set up."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.search", "--into", str(into)],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    return done.stdout if done.returncode == 0 else f"Search: not measured: {done.stderr[-400:]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--into", type=Path, help="where search.json is written")
    parser.add_argument("--services", type=int, default=SERVICES)
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="confhub-search-") as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/search.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        held = measure(asked.services, asked.keys, asked.rounds)
    print(words(held))
    if asked.into is not None:
        (asked.into / "search.json").write_text(json.dumps(asdict(held)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
