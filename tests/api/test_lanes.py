"""The lane beside Django answers what Django answers, byte for byte, and without its handler."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client

from confhub.access.models import Grant, Token, TokenReach
from confhub.api import limits
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.publishing.models import Publication
from tests.api.conftest import PROD, TOKEN, Caller, problem
from tests.parts.web import NO_TLS, WebThread

HOST = "localhost"
CONFIG, GATE, WATCH = f"{PROD}/config", f"{PROD}/convergence", f"{PROD}/watch"


@pytest.fixture
def committed(transactional_db: None, ann: User, publish: Callable[..., int]) -> None:
    """checkout in prod with two releases, both in etcd as far as rows say; ann's token in use."""
    publish(A=1)
    publish(A=2)
    written()
    Token.objects.update(last_used_at=clock.now())
    limits.buckets.clear()


@pytest.fixture
def web(committed: None) -> Iterator[WebThread]:
    server = WebThread()
    server.start()
    yield server
    server.stop()


def written() -> None:
    """The relay has brought every release into etcd."""
    Publication.objects.update(state="written", written_at=clock.now(), revision=1)


def ask(web: WebThread, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    sent = {"Authorization": f"Bearer {TOKEN}", "Host": HOST, "X-Request-Id": "the-same"}
    sent |= {name.replace("_", "-"): held for name, held in headers.items()}
    sent = {name: held for name, held in sent.items() if held}
    return httpx.request(method, f"{web.url}{path}", headers=sent, timeout=10, verify=NO_TLS)


def tag_of() -> str:
    return str(Client().get(CONFIG, headers={"Authorization": f"Bearer {TOKEN}"})["ETag"])


# (path, further headers), each asked at both doors
TABLE: dict[str, tuple[str, dict[str, str]]] = {
    "config unchanged": (CONFIG, {"If-None-Match": "TAG"}),
    "config unchanged, weak": (CONFIG, {"If-None-Match": "W/TAG"}),
    "config unchanged, one of two": (CONFIG, {"If-None-Match": '"x", TAG'}),
    "config unchanged, any": (CONFIG, {"If-None-Match": "*"}),
    "config as env unchanged": (f"{CONFIG}?format=env", {"If-None-Match": "TAG"}),
    "config changed": (CONFIG, {"If-None-Match": '"x"'}),
    "config without a tag": (CONFIG, {}),
    "config with a slash in its format": (f"{CONFIG}?format=json/", {"If-None-Match": "TAG"}),
    "config of a release": (f"{CONFIG}?release=1", {"If-None-Match": "TAG"}),
    "config without a token": (CONFIG, {"If-None-Match": "TAG", "Authorization": ""}),
    "config with another token": (CONFIG, {"If-None-Match": "*", "Authorization": "Bearer x"}),
    "config with basic": (CONFIG, {"If-None-Match": "*", "Authorization": "Basic eDp5"}),
    "config with half a bearer": (CONFIG, {"If-None-Match": "*", "Authorization": "Bearer"}),
    "config in small letters": (CONFIG, {"If-None-Match": "*", "Authorization": f"bearer {TOKEN}"}),
    "config of no service": (CONFIG.replace("checkout", "nope"), {"If-None-Match": "*"}),
    "config of no environment": (CONFIG.replace("prod", "nope"), {"If-None-Match": "*"}),
    "config of nothing published": (CONFIG.replace("prod", "dev"), {"If-None-Match": "*"}),
    "config with a NUL": (CONFIG.replace("checkout", "a%00b"), {"If-None-Match": "*"}),
    "config of a strange name": (CONFIG.replace("checkout", "%ff%0a"), {"If-None-Match": "*"}),
    "config at another host": (CONFIG, {"If-None-Match": "TAG", "Host": "elsewhere.example"}),
    "config with a cookie": (CONFIG, {"If-None-Match": "TAG", "Cookie": "a=b"}),
    "config behind TLS": (CONFIG, {"If-None-Match": "TAG", "X-Forwarded-Proto": "https"}),
    "gate": (GATE, {}),
    "gate of a release": (f"{GATE}?release=1&wait=0.1", {}),
    "gate, last one wins": (f"{GATE}?wait=x&wait=0", {}),
    "gate, a word too many": (f"{GATE}?wait=0&other=1", {}),
    "gate, exponent": (f"{GATE}?wait=1e-1", {}),
    "gate too long": (f"{GATE}?wait=61", {}),
    "gate of words": (f"{GATE}?wait=long", {}),
    "gate of nothing": (f"{GATE}?wait=", {}),
    "gate of no release": (f"{GATE}?release=7", {}),
    "gate of release 0": (f"{GATE}?release=0", {}),
    "gate before the first": (GATE.replace("prod", "dev"), {}),
    "gate of no service": (GATE.replace("checkout", "nope"), {}),
    "gate without a token": (GATE, {"Authorization": ""}),
    "gate with another token": (GATE, {"Authorization": "Bearer x"}),
    "gate at another host": (GATE, {"Host": "elsewhere.example"}),
    "gate with a cookie": (GATE, {"Cookie": "a=b; csrftoken=short"}),
    "gate with a slash": (f"{GATE}/", {}),
    "watch of no service": (WATCH.replace("checkout", "nope"), {}),
    "watch without a token": (WATCH, {"Authorization": ""}),
    "watch with another token": (WATCH, {"Authorization": "Bearer x"}),
    "watch from words": (WATCH, {"Last-Event-ID": "latest"}),
    "watch from below": (WATCH, {"Last-Event-ID": "-1"}),
    "watch from far above": (WATCH, {"Last-Event-ID": "99999999999999999999"}),
    "watch from two": (WATCH, {"Last-Event-ID": "1, 2"}),
}  # fmt: skip


@pytest.mark.parametrize("call", ["config", "gate", "watch"])
def test_both_doors_answer_the_same(web: WebThread, call: str) -> None:
    tag, lane, django = tag_of(), {}, {}
    for case in [case for case in TABLE if case.startswith(call)]:
        path, headers = TABLE[case]
        sent = {name: held.replace("TAG", tag) for name, held in headers.items()}
        lane[case] = _told(ask(web, path, **sent))
        web.django.calls.clear()
        django[case] = _told(ask(web, path, **sent, X_Door="django"))
        assert len(web.django.calls) == 1, case

    assert lane == django


@pytest.mark.parametrize("kind", ["bearer", "session"])
@pytest.mark.parametrize("since", ["", "1", "2", "0", "7"])
def test_both_doors_begin_a_stream_the_same(
    web: WebThread, ann: User, kind: str, since: str
) -> None:
    headers = {"Last-Event-ID": since} if since else {}
    headers |= {"Host": HOST, "X-Request-Id": "the-same"}
    headers["Authorization" if kind == "bearer" else "Cookie"] = (
        f"Bearer {TOKEN}" if kind == "bearer" else _session(ann)
    )
    wanted = Client().get(WATCH, headers=headers)

    with httpx.stream(
        "GET", f"{web.url}{WATCH}", headers=headers, timeout=10, verify=NO_TLS
    ) as lane:
        sent = ""
        for piece in lane.iter_text():
            sent += piece
            if len(sent) >= len(wanted.content) or wanted.content.count(b"\n\n") == 1:
                break

    retry = re.compile(r"retry: \d+\n")
    assert lane.status_code == wanted.status_code == 200
    assert retry.sub("", sent) == retry.sub("", wanted.content.decode())
    assert _headers(lane.headers.items()) == _headers(wanted.items())
    assert web.django.calls == []


def _session(person: User) -> str:
    client = Client()
    client.force_login(person)
    return f"sessionid={client.cookies['sessionid'].value}"


def _told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    # The page of a host that is not allowed is Django's own, and has the time and addresses in it.
    is_page = answer.content.startswith(b"<!")
    headers = _headers(answer.headers.items())
    if is_page:
        headers.pop("content-length", None)
    return answer.status_code, headers, b"" if is_page else answer.content


def _headers(sent: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Without those that the server itself adds; of a cookie its name, for its value is a new one."""
    found = {name.lower(): held for name, held in sent}
    if "set-cookie" in found:
        found["set-cookie"] = found["set-cookie"].partition("=")[0]
    if found.get("content-type") == "text/event-stream":
        found.pop("content-length", None)  # a stream has none
    theirs = ("date", "server", "transfer-encoding")
    return {name: held for name, held in found.items() if name not in theirs}


def test_what_is_common_does_not_reach_django(web: WebThread) -> None:
    tag = tag_of()

    assert ask(web, CONFIG, If_None_Match=tag).status_code == 304
    assert ask(web, f"{GATE}?wait=0").status_code == 200
    assert ask(web, GATE, Authorization="Bearer x").status_code == 401

    assert web.django.calls == []


def test_whoever_signed_in_by_session_waits_in_the_lane_too(web: WebThread, ann: User) -> None:
    answer = ask(web, f"{GATE}?wait=0", Authorization="", Cookie=_session(ann))

    assert (answer.status_code, answer.json()["state"]) == (200, "nobody")
    assert answer.headers["Vary"] == "Cookie"
    assert web.django.calls == []


def test_another_release_is_seen_by_the_next_request(
    web: WebThread, publish: Callable[..., int]
) -> None:
    tag = tag_of()
    assert ask(web, CONFIG, If_None_Match=tag).status_code == 304

    publish(A=3)

    assert ask(web, CONFIG, If_None_Match=tag).json() == {"A": 3}


def revoke(_: User) -> None:
    Token.objects.all().delete()


def expire(_: User) -> None:
    Token.objects.update(expires_at=clock.now() - timedelta(seconds=1))


def switch_off(person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)


def take_grants(person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_superuser=False)
    Grant.objects.filter(user=person).delete()


def limit_elsewhere(_: User) -> None:
    Token.objects.update(limited=True)


@pytest.mark.parametrize(
    ("end", "status"),
    [(revoke, 401), (expire, 401), (switch_off, 403), (take_grants, 404), (limit_elsewhere, 404)],
    ids=["revoked", "expired", "switched off", "grants gone", "reach gone"],
)
def test_a_right_that_ended_opens_nothing_from_the_next_request_on(
    web: WebThread, ann: User, end: Callable[[User], None], status: int
) -> None:
    tag = tag_of()
    assert ask(web, CONFIG, If_None_Match=tag).status_code == 304

    end(ann)

    assert ask(web, CONFIG, If_None_Match=tag).status_code == status


@pytest.mark.parametrize(
    ("service", "verbs", "status"),
    [("checkout", ["see"], 304), (None, ["see"], 304), ("shop", ["see"], 404), ("checkout", ["edit"], 404)],
    ids=["here", "everywhere", "elsewhere", "without see"],
)  # fmt: skip
def test_a_reach_counts_in_the_lane(
    web: WebThread, api: Caller, service: str | None, verbs: list[str], status: int
) -> None:
    tag = tag_of()
    api.post("/services", {"slug": "shop"})
    from confhub.catalog.models import Service

    Token.objects.update(limited=True)
    reached = Service.objects.get(slug=service) if service else None
    TokenReach.objects.create(token=Token.objects.get(), verbs=verbs, service=reached)

    assert ask(web, CONFIG, If_None_Match=tag).status_code == status
    assert (web.django.calls == []) == (status == 304)


def test_a_grant_at_the_scope_is_enough(web: WebThread, ann: User, checkout_prod: Scope) -> None:
    tag = tag_of()
    take_grants(ann)
    Grant.objects.create(
        user=ann, role="viewer", service=checkout_prod.service, made_by="t", made_at=clock.now()
    )

    assert ask(web, CONFIG, If_None_Match=tag).status_code == 304
    assert web.django.calls == []


def test_a_secret_that_was_rotated_away_works_until_its_overlap_ends(web: WebThread) -> None:
    tag, row = tag_of(), Token.objects.get()
    Token.objects.update(
        digest="0" * 64, previous_digest=row.digest,
        previous_until=clock.now() + timedelta(minutes=1),
    )  # fmt: skip
    assert ask(web, CONFIG, If_None_Match=tag).status_code == 304

    Token.objects.update(previous_until=clock.now() - timedelta(seconds=1))

    assert ask(web, CONFIG, If_None_Match=tag).status_code == 401


def test_the_last_use_is_still_written_down(web: WebThread) -> None:
    tag = tag_of()
    long_ago = clock.now() - timedelta(minutes=5)
    Token.objects.update(last_used_at=long_ago)

    assert ask(web, CONFIG, If_None_Match=tag).status_code == 304
    assert web.django.calls == [CONFIG]
    assert Token.objects.get().last_used_at > long_ago

    assert ask(web, CONFIG, If_None_Match=tag).status_code == 304
    assert web.django.calls == [CONFIG]


def test_calls_are_counted_in_the_lane_once(web: WebThread, settings: Any) -> None:
    tag = tag_of()
    limits.buckets.clear()
    settings.CONFHUB_CALLS_PER_MINUTE = 3

    statuses = [ask(web, CONFIG, If_None_Match=tag).status_code for _ in range(5)]

    assert statuses == [304, 304, 304, 429, 429]


def test_without_a_database_the_lane_answers_as_django_does(
    web: WebThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    from confhub.api.lanes import heads

    def broken(*_: object, **__: object) -> None:
        raise OperationalError("gone")

    tag = tag_of()
    monkeypatch.setattr(heads, "heads_for", broken)

    assert ask(web, CONFIG, If_None_Match=tag).status_code == 304  # by the ordinary way
    assert web.django.calls == [CONFIG]


def test_a_request_keeps_its_id(web: WebThread) -> None:
    tag = tag_of()

    assert ask(web, CONFIG, If_None_Match=tag).headers["X-Request-Id"] == "the-same"
    made = ask(web, CONFIG, If_None_Match=tag, X_Request_Id="not fit: {}")
    assert re.fullmatch(r"[0-9a-f]{32}", made.headers["X-Request-Id"])
    document = ask(web, GATE, Authorization="Bearer x").json()
    assert document["request_id"] == "the-same"


@pytest.mark.parametrize("path", [f"{GATE}?wait=0", WATCH])
def test_head_is_get_without_a_body(web: WebThread, path: str) -> None:
    answer = ask(web, path, "HEAD")

    assert (answer.status_code, answer.content) == (200, b"")
    assert web.django.calls == []


@pytest.mark.parametrize("path", [CONFIG, GATE, WATCH])
def test_another_method_is_djangos(web: WebThread, path: str) -> None:
    answer = ask(web, path, "POST", Content_Length="0")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_the_test_client_is_told_the_same_problem(api: Caller, checkout_prod: Scope) -> None:
    answer = api.get(WATCH, Last_Event_ID="x")

    assert "Last-Event-ID" in problem(answer, 400, "header.bad")["fields"]
