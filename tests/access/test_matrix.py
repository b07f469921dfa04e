"""The permission matrix: every page, every REST call and every stream, by everybody of the cast.

The rows stand in tests/access/matrix.py. What has no row fails here by name; so does a row whose
page or call is gone. A refusal must not have written anything.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from confhub.access.queries import actor_of_user
from confhub.api.interface import api
from dashboard.live import feed
from tests.access import world as worlds
from tests.access.matrix import (
    ARGS,
    CALLS,
    CAST,
    NEEDS,
    PAGES,
    SECRET,
    STREAMS,
    TLS,
    Row,
    expected,
    row,
)
from tests.access.world import World

pytestmark = pytest.mark.django_db

UNSAFE = ("INSERT", "UPDATE", "DELETE", "REPLACE", "TRUNCATE")
CANARY = worlds.CANARY.encode()
HIDDEN = b"billing"  # whoever is editor of shop must not read it in any answer
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """One world for all rows; what a row changes is rolled back after each of its requests."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield worlds.made()
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _static_root(settings: Any, tmp_path: Path) -> None:
    """A directory that is there, because WhiteNoise warns of one that is not."""
    settings.STATIC_ROOT = tmp_path


@contextmanager
def taken_back() -> Iterator[list[str]]:
    """Statements that were sent inside and would change rows; whatever they did is undone."""
    wrote: list[str] = []
    with transaction.atomic():
        with CaptureQueriesContext(connection) as sent:
            yield wrote
        wrote += [each["sql"] for each in sent if each["sql"].lstrip().upper().startswith(UNSAFE)]
        transaction.set_rollback(True)


# --- nothing is left out --------------------------------------------------------------------------


def pages_there(world: World) -> set[str]:
    """ "METHOD name" of everything that Django answers outside /api/v1, asked of the views."""
    found: set[str] = set()
    for name in sorted(set(_names(get_resolver().url_patterns))):
        allow = world.browser("nobody").generic("PROPFIND", address(name, TLS, world, "admin"))
        assert allow.status_code == 405, (
            f"The page {name!r} takes any method. Put require_safe, require_POST or "
            "require_http_methods above it."
        )
        methods = {each.strip() for each in allow["Allow"].split(",")}
        if name in ("sign-in", "sign-out"):  # Django's own; its PUT is its POST
            methods -= {"PUT"}
        found |= {f"{method} {name}" for method in methods & set(METHODS)}
    return found


def _names(patterns: list[Any]) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver) and pattern.namespace is None:
            yield from _names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield pattern.name


def calls_there() -> set[str]:
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method in methods
    }


@pytest.mark.parametrize("what", ["pages", "calls"])
def test_every_page_and_call_has_a_row(world: World, what: str) -> None:
    there = pages_there(world) if what == "pages" else calls_there()
    rows = {key.partition("#")[0] for key in (PAGES if what == "pages" else CALLS)}

    missing, gone = sorted(there - rows), sorted(rows - there)

    needs = ", ".join(repr(each) for each in NEEDS)
    assert missing == [], (
        f"Nobody said who may do this: {missing}. Add a line for each to {what.upper()} in "
        f'tests/access/matrix.py, such as \'"{missing[0]}": "see",\' (one of {needs}).'
    )
    assert gone == [], f"These are gone; take their lines out of tests/access/matrix.py: {gone}."


# --- who gets what --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PAGES)
def test_page(world: World, key: str) -> None:
    method, _, name = key.partition("#")[0].partition(" ")
    held = row(PAGES[key])

    def ask(who: str) -> HttpResponse:
        where = address(name, held.args, world, who)
        client = world.browser(who)
        answer: HttpResponse = getattr(client, method.lower())(
            f"{where}?{held.query}" if held.query else where, held.body or {}
        )
        return answer

    assert _mistakes(world, held, ask) == []


@pytest.mark.parametrize("key", CALLS)
def test_call(world: World, key: str) -> None:
    method, _, path = key.partition("#")[0].partition(" ")
    held = row(CALLS[key])
    body = held.body if held.body is not None else _smallest_body(method, path)

    def ask(who: str) -> HttpResponse:
        where = f"/api/v1{path}".format(**_args(held.args, world, who))
        answer: HttpResponse = world.browser("nobody").generic(
            method, f"{where}?{held.query}" if held.query else where,
            b"" if body is None else json.dumps(body).encode(), content_type="application/json",
            headers={"If-Match": "*", **world.headers(who)},
        )  # fmt: skip
        return answer

    assert _mistakes(world, held, ask) == []


@pytest.mark.parametrize("stream", STREAMS)
def test_stream(world: World, stream: str) -> None:
    """What the socket asks before it tells anything, and at each heartbeat."""
    found = {}
    for who in CAST:
        with taken_back():
            found[who] = _stream_answer(world, who, world.streams[stream])

    told = {"ok": "ok", "in": "closed", "off": "closed", "403": "closed", "404": "closed"}
    assert found == {who: told[word] for who, word in expected(STREAMS[stream]).items()}


def _stream_answer(world: World, who: str, stream: str) -> str:
    try:
        actor = feed.person_of(world.sessions.get(who))
        feed.check_streams(actor, [stream])
    except feed.NotYours:
        return "closed"
    return "ok"


def test_the_cast_is_who_it_says(world: World) -> None:
    roles = {name: [each.role for each in actor_of_user(person).grants] for name, person in world.people.items()}  # fmt: skip

    assert roles == {
        "viewer": ["viewer"], "editor": ["editor"], "publisher": ["publisher"],
        "approver": ["approver"], "admin": ["admin"], "elsewhere": ["editor"], "off": ["admin"],
        "zoe": ["viewer"],
    }  # fmt: skip


def _mistakes(world: World, held: Row, ask: Any) -> list[str]:
    """ "viewer: 200 in place of 403", for everybody who got another answer than the matrix has."""
    found = []
    for who, wanted in expected(held.needs).items():
        with taken_back() as wrote:
            answer = ask(who)
        got = _word(answer)
        fits = got == wanted or (wanted == "off" and got in ("in", "403"))
        if not fits:
            found.append(f"{who}: {got} ({answer.status_code}) in place of {wanted}")
        is_shown = got == "ok" and held.needs != "nothing"  # a refusal repeats what was asked for
        if who == "elsewhere" and is_shown and HIDDEN in answer.content:
            found.append(f"{who}: was told of {HIDDEN.decode()!r}, which they may not see")
        if CANARY in answer.content and held.body != SECRET:
            found.append(f"{who}: was told the value of a secret")
        if wanted != "ok" and wrote:
            found.append(f"{who}: was refused, and yet wrote: {wrote[0][:200]}")
    return found


def _word(answer: HttpResponse) -> str:
    if answer.status_code in (403, 404):
        return str(answer.status_code)
    if answer.status_code == 401 or answer.get("Location", "").startswith("/sign-in/?next="):
        return "in"
    return "broken" if answer.status_code >= 500 else "ok"


def address(name: str, args: Any, world: World, who: str) -> str:
    """The page's address with those of ARGS that it takes."""
    held = _args(args, world, who)
    for pattern in get_resolver().reverse_dict.getlist(name):
        for _, names in pattern[0]:
            given = {each: held[each] for each in names if held.get(each) is not None}
            if set(given) != set(names) or (
                "kind" in names and ("slug" in names) != bool(held["slug"])
            ):
                continue
            try:
                return reverse(name, kwargs=given)
            except NoReverseMatch:
                continue
    raise AssertionError(
        f"The address of {name!r} has a part that tests/access/matrix.py does not know: add it to "
        "ARGS there, and what it names to tests/access/world.py."
    )


def _args(args: Any, world: World, who: str) -> dict[str, Any]:
    held = {**ARGS, **args}
    if held["name"] == "ONESELF":
        held["name"] = who if who != "nobody" else "zoe"
    for name, found in world.ids.items():
        held.setdefault(name, found)
    if held["number"] == "REQUEST":
        held["number"] = world.ids["request"]
    if held.get("grant") is None:
        held["grant"] = world.grants.get(held["name"], 0)
    return held


def _smallest_body(method: str, path: str) -> Any:
    """A body that has every field that must be there, and nothing more; None where none is read."""
    document = api.get_openapi_schema()
    content = document["paths"][f"/api/v1{path}"][method.lower()].get("requestBody", {})
    shapes = [each["schema"] for each in content.get("content", {}).values()]
    return _smallest(shapes[0], document["components"]["schemas"]) if shapes else None


def _smallest(shape: dict[str, Any], known: dict[str, Any]) -> Any:
    if "$ref" in shape:
        return _smallest(known[shape["$ref"].rsplit("/", 1)[-1]], known)
    if "anyOf" in shape:
        return _smallest(shape["anyOf"][0], known)
    if "enum" in shape:
        return shape["enum"][0]
    if shape.get("type") == "object":
        fields = shape.get("properties", {})
        return {name: _smallest(fields[name], known) for name in shape.get("required", [])}
    blanks: dict[str, Any] = {
        "string": "x",
        "integer": 1,
        "number": 1,
        "boolean": True,
        "array": [],
    }
    return blanks.get(shape.get("type", ""), {})
