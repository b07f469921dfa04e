"""Publish hooks over REST: kept, asked once for a repeated call, and answered with their reasons."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from confhub.catalog.models import Scope
from confhub.publishing.models import HookCall, PublishHook
from confhub.releases.models import Release
from tests.api.conftest import PROD, Caller, problem
from tests.parts.receiver import Got, Handler, Receiver

RELEASES = f"{PROD}/releases"
HOOKS = "/publish-hooks"
BODY = {"message": "deploy", "set": {"TAG": "1.9"}}


def says(**body: Any) -> Callable[[Handler, Got], None]:
    return lambda handler, _: handler.answer(200, json.dumps(body).encode())


@pytest.fixture
def endpoint(settings: Any) -> Iterator[Receiver]:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]
    with Receiver(says(decision="agree", annotations={"ticket": "OPS-7"})) as receiver:
        yield receiver


@pytest.fixture
def hook(api: Caller, checkout_prod: Scope, endpoint: Receiver) -> dict[str, Any]:
    asked = {"name": "policy", "when": "before", "url": endpoint.url, "service": "checkout"}
    answer = api.post(HOOKS, asked)
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def test_a_hook_is_made_changed_and_removed(api: Caller, hook: dict[str, Any]) -> None:
    secret = hook.pop("secret")
    assert secret.startswith("whsec_")
    assert api.get(f"{HOOKS}/policy").json() == hook
    assert api.get(HOOKS).json() == {"items": [hook], "next": None}
    assert (hook["on"], hook["fail_open"], hook["timeout_s"], hook["environment"]) == (
        True, False, 3.0, None,
    )  # fmt: skip

    changed = api.patch(f"{HOOKS}/policy", {"order": 4, "timeout_s": 1, "on": False})

    assert changed.json() == hook | {"order": 4, "timeout_s": 1.0, "on": False}
    again = api.post(f"{HOOKS}/policy/secret")
    assert again.json()["secret"] != secret
    assert again["Cache-Control"] == "no-store"
    assert api.delete(f"{HOOKS}/policy").status_code == 204
    problem(api.get(f"{HOOKS}/policy"), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"timeout_s": 60}, "timeout_s"),
        ({"when": "during"}, "when"),
        ({"name": "Bad Name"}, "name"),
        ({"service": "nobody"}, "service"),
    ],
    ids=["url", "timeout", "when", "name", "service"],
)
def test_what_cannot_be_kept_names_its_field(
    api: Caller, endpoint: Receiver, body: dict[str, Any], field: str
) -> None:
    asked = {"name": "policy", "when": "before", "url": endpoint.url, **body}

    answer = api.post(HOOKS, asked)

    assert answer.status_code in (404, 422)
    assert field in answer.json()["fields"]
    assert PublishHook.objects.count() == 0


def test_annotations_stand_in_the_release(
    api: Caller, hook: dict[str, Any], endpoint: Receiver
) -> None:
    answer = api.post(RELEASES, BODY, X_Request_Id="job-4711")

    assert answer.status_code == 201, answer.content
    assert answer.json()["annotations"] == {"policy": {"ticket": "OPS-7"}}
    held = api.get(f"{RELEASES}/1").json()
    assert held["annotations"] == {"policy": {"ticket": "OPS-7"}}
    [got] = endpoint.got
    assert got.headers["x-request-id"] == got.json["request_id"] == "job-4711"
    [call] = api.get(f"{HOOKS}/policy/calls").json()["items"]
    assert (call["outcome"], call["release"], call["request_id"]) == ("agreed", 1, "job-4711")


@pytest.mark.parametrize("key", [None, "job-7"], ids=["without a key", "with a key"])
def test_a_refusal_is_a_409_and_publishes_nothing(
    api: Caller, hook: dict[str, Any], endpoint: Receiver, key: str | None
) -> None:
    headers = {"Idempotency_Key": key} if key else {}
    endpoint.answering = says(decision="refuse", reason="not on a Friday")

    found = problem(api.post(RELEASES, BODY, **headers), 409, "hook.refused")

    assert (found["hook"], found["reason"]) == ("policy", "not on a Friday")
    assert Release.objects.count() == 0
    endpoint.answering = says(decision="agree")  # a refusal is not kept: it may well succeed later
    assert api.post(RELEASES, BODY, **headers).status_code == 201


def test_a_repeated_call_asks_once(api: Caller, hook: dict[str, Any], endpoint: Receiver) -> None:
    answers = [api.post(RELEASES, BODY, Idempotency_Key="job-7") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert [answer.json() for answer in answers] == [answers[0].json()] * 3
    assert len(endpoint.got) == 1
    assert Release.objects.count() == 1


def test_silence_is_a_409_that_says_the_way_out(
    api: Caller, hook: dict[str, Any], endpoint: Receiver
) -> None:
    endpoint.answering = lambda handler, _: handler.answer(500)

    found = problem(api.post(RELEASES, BODY), 409, "hook.no_answer")

    assert found["hook"] == "policy"
    assert "fail open or switch it off" in found["detail"]
    assert Release.objects.count() == 0


def test_rollbacks_layers_and_takes_ask_too(
    api: Caller, hook: dict[str, Any], endpoint: Receiver
) -> None:
    api.post(RELEASES, BODY)
    api.post(RELEASES, {"message": "m", "set": {"TAG": "2.0"}})
    layer = {"message": "m", "targets": "all", "set": {"LEVEL": "info"}}

    answers = [
        api.post(f"{RELEASES}/1/rollback"),
        api.post("/layers/global/releases", layer),
        api.post("/layers/global/releases", layer | {"targets": [], "set": {"LEVEL": "debug"}}),
        api.post(f"{PROD}/layers/take", {"message": "m"}),
        api.post("/layers/global/releases/1/rollback", {"targets": "all"}),
    ]

    assert [answer.status_code for answer in answers] == [201] * 5, [a.content for a in answers]
    assert [got.json["release"] for got in endpoint.got] == [1, 2, 3, 4, 5, 6]


def test_a_test_publishes_nothing(api: Caller, hook: dict[str, Any], endpoint: Receiver) -> None:
    place = {"service": "checkout", "environment": "prod"}

    answer = api.post(f"{HOOKS}/policy/test", place)

    assert answer.status_code == 200, answer.content
    assert answer.json()["outcome"] == "agreed"
    assert answer.json()["annotations"] == {"ticket": "OPS-7"}
    assert Release.objects.count() == 0
    assert HookCall.objects.get().said == "A test."


def test_calls_come_in_pages(api: Caller, hook: dict[str, Any], checkout_prod: Scope) -> None:
    row = PublishHook.objects.get()
    HookCall.objects.bulk_create(
        HookCall(hook=row, scope=checkout_prod, release=n, outcome="agreed", at=row.made_at)
        for n in range(5)
    )

    first = api.get(f"{HOOKS}/policy/calls?limit=3").json()
    rest = api.get(f"{HOOKS}/policy/calls?limit=3&after={first['next']}").json()

    assert [each["release"] for each in first["items"]] == [4, 3, 2]
    assert [each["release"] for each in rest["items"]] == [1, 0]
    assert rest["next"] is None


def test_what_is_refused_says_why(
    api: Caller, hook: dict[str, Any], endpoint: Receiver, settings: Any
) -> None:
    asked = {"name": "policy", "when": "before", "url": endpoint.url}
    problem(api.post(HOOKS, asked), 409, "publish_hook.taken")
    problem(api.patch(f"{HOOKS}/policy", {"url": "mailto:x"}), 422, "publish_hook.bad")
    api.post(HOOKS, asked | {"name": "news", "when": "after"})
    place = {"service": "checkout", "environment": "prod"}
    problem(api.post(f"{HOOKS}/news/test", place), 409, "publish_hook.no_release")
    settings.CONFHUB_MASTER_KEYS = ""

    problem(api.post(HOOKS, asked | {"name": "third"}), 409, "secrets.no_master_key")
    problem(api.post(f"{HOOKS}/policy/secret"), 409, "secrets.no_master_key")

    assert PublishHook.objects.count() == 2


def test_a_dry_run_asks_nobody_and_says_whom_it_would(
    api: Caller, hook: dict[str, Any], endpoint: Receiver
) -> None:
    answer = api.post(f"{RELEASES}?dry_run=1", BODY)
    tried = api.post(
        f"{HOOKS}/policy/test?dry_run=1", {"service": "checkout", "environment": "prod"}
    )

    assert answer.status_code == tried.status_code == 200, answer.content
    assert answer.json()["hooks"] == [
        {"place": "checkout@prod", "would_ask": ["policy"], "would_tell": []}
    ]
    assert endpoint.got == []
    assert Release.objects.count() == 0
    assert HookCall.objects.count() == 0
