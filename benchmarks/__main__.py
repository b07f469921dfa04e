"""`make bench`: a few minutes, on loopback; results in benchmarks/results/ (or where --into says)."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import editor, gates, idle, large, outages, report, search
from benchmarks.clocked import Figure
from benchmarks.world import World, standing, warm_up

RESULTS = Path(__file__).resolve().parent / "results"
PEERS_EVERY = 5  # a peer takes ten times as long as a stage, and a hundred of them tell enough
WARM_UP = 15


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=500, help="default: 500")
    parser.add_argument("--outage-requests", type=int, default=100, help="default: 100")
    parser.add_argument("--into", type=Path, default=RESULTS, help="default: benchmarks/results")
    parser.add_argument(
        "--short", action="store_true", help="without 5,000 keys, the search and the editor"
    )
    asked = parser.parse_args()
    # Short, because a socket's path has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="confhub-bench-"))
    try:
        with standing(folder) as (world, system, whole):
            print(f"warming up, then {asked.rounds} rounds", flush=True)
            warm_up(world.variants, WARM_UP)
            _take_turns(world, asked.rounds)
            figures = {
                figure.name: figure for variant in world.variants for figure in variant.figures
            }
            for figure in outages.measured(system, whole, asked.outage_requests):
                figures[figure.name] = figure
                print(f"{figure.name}: measured", flush=True)
            text = report.write(asked.into, _in_order(figures), world.absent, asked.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(text)
    for part in (idle,) if asked.short else (idle, large, search, editor, gates):
        print(part.measured(asked.into), flush=True)
    return 0


def _take_turns(world: World, rounds: int) -> None:
    """Every variant in turn, so that whatever else the machine does hits all of them alike.

    In another order each round, and after the time that each needs to settle, because what one
    leaves to do could fall into the turn of the next.
    """
    order = random.Random(rounds)  # noqa: S311  # shuffles turns, and keeps no secret
    for number in range(rounds):
        turn = [*world.often, *(world.seldom if number % PEERS_EVERY == 0 else [])]
        order.shuffle(turn)
        for variant in turn:
            variant.once()
            time.sleep(variant.settles_s)
        if number % 100 == 99:
            print(f"{number + 1} rounds", flush=True)


def _in_order(figures: dict[str, Figure]) -> dict[str, Figure]:
    """Each stage followed by its floor, then the whole and the peers, then the outages."""
    first = [
        "accepted", "floor of accepted", "in etcd", "floor of in etcd", "handled, process",
        "handled, container", "handled, in the whole way", "handled, in the whole way, container",
        "floor of handled", "put to handled, process",
        "put to handled, container", "floor of put to handled", "the whole way", "the whole way, container",
    ]  # fmt: skip
    names = [name for name in first if name in figures]
    return {
        name: figures[name] for name in [*names, *(each for each in figures if each not in names)]
    }


if __name__ == "__main__":
    sys.exit(main())
