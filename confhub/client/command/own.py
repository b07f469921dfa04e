"""What a place itself holds, of its newest release and of its draft, as REST tells it."""

from dataclasses import dataclass
from typing import Any

from confhub.client.command.calls import Api
from confhub.client.command.failures import Problem
from confhub.client.command.places import Place
from confhub.client.command.words import hidden

ABSENT = object()  # no value is one


@dataclass(frozen=True)
class Held:
    """`own` are the entries of the newest release that this place sets itself, references as people
    wrote them, secrets as masks; `below` is what layers give where it does not."""

    place: Place
    release: int  # 0 before the first
    own: dict[str, Any]
    below: dict[str, Any]

    def effective(self, key: str) -> Any:
        return self.own.get(key, self.below.get(key, ABSENT))


def held(api: Api, place: Place) -> Held:
    """The newest release."""
    return _of_scope(api, place) if place.is_scope else _of_layer(api, place)


def draft(api: Api, place: Place) -> dict[str, Any]:
    """GET …/draft."""
    found: dict[str, Any] = api.get(f"{place.path}/draft")
    return found


def with_draft(found: Held, drafted: dict[str, Any]) -> dict[str, Any]:
    """The own entries that publishing the draft would give."""
    own = {**found.own, **drafted["set"]}
    return {key: value for key, value in own.items() if key not in drafted["unset"]}


def drafted_changes(found: Held, drafted: dict[str, Any]) -> list[dict[str, Any]]:
    """The draft against the newest release, as a diff: what a key shows before and after."""
    after = {**drafted["set"], **{key: found.below.get(key, ABSENT) for key in drafted["unset"]}}
    changes = (_change(key, found.effective(key), after[key]) for key in sorted(after))
    return [each for each in changes if each]


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """`new` against `old`, by key."""
    names = sorted({*old, *new})
    changes = (_change(key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in names)
    return [each for each in changes if each]


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are one number, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same(held, other[name]) for name, held in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _change(key: str, old: Any, new: Any) -> dict[str, Any]:
    """{} where nothing differs."""
    if old is ABSENT and new is ABSENT:
        return {}
    if old is ABSENT:
        return {"key": key, "kind": "added", "old": None, "new": hidden(new)}
    if new is ABSENT:
        return {"key": key, "kind": "removed", "old": old, "new": None}
    if same(old, new):
        return {}
    return {"key": key, "kind": "changed", "old": old, "new": hidden(new)}


def _of_scope(api: Api, place: Place) -> Held:
    try:
        answer = api.call("GET", f"{place.path}/config", query={"provenance": 1})
    except Problem as problem:
        if problem.code == "release.none":
            return Held(place, 0, {}, {})
        raise
    own, below = {}, {}
    for key, each in answer.document.items():
        if each["kind"] == "own":
            own[key] = each["value"]
            if each["hides"]:
                below[key] = each["hides"][0]["value"]
        else:
            below[key] = each["value"]
    return Held(place, int(answer.headers.get("Confhub-Release", "0")), own, below)


def _of_layer(api: Api, place: Place) -> Held:
    newest = api.get(place.path)["release"]
    if not newest:
        return Held(place, 0, {}, {})
    return Held(place, newest, entries(api, place, newest), {})


def entries(api: Api, place: Place, release: int) -> dict[str, Any]:
    """{KEY: value} of one release as REST tells it, secrets as masks."""
    found = api.get(f"{place.path}/releases/{release}")["entries"]
    return {key: _value(entry) for key, entry in sorted(found.items())}


def _value(entry: dict[str, Any]) -> Any:
    if not entry.get("secret"):
        return entry.get("value")
    return {"$secret": True, **{name: held for name, held in entry.items() if name != "secret"}}
