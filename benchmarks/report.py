"""One JSON with every time, one table to read."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.clocked import Figure
from benchmarks.outages import LIMIT_MS
from tests.parts import postgres
from tests.parts.servers import program

FLOORS = {
    "accepted": "floor of accepted",
    "in etcd": "floor of in etcd",
    "handled, process": "floor of handled",
    "handled, container": "floor of handled",
    "handled, in the whole way": "floor of handled",
    "handled, in the whole way, container": "floor of handled",
    "put to handled, process": "floor of put to handled",
    "put to handled, container": "floor of put to handled",
}
STAGES = ("accepted", "in etcd", "handled, in the whole way")
PEERS = ("confd -watch", "etcdctl watch")
WAYS = {
    "the whole way": "the publish request",
    "the whole way, container": "the publish request",
    "put to confirmed, process": "its put to its receipt",
    "put to confirmed, container": "its put to its receipt",
}


def write(folder: Path, figures: Mapping[str, Figure], absent: list[str], rounds: int) -> str:
    """Write `results.json` and `results.md` into `folder`; return the table's text."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = about()
    document = {
        "machine": machine,
        "rounds": rounds,
        "absent": absent,
        "figures": {
            name: {
                "note": figure.note,
                "n": len(figure.ms),
                "ms": [round(ms, 3) for ms in figure.ms],
            }
            for name, figure in figures.items()
        },
    }
    text = table(figures, absent, machine, rounds)
    (folder / "results.json").write_text(json.dumps(document) + "\n")
    (folder / "results.md").write_text(text)
    return text


def table(figures: Mapping[str, Figure], absent: list[str], machine: Mapping[str, Any], rounds: int) -> str:  # fmt: skip
    lines = [
        f"# {machine['at']}",
        "",
        (
            f"{machine['cores']} cores, Python {machine['python']}, etcd {machine['etcd']}, PostgreSQL "
            f"{machine['postgresql']}; {rounds} rounds, every variant once in each in another order, the peers in every fifth. "
            "Milliseconds."
        ),
        "",
        "| what | p50 | p90 | p99 | n | to its floor | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, figure in figures.items():
        floor = figures.get(FLOORS.get(name, ""))
        ratio = f"{figure.at(50) / floor.at(50):.1f} times" if floor is not None else ""
        numbers = " | ".join(f"{figure.at(percent):.1f}" for percent in (50, 90, 99))
        lines.append(f"| {name} | {numbers} | {len(figure.ms)} | {ratio} | {figure.note} |")
    lines += ["", *_sentences(figures), *(f"- Not measured: {each}." for each in absent), ""]
    return "\n".join(lines)


def _sentences(figures: Mapping[str, Figure]) -> list[str]:
    sums = sum(figures[name].at(50) for name in STAGES)
    shares = ", ".join(f"{name} {100 * figures[name].at(50) / sums:.0f} %" for name in STAGES)
    found = [f"- Share of each stage of the whole way, at p50: {shares}."]
    found += [
        _against_floor(figures, runtime)
        for runtime in ("process", "container")
        if f"put to handled, {runtime}" in figures
    ]
    found += [
        _beside_peer(figures[way], figures[peer])
        for way in WAYS
        for peer in PEERS
        if way in figures and peer in figures
    ]
    for name, figure in figures.items():
        if name.startswith("accepted, "):
            worst = figure.at(99)
            found.append(
                _verdict(
                    f"{name}: p99 {worst:.0f} ms; the bar is {LIMIT_MS:.0f} ms", worst < LIMIT_MS
                )
            )
    return found


def _beside_peer(way: Figure, peer: Figure) -> str:
    ours, theirs = way.at(50), peer.at(50)
    sentence = (
        f"{way.name[0].upper()}{way.name[1:]}, {ours:.1f} ms from {WAYS[way.name]}, beside "
        f"{peer.name}, {theirs:.1f} ms from its put"
    )
    return _verdict(sentence, ours < theirs)


def _against_floor(figures: Mapping[str, Figure], runtime: str) -> str:
    """The floor's own way begins with a put and its event, so ours is counted from its put too.

    Counted from the event on, both lose the put that they share, so the ratio is the harder one: it
    is said beside.
    """
    handled = figures[f"put to handled, {runtime}"].at(50)
    floor = figures["floor of put to handled"].at(50)
    shorter = figures[f"handled, {runtime}"].at(50) / figures["floor of handled"].at(50)
    sentence = (
        f"*Handled*, {runtime}, from the put: {handled / floor:.2f} times its floor at p50 (from the "
        f"event on, without the put that both share: {shorter:.2f} times); the aim is at most 2"
    )
    return _verdict(sentence, handled <= 2 * floor)


def _verdict(sentence: str, holds: bool) -> str:
    return f"- {sentence}: {'reached' if holds else '**missed**'}."


def about() -> dict[str, Any]:
    """What the figures were measured on, without its name."""
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "etcd": _version([program("etcd") or "etcd", "--version"]),
        "postgresql": _version([postgres.binary("postgres") or "postgres", "--version"]),
    }


def _version(command: list[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")[
        0
    ]
    return next((word for word in said.split() if word[0].isdigit()), "unknown")
