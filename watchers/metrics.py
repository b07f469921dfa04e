"""What the agent counts, in Prometheus' text format.

Written by hand: the usual client takes eight megabytes for what stands here, on every host.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from watchers import moments
from watchers.options import AGENT
from watchers.wire.status import Status

BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
HEALTHS = ("healthy", "unhealthy", "starting", "stopped", "unknown")


class Counter:
    """A number that only rises, one for each value of its label."""

    def __init__(self, name: str, text: str, label: str = "") -> None:
        self._name, self._text, self._label = name, text, label
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {} if label else {"": 0}

    def add(self, value: str = "") -> None:
        with self._lock:
            self._counts[value] = self._counts.get(value, 0) + 1

    def lines(self) -> Iterator[str]:
        yield from _head(self._name, self._text, "counter")
        with self._lock:
            counts = sorted(self._counts.items())
        for value, count in counts:
            yield _sample(self._name, {self._label: value} if self._label else {}, count)


class Histogram:
    """How long things took, in seconds, one for each value of its label."""

    def __init__(self, name: str, text: str, label: str) -> None:
        self._name, self._text, self._label = name, text, label
        self._lock = threading.Lock()
        self._held: dict[str, tuple[list[int], float]] = {}  # {value: (per bucket and +Inf, sum)}

    def observe(self, value: str, took_s: float) -> None:
        with self._lock:
            counts, total_s = self._held.get(value, ([0] * (len(BUCKETS_S) + 1), 0.0))
            for at, limit_s in enumerate((*BUCKETS_S, float("inf"))):
                counts[at] += took_s <= limit_s
            self._held[value] = counts, total_s + took_s

    def lines(self) -> Iterator[str]:
        yield from _head(self._name, self._text, "histogram")
        with self._lock:
            held = {value: (list(counts), total) for value, (counts, total) in self._held.items()}
        for value, (counts, total_s) in sorted(held.items()):
            for limit, count in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True):
                yield _sample(f"{self._name}_bucket", {self._label: value, "le": limit}, count)
            yield _sample(f"{self._name}_sum", {self._label: value}, round(total_s, 6))
            yield _sample(f"{self._name}_count", {self._label: value}, counts[-1])


FAILURES = Counter(
    "confhub_agent_failures_total", "Releases that an instance did not take, by stage.", "stage"
)
WATCH_RESTARTS = Counter(
    "confhub_agent_watch_restarts_total", "How often a scope had to be read anew from etcd."
)
VETOES = Counter(
    "confhub_agent_vetoed_signals_total", "Signals not sent, because the process handles none such."
)
STAGES = Histogram(
    "confhub_agent_stage_seconds",
    "How long a release took from delivered to applied, and from applied to confirmed.",
    "stage",
)


class Counted(Protocol):
    """Whose numbers are shown: an agent."""

    def standing(self) -> list[Status]:
        """What is said of each instance at the moment."""

    def reachable(self) -> Mapping[str, bool]:
        """{runtime: whether it answers}, of those that can be away."""

    def silence(self) -> str | None:
        """Why etcd is not heard at the moment, or None."""


class Meter:
    """Watches what instances say of themselves, and counts it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._behind_since: dict[str, float] = {}  # {instance: monotonic seconds}
        self._counted: dict[str, tuple[int, str, str]] = {}  # {instance: (release, state, at)}

    def see(self, status: Status) -> None:
        with self._lock:
            if _is_there(status):
                self._behind_since.pop(status.id, None)
            else:
                self._behind_since.setdefault(status.id, time.monotonic())
            receipt = status.receipt
            mark = (receipt.release, receipt.state, receipt.at) if receipt else (0, "", "")
            if receipt is None or self._counted.get(status.id) == mark:
                return
            self._counted[status.id] = mark
        if receipt.state == "failed":
            FAILURES.add(receipt.stage)
        elif receipt.state == "applied":
            _observe("apply", receipt.delivered_at, receipt.applied_at)
        elif receipt.state == "confirmed":
            _observe("confirm", receipt.applied_at, receipt.confirmed_at)

    def forget(self, instance_id: str) -> None:
        with self._lock:
            self._behind_since.pop(instance_id, None)
            self._counted.pop(instance_id, None)

    def lag_s(self, instance_id: str) -> float:
        """How long it has not been confirmed with its target; 0 where it is."""
        with self._lock:
            since = self._behind_since.get(instance_id)
        return 0.0 if since is None else time.monotonic() - since


def _is_there(status: Status) -> bool:
    receipt = status.receipt
    if status.target is None:
        return True  # nothing is asked of it
    return receipt is not None and (receipt.release, receipt.state) == (status.target, "confirmed")


def _observe(stage: str, began: str | None, ended: str | None) -> None:
    first, last = moments.parse(began), moments.parse(ended)
    if first is not None and last is not None and last >= first:
        STAGES.observe(stage, (last - first).total_seconds())


def exposition(counted: Counted, meter: Meter) -> str:
    """Everything, as a scrape reads it."""
    statuses = sorted(counted.standing(), key=lambda status: status.id)
    lines = [
        *_gauge("confhub_agent_info", "Which agent this is.", [({"agent": AGENT}, 1)]),
        *_gauge(
            "confhub_agent_etcd_up",
            "Whether etcd is heard.",
            [({}, int(counted.silence() is None))],
        ),
        *_gauge(
            "confhub_agent_engine_up",
            "Whether the engine answers.",
            [({"runtime": name}, int(up)) for name, up in sorted(counted.reachable().items())],
        ),
        *_of_instances(statuses, meter),
    ]
    for each in (FAILURES, WATCH_RESTARTS, VETOES, STAGES):
        lines += each.lines()
    return "\n".join(lines) + "\n"


def _of_instances(statuses: Sequence[Status], meter: Meter) -> Iterator[str]:
    named = [(_labels(status), status) for status in statuses]
    yield from _gauge(
        "confhub_instance_target_release", "What it shall run.",
        [(labels, s.target) for labels, s in named if s.target is not None],
    )  # fmt: skip
    yield from _gauge(
        "confhub_instance_running_release", "What it runs.",
        [(labels, s.running) for labels, s in named if s.running is not None],
    )  # fmt: skip
    yield from _gauge(
        "confhub_instance_lag_seconds", "How long it has not been confirmed with its target.",
        [(labels, round(meter.lag_s(s.id), 1)) for labels, s in named],
    )  # fmt: skip
    yield from _gauge(
        "confhub_instance_problems", "What is wrong with its labels, its mounts or our rights.",
        [(labels, len(s.problems)) for labels, s in named],
    )  # fmt: skip
    yield from _gauge(
        "confhub_agent_instances", "How many, by health.",
        [({"health": word}, sum(s.health == word for s in statuses)) for word in HEALTHS],
    )  # fmt: skip
    yield from _gauge(
        "confhub_agent_stale_mounts", "Instances whose directory is not where their process looks.",
        [({}, sum(_is_stale(s) for s in statuses))],
    )  # fmt: skip


def _is_stale(status: Status) -> bool:
    """A mount of a file or directory that was replaced on the host: writes would not be seen."""
    said = [*status.problems, status.receipt.reason if status.receipt else ""]
    return any("stale mount" in text for text in said)


def _labels(status: Status) -> dict[str, str]:
    return {
        "instance": status.id,
        "service": status.service,
        "environment": status.environment,
        "container": str(status.container.get("name") or ""),
    }


def _gauge(
    name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    yield from _head(name, text, "gauge")
    for labels, value in samples:
        yield _sample(name, labels, value)


def _head(name: str, text: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
