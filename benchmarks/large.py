"""A scope of 5,000 keys: `python -m benchmarks.large`, and at the end of `make bench`.

Resolving and freezing it beside its floor, the canonical JSON and checksum of the same document,
taken in turns in one run; and the key-level difference that a review draws. On a SQLite file of its
own, with the server's real actions; the editor's figures in a browser are tests/browser's business.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEYS, CHANGED, ROUNDS = 5000, 500, 15
LIMIT_MS = 300.0  # above the floor
DIFF_LIMIT_MS = 150.0
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Large:
    """Medians in milliseconds."""

    keys: int
    floor_ms: float  # canonical JSON and checksum
    frozen_ms: float  # resolve over four layers, check, freeze, queue, commit
    previewed_ms: float  # what a review asks: the draft resolved, secrets masked
    diff_ms: float  # CHANGED of the keys differ
    document_bytes: int


def measure(rounds: int = ROUNDS) -> Large:
    """Needs Django set up on an empty, migrated database."""
    from confhub.publishing import actions as publishing
    from confhub.releases import actions as releases
    from confhub.releases.diff import diff
    from confhub.releases.queries import head_of, resolved_draft
    from tests.parts.factories import ANN
    from watchers.wire.canonical import canonical, checksum

    scope = _scope()
    times: dict[str, list[float]] = {"floor": [], "frozen": [], "previewed": [], "diff": []}
    for number in range(rounds + 2):
        touched = {f"KEY_{at}": f"value {number} of {at}" for at in range(0, KEYS, KEYS // CHANGED)}
        releases.change_draft(scope, set=touched, expected=None, who=ANN, now=NOW)
        before = head_of(scope)
        assert before is not None
        document = before.entries
        turn: dict[str, Callable[[], Any]] = {
            "floor": lambda held=document: (canonical(held), checksum(held)),
            "previewed": lambda: resolved_draft(scope),
            "frozen": lambda: publishing.publish_draft(scope, message="x", who=ANN, now=NOW),
        }
        for name, act in turn.items():
            times[name].append(_ms(act))
        after = head_of(scope)
        assert after is not None
        times["diff"].append(_ms(lambda old=document, new=after.entries: diff(old, new)))
    middle = {name: statistics.median(held[2:]) for name, held in times.items()}
    return Large(
        KEYS, middle["floor"], middle["frozen"], middle["previewed"], middle["diff"],
        len(canonical(document)),
    )  # fmt: skip


def _scope() -> Any:
    from confhub.access import layers as doors
    from confhub.catalog import sets
    from confhub.publishing import layers
    from confhub.releases import actions as releases
    from tests.parts.factories import ANN, a_release, a_scope

    scope = a_scope("large", "prod")
    sets.create_set(slug="common", who=ANN, now=NOW)
    sets.set_includes(scope.service, ["common"], who=ANN, now=NOW)
    for kind, slug in (
        ("global", ""),
        ("environment", "prod"),
        ("set", "common"),
        ("service", "large"),
    ):
        layer = doors.layer_for(ANN, "publish", kind, slug)
        held = {f"KEY_{at}": f"{kind} {at}" for at in range(250)}
        held |= {f"REF_{kind}": "${KEY_1} and ${KEY_2}"}
        releases.change_draft(layer, set=held, expected=None, who=ANN, now=NOW)
        layers.publish_layer(layer, message="x", targets=[], who=ANN, now=NOW)
    a_release(scope, {f"KEY_{at}": f"first value of {at}" for at in range(KEYS)})
    return scope


def _ms(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def words(large: Large) -> str:
    above = large.frozen_ms - large.floor_ms
    verdict = "reached" if above <= LIMIT_MS else "missed"
    diff_verdict = "reached" if large.diff_ms <= DIFF_LIMIT_MS else "missed"
    return (
        f"{large.keys:,} keys ({large.document_bytes:,} bytes): resolved and frozen in "
        f"{large.frozen_ms:.0f} ms, {large.frozen_ms / large.floor_ms:.1f} times the floor of "
        f"{large.floor_ms:.0f} ms ({above:.0f} ms above it; the aim is {LIMIT_MS:.0f}: {verdict}); "
        f"a review resolves the draft in {large.previewed_ms:.0f} ms; a difference of {CHANGED} keys "
        f"takes {large.diff_ms:.0f} ms (the aim is {DIFF_LIMIT_MS:.0f}: {diff_verdict})."
    )


def measured(into: Path) -> str:
    """Measure in a process of its own, because the database is chosen before Django is set up."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large", "--into", str(into)],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return (
        done.stdout if done.returncode == 0 else f"5,000 keys: not measured: {done.stderr[-400:]}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("--into", type=Path, help="where large.json is written")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="confhub-large-") as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/large.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        large = measure(asked.rounds)
    print(words(large))
    if asked.into is not None:
        (asked.into / "large.json").write_text(json.dumps(asdict(large)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
