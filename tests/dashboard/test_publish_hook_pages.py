"""Publish hooks on pages: made, tried, changed; and what a refusal looks like at the review."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from confhub.access import layers as doors
from confhub.catalog.models import Scope
from confhub.publishing import hooks, layers, requests
from confhub.publishing.models import HookCall, PublishHook
from confhub.releases.models import Release
from confhub.releases.queries import draft_of
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope, releases
from tests.parts.receiver import Got, Handler, Receiver

NEW = {"name": "policy", "when": "before", "order": "0", "timeout_s": "1", "silence": "closed"}


def says(**body: Any) -> Callable[[Handler, Got], None]:
    return lambda handler, _: handler.answer(200, json.dumps(body).encode())


@pytest.fixture
def endpoint(settings: Any) -> Iterator[Receiver]:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]
    with Receiver(says(decision="agree", annotations={"ticket": "OPS-7 <b>"})) as receiver:
        yield receiver


@pytest.fixture
def hook(endpoint: Receiver, scope: Scope) -> PublishHook:
    wanted = hooks.Settings(endpoint.url)
    return hooks.make_hook(
        "policy", when="before", service=scope.service, environment=None, settings=wanted,
        who=ANN, now=NOON,
    )[0]  # fmt: skip


def reviewed(scope: Scope, **more: str) -> dict[str, Any]:
    draft = draft_of(scope)
    return {"message": "why", "release": draft.head, "version": draft.version, **more}


def drafted(scope: Scope) -> None:
    releases.change_draft(scope, set={"POOL": 30}, expected=None, who=ANN, now=NOON)


def test_a_hook_is_made_and_its_secret_shown_once(
    admin: Client, scope: Scope, endpoint: Receiver
) -> None:
    answer = admin.post("/publish-hooks/", {**NEW, "url": endpoint.url, "service": "billing"})

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "private, no-store"
    page = answer.content.decode()
    assert "The hook is there" in page
    assert page.count("whsec_") == 1
    hook = PublishHook.objects.get()
    assert (hook.service, hook.environment, hook.fail_open) == (scope.service, None, False)
    for address in ("/publish-hooks/", "/publish-hooks/policy/"):
        again = admin.get(address).content.decode()
        assert "policy" in again
        assert "whsec_" not in again


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"url": "policy"}, "https://host/path"),
        ({"name": "Not this"}, "small letters"),
        ({"timeout_s": "11"}, "less than or equal to 10"),
        ({"when": "never"}, "not one of the available choices"),
    ],
    ids=["url", "name", "time", "when"],
)
def test_what_cannot_be_kept_is_said_at_its_field(
    admin: Client, scope: Scope, wrong: dict[str, str], sentence: str
) -> None:
    answer = admin.post("/publish-hooks/", {**NEW, "url": "https://example.com/", **wrong})

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert PublishHook.objects.count() == 0


def test_a_refusal_is_shown_at_the_review_and_the_draft_stays(
    admin: Client, scope: Scope, hook: PublishHook, endpoint: Receiver
) -> None:
    drafted(scope)
    endpoint.answering = says(decision="refuse", reason="Not <i>today</i>")
    before = draft_of(scope)

    answer = admin.post("/services/billing/dev/review/", reviewed(scope))

    assert answer.status_code == 409
    page = answer.content.decode()
    assert "policy refused to publish billing@dev: Not &lt;i&gt;today&lt;/i&gt;." in page
    assert "why</textarea>" in page
    assert Release.objects.count() == 2
    assert draft_of(scope).version == before.version
    assert [each.key for each in draft_of(scope).changes] == ["POOL"]


@pytest.mark.parametrize("way", ["review", "rollback", "layer"])
def test_silence_offers_an_emergency(
    admin: Client, scope: Scope, endpoint: Receiver, way: str
) -> None:
    drafted(scope)
    layer = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(layer, set={"LEVEL": "x"}, expected=None, who=ANN, now=NOON)
    made = hooks.Settings(endpoint.url)
    hooks.make_hook(
        "policy", when="before", service=None, environment=None, settings=made, who=ANN, now=NOON
    )
    endpoint.answering = lambda handler, _: handler.answer(503)
    address, body = {
        "review": ("/services/billing/dev/review/", reviewed(scope)),
        "rollback": ("/services/billing/dev/releases/1/rollback/", {"message": "m", "release": 2}),
        "layer": (
            "/layers/global/review/",
            {"message": "m", "release": 0, "version": draft_of(layer).version,
             "target": "billing/dev"},
        ),
    }[way]  # fmt: skip
    assert "Emergency…" not in admin.get(address).content.decode()

    refused = admin.post(address, body)

    assert refused.status_code == 409
    page = refused.content.decode()
    assert "Emergency…" in page
    assert "gave no answer" in page
    assert Release.objects.count() == 2
    done = admin.post(address, {**body, "act": "emergency", "message": "it burns", "confirm": "dev" if way != "layer" else ""})  # fmt: skip
    assert done.status_code == 302, done.content.decode()
    assert Release.objects.get(number=3).emergency


def test_what_was_annotated_stands_at_the_release(
    admin: Client, scope: Scope, hook: PublishHook, endpoint: Receiver
) -> None:
    drafted(scope)

    assert admin.post("/services/billing/dev/review/", reviewed(scope)).status_code == 302

    page = admin.get("/services/billing/dev/releases/3/").content.decode()
    assert "policy noted" in page
    assert "ticket: OPS-7 &lt;b&gt;" in page


@pytest.mark.parametrize("way", ["rollback", "layer", "take", "layer rollback", "request"])
def test_every_page_that_publishes_asks(
    admin: Client, scope: Scope, endpoint: Receiver, way: str
) -> None:
    layer = doors.layer_for(ANN, "publish", "global")
    told: dict[str, Any] = {"who": ANN, "now": NOON}
    for level in ("info", "debug"):
        releases.change_draft(layer, set={"LEVEL": level}, expected=None, **told)
        layers.publish_layer(layer, message="m", targets=[], **told)
    releases.change_draft(layer, set={"LEVEL": "error"}, expected=None, **told)
    drafted(scope)
    asked = requests.ask(scope, message="m", **told)
    requests.approve(asked, who=BEN, now=NOON)
    made = hooks.Settings(endpoint.url)
    hooks.make_hook("policy", when="before", service=None, environment=None, settings=made, **told)
    version = draft_of(layer).version
    address, body = {
        "rollback": ("/services/billing/dev/releases/1/rollback/", {"message": "m", "release": 2}),
        "layer": (
            "/layers/global/review/",
            {"message": "m", "release": 2, "version": version, "target": "billing/dev"},
        ),
        "take": ("/services/billing/dev/follow/", {"act": "take", "message": "m"}),
        "layer rollback": ("/layers/global/releases/", {"number": 1, "release": 2}),
        "request": (f"/requests/{asked.pk}/", {"act": "publish"}),
    }[way]

    answer = admin.post(address, body)

    assert answer.status_code == 302, answer.content.decode()
    assert len(endpoint.got) == 1
    assert Release.objects.filter(scope=scope).count() == 3


def test_the_test_button_publishes_nothing(
    admin: Client, scope: Scope, hook: PublishHook, endpoint: Receiver
) -> None:
    drafted(scope)

    answer = admin.post("/publish-hooks/policy/", {"act": "test", "scope": "billing@dev"})

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "agreed" in page
    assert "Nothing was published" in page
    assert endpoint.got[0].json["test"] is True
    assert Release.objects.count() == 2
    assert HookCall.objects.get().said == "A test."


def test_the_test_is_for_scopes_of_its_place(
    admin: Client, scope: Scope, hook: PublishHook, endpoint: Receiver
) -> None:
    a_release(a_scope("shop", "dev"))

    answer = admin.post("/publish-hooks/policy/", {"act": "test", "scope": "shop@dev"})

    assert answer.status_code == 422
    assert endpoint.got == []


def test_it_is_changed_switched_and_removed(
    admin: Client, hook: PublishHook, endpoint: Receiver
) -> None:
    change = {"act": "change", "url": "https://other.example.com/x", "order": "7", "timeout_s": "2.5", "silence": "open"}  # fmt: skip
    assert admin.post("/publish-hooks/policy/", change).status_code == 302
    hook.refresh_from_db()
    assert (hook.url, hook.order, hook.timeout_s, hook.fail_open, hook.is_on) == (
        "https://other.example.com/x", 7, 2.5, True, True,
    )  # fmt: skip

    admin.post("/publish-hooks/policy/", {"act": "switch", "on": "no"})
    hook.refresh_from_db()
    assert not hook.is_on
    secret = admin.post("/publish-hooks/policy/", {"act": "secret"}).content.decode()
    assert "whsec_" in secret
    assert admin.post("/publish-hooks/policy/", {"act": "remove"}).status_code == 302
    assert PublishHook.objects.count() == 0


def test_the_list_takes_the_same_queries_for_many(
    admin: Client, scope: Scope, endpoint: Receiver, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        made = hooks.Settings("https://example.com/", is_on=False)
        row = hooks.make_hook(
            f"h{number}", when="before", service=scope.service, environment=None, settings=made,
            who=ANN, now=NOON,
        )[0]  # fmt: skip
        HookCall.objects.create(hook=row, scope=scope, release=1, outcome="agreed", at=NOON)

    with django_assert_max_num_queries(14):
        page = admin.get("/publish-hooks/")

    assert page.content.decode().count("agreed") == 12
