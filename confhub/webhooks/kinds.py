"""What webhooks tell, and of which events it is made. Pure.

A kind of ours is public: other people's programs switch on it, so that names and fields only grow.
An event whose kind is not in confhub.events.kinds never happens; its public kind is not offered until
it does. docs/protocols/webhooks.md is checked against this table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confhub.events.kinds import KINDS

TEST = "test"  # asked for by hand; every webhook takes it

Facts = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """An event as a webhook tells it: its public kind and its facts, the place left out.

    `once` names what is told a single time, however many events say it; "" where each counts.
    """

    kind: str
    facts: Facts
    once: str = ""


@dataclass(frozen=True)
class Kind:
    """A public kind: what it says in a list to choose from, and the kind of its events."""

    words: str
    event: str


PUBLIC: Mapping[str, Kind] = {
    "release.published": Kind(
        "A release is published and on its way to etcd", "release.published"
    ),
    "release.delayed": Kind("etcd does not take a release; it stays queued", "publication.delayed"),
    "rollout.finished": Kind("A rollout reached every instance", "rollout.finished"),
    "rollout.failed": Kind("A rollout failed and was taken back", "rollout.failed"),
    "rollout.paused": Kind("A rollout stands still", "rollout.paused"),
    "instance.failed": Kind("An instance failed to take a release", "instance.changed"),
    "approval.asked": Kind("Somebody asks others to approve a publish", "request.changed"),
    "approval.decided": Kind(
        "A request was approved, rejected or withdrawn", "request.changed"
    ),
    "webhook.switched_off": Kind(
        "ConfHub switched a webhook off because nothing arrived", "webhook.switched_off"
    ),
}  # fmt: skip
DECIDED = ("approved", "rejected", "withdrawn")


def offered() -> list[str]:
    """The public kinds that happen, in the order of the table."""
    return [name for name, kind in PUBLIC.items() if kind.event in KINDS]


def source_kinds() -> list[str]:
    """The kinds of events that are looked at."""
    return sorted({kind.event for kind in PUBLIC.values()})


def told_of(kind: str, data: Mapping[str, Any]) -> Told | None:
    """The event as it is told; None where nobody is told of it. No value of an entry is in it."""
    make = _MAKERS.get(kind)
    return make(data) if make is not None else None


def _some(*names: str) -> Callable[[Mapping[str, Any]], Facts]:
    return lambda data: {name: data[name] for name in names if name in data}


def _published(data: Mapping[str, Any]) -> Told:
    return Told("release.published", _some("release", "message", "author", "checksum")(data))


def _delayed(data: Mapping[str, Any]) -> Told:
    return Told("release.delayed", {"release": data["release"], "reason": data["error"]})


def _failed(data: Mapping[str, Any]) -> Told | None:
    """The reason is left out: it is a program's own sentence, which may quote a value."""
    receipt = data.get("receipt") or {}
    if receipt.get("state") != "failed":
        return None
    facts = {
        "release": receipt["release"], "instance": data["id"], "name": data["name"],
        "host": data["host"], "stage": receipt["stage"],
    }  # fmt: skip
    return Told("instance.failed", facts, once=f"{data['id']} r{receipt['release']}")


def _request(data: Mapping[str, Any]) -> Told | None:
    facts = _some("request", "state", "by")(data)
    if data.get("done") == "asked":
        return Told("approval.asked", facts)
    return Told("approval.decided", facts) if data.get("done") in DECIDED else None


def _switched_off(data: Mapping[str, Any]) -> Told:
    return Told("webhook.switched_off", _some("webhook", "reason")(data))


def _rollout(kind: str) -> Callable[[Mapping[str, Any]], Told]:
    return lambda data: Told(kind, _some("rollout", "release", "baseline", "reason", "by")(data))


_MAKERS: Mapping[str, Callable[[Mapping[str, Any]], Told | None]] = {
    "release.published": _published,
    "publication.delayed": _delayed,
    "instance.changed": _failed,
    "request.changed": _request,
    "webhook.switched_off": _switched_off,
    **{kind: _rollout(kind) for kind in PUBLIC if kind.startswith("rollout.")},
}
