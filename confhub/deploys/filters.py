"""Which deliveries a hook takes: {"events": ["push"], "match": {"/ref": "refs/heads/*"}}. Pure."""

import json
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from confhub.deploys import pointers
from confhub.deploys.pointers import NoSuchValue
from watchers.wire.canonical import Json

MAX_EVENTS = 20
MAX_MATCHES = 20
MAX_CHARS = 200


def problems(filters: object) -> list[str]:
    """A sentence for whatever is wrong; [] where the filters can be kept."""
    if not isinstance(filters, dict):
        return ["Write an object with events, match, or both."]
    return list(_problems(filters))[:20]


def why_not(
    filters: Mapping[str, Any], event: str, payload: Json, *, usual: Collection[str]
) -> str | None:
    """The sentence that says why a delivery is not for this hook; None where it is.

    `usual` are the sender's events that are taken where the filters name none; empty: every one.
    """
    wanted = [normal(each) for each in filters.get("events", [])] or usual
    if wanted and normal(event) not in wanted:
        return f"{event or 'An unnamed event'} is not one of the events taken: {', '.join(wanted)}."
    for pointer, pattern in filters.get("match", {}).items():
        try:
            found = pointers.find(payload, pointer)
        except NoSuchValue as error:
            return str(error)
        if not fnmatchcase(_text(found), pattern):
            return f"What is at {pointer} does not match {pattern!r}."
    return None


def normal(event: str) -> str:
    """ "Tag Push Hook" and "tag_push" are one event of GitLab's."""
    return event.casefold().removesuffix(" hook").strip().replace(" ", "_")


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _problems(filters: Mapping[str, Any]) -> Iterator[str]:
    for name in filters:
        if name not in ("events", "match"):
            yield f"{str(name)[:40]!r} is no filter. There are: events, match."
    events, match = filters.get("events", []), filters.get("match", {})
    if not isinstance(events, list) or len(events) > MAX_EVENTS or not all(map(_is_word, events)):
        yield f"events: write a list of at most {MAX_EVENTS} names, such as [push, release]."
    if not isinstance(match, dict) or len(match) > MAX_MATCHES:
        yield f"match: write an object of at most {MAX_MATCHES} JSON pointers, each with a pattern."
        return
    for pointer, pattern in match.items():
        if found := pointers.problem(pointer):
            yield f"match: {found}"
        elif not _is_word(pattern):
            yield f"match.{pointer[:80]}: write a text of at most {MAX_CHARS} characters, such as refs/heads/*."


def _is_word(word: object) -> bool:
    return isinstance(word, str) and 0 < len(word) <= MAX_CHARS and "\x00" not in word
