"""Events become deliveries: each once, in order, for whom they are meant, without any value."""

import json
from typing import Any

import pytest

from confhub.catalog import actions as catalog
from confhub.catalog.models import Layer, Scope
from confhub.events import actions as events
from confhub.events.models import AuditEntry, Event
from confhub.fleet.actions import Seen, take_statuses
from confhub.publishing import requests
from confhub.releases import actions as releases
from confhub.webhooks import actions, intake
from confhub.webhooks.kinds import KINDS, PUBLIC, offered, source_kinds, told_of
from confhub.webhooks.models import Webhook, WebhookCursor, WebhookDelivery
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope, later
from tests.webhooks.conftest import Time, a_webhook, collect

pytestmark = pytest.mark.django_db

PUBLIC_URL = "https://confhub.example.com"
TO = "https://hooks.example.com/confhub"
CANARY = "canary-4711"


@pytest.fixture(autouse=True)
def _public(settings: Any) -> None:
    settings.CONFHUB_PUBLIC_URL = PUBLIC_URL


def bodies(webhook: Webhook | None = None) -> list[Any]:
    rows = WebhookDelivery.objects.order_by("position", "id")
    return [row.body for row in (rows.filter(webhook=webhook) if webhook else rows)]


def fails(instance_id: str, release: int, scope: Scope, *, state: str = "failed", revision: int = 1) -> None:  # fmt: skip
    """The agent's status of an instance, as it stands in etcd."""
    status = {
        "id": instance_id, "service": scope.service.slug, "environment": scope.environment.slug,
        "host": "node-7", "runtime": "docker", "container": {"name": "billing-1"}, "pid": 1,
        "target": release, "running": None, "checksum": "", "health": "healthy", "agent": "a/1",
        "receipt": {"release": release, "state": state, "stage": "check",
                    "reason": f"bad value {CANARY}", "at": "2026-11-24T12:00:00.000Z"},
    }  # fmt: skip
    seen = Seen(scope.service.slug, scope.environment.slug, instance_id, json.dumps(status).encode(), revision)  # fmt: skip
    take_statuses([seen], whole=False, now=later(revision))


def test_a_release_is_told_once_with_its_facts_and_a_link(scope: Scope, time: Time) -> None:
    a_webhook(TO)
    release = a_release(scope, {"POOL": CANARY, "PASSWORD": {"$secret": CANARY}}, message="room")

    assert collect(time) == 1
    assert collect(time) == 0

    [body] = bodies()
    assert body == {
        "type": "release.published",
        "timestamp": "2026-11-24T12:00:00.000Z",
        "data": {
            "service": "billing", "environment": "prod", "release": 1, "message": "room",
            "author": "ann", "checksum": release.checksum,
            "url": f"{PUBLIC_URL}/services/billing/prod/releases/1/",
        },
    }  # fmt: skip
    assert CANARY not in json.dumps(body)


def test_a_webhook_starts_with_what_happens_after_it(scope: Scope, time: Time) -> None:
    a_release(scope, {"POOL": 1})
    time.pass_by(seconds=1)
    actions.make_webhook("chat", to=TO, who=ANN, now=time())
    assert collect(time) == 0

    time.pass_by(seconds=1)
    events.record("publication.delayed", stream=scope.stream, data={"release": 1, "error": "away"}, now=time())  # fmt: skip
    assert collect(time) == 1
    assert bodies()[0]["type"] == "release.delayed"


def test_an_event_without_a_position_waits_for_one(scope: Scope, time: Time) -> None:
    a_webhook(TO)
    a_release(scope)
    assert intake.take_new_events(now=time()) == 0
    assert not WebhookDelivery.objects.exists()

    assert collect(time) == 1


def test_a_crash_in_mid_batch_loses_and_doubles_nothing(
    scope: Scope, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_webhook(TO)
    for number in range(3):
        a_release(scope, {"POOL": number})

    def dies(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(intake, "_keep_bounds", dies)  # the last thing in the transaction
        with pytest.raises(MemoryError):
            collect(time)
    assert not WebhookDelivery.objects.exists()

    assert collect(time) == 3
    assert [body["data"]["release"] for body in bodies()] == [1, 2, 3]


def test_a_cursor_that_was_set_back_makes_nothing_twice(scope: Scope, time: Time) -> None:
    a_webhook(TO)
    a_release(scope)
    collect(time)

    WebhookCursor.objects.update(position=0)
    collect(time)

    assert WebhookDelivery.objects.count() == 1


def test_batches_follow_each_other(
    scope: Scope, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BATCH", 2)
    a_webhook(TO)
    for number in range(5):
        a_release(scope, {"POOL": number})

    assert collect(time) == 5
    assert [body["data"]["release"] for body in bodies()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("service", "environment", "gets"),
    [
        (None, None, ["billing@dev", "billing@prod", "shop@prod"]),
        ("billing", None, ["billing@dev", "billing@prod"]),
        (None, "prod", ["billing@prod", "shop@prod"]),
        ("shop", "prod", ["shop@prod"]),
        ("shop", "dev", []),
    ],
    ids=["everything", "a service", "an environment", "one scope", "another scope"],
)
def test_only_its_place_is_told(
    scope: Scope, time: Time, service: str | None, environment: str | None, gets: list[str]
) -> None:
    others = [a_scope("billing", "dev"), scope, a_scope("shop", "prod")]
    place = {
        "service": next((s.service for s in others if s.service.slug == service), None),
        "environment": next((s.environment for s in others if s.environment.slug == environment), None),
    }  # fmt: skip
    a_webhook(TO, **place)
    for each in others:
        a_release(each)

    collect(time)

    assert sorted(f"{b['data']['service']}@{b['data']['environment']}" for b in bodies()) == gets


def test_only_its_kinds_are_told(scope: Scope, time: Time) -> None:
    asked = a_webhook(TO, "asked", kinds=["approval.asked", "approval.decided"])
    releases.change_draft(scope, set={"POOL": 1}, expected=None, who=BEN, now=NOON)
    request = requests.ask(scope, message="please", who=BEN, now=NOON)
    requests.comment(request, text="hm", who=ANN, now=NOON)
    requests.approve(request, who=ANN, now=NOON)
    requests.publish_request(request, who=BEN, now=NOON)

    collect(time)

    assert [(b["type"], b["data"]["state"], b["data"]["by"]) for b in bodies(asked)] == [
        ("approval.asked", "open", "ben"), ("approval.decided", "approved", "ann"),
    ]  # fmt: skip
    assert bodies(asked)[0]["data"]["url"] == f"{PUBLIC_URL}/requests/{request.pk}/"


def test_a_layer_s_request_is_told_to_whom_all_of_it_concerns(scope: Scope, time: Time) -> None:
    everything = a_webhook(TO, "everything")
    of_service = a_webhook(TO, "of-service", service=scope.service)
    a_webhook(TO, "of-scope", service=scope.service, environment=scope.environment)
    layer = Layer.objects.get(kind="service", slug="billing")
    releases.change_draft(layer, set={"TZ": "UTC"}, expected=None, who=BEN, now=NOON)
    requests.ask(layer, message="please", who=BEN, now=NOON)

    collect(time)

    assert [row.webhook for row in WebhookDelivery.objects.order_by("id")] == [everything, of_service]  # fmt: skip
    assert bodies()[0]["data"]["layer"] == {"kind": "service", "slug": "billing"}


def test_a_failed_instance_is_told_once_for_each_release_and_without_its_reason(
    scope: Scope, time: Time
) -> None:
    a_webhook(TO, kinds=["instance.failed"])
    for number in (1, 2):
        a_release(scope, {"POOL": number})
    fails("web-1", 1, scope, revision=1)
    fails("web-1", 1, scope, state="applied", revision=2)
    fails("web-1", 1, scope, revision=3)
    collect(time)
    fails("web-1", 1, scope, revision=4)
    fails("web-1", 2, scope, revision=5)
    fails("web-2", 2, scope, revision=6)
    collect(time)

    told = [(b["data"]["instance"], b["data"]["release"]) for b in bodies()]
    assert told == [("web-1", 1), ("web-1", 2), ("web-2", 2)]
    assert bodies()[0]["data"] == {
        "service": "billing", "environment": "prod", "release": 1, "instance": "web-1",
        "name": "billing-1", "host": "node-7", "stage": "check",
        "url": f"{PUBLIC_URL}/services/billing/prod/instances/web-1/",
    }  # fmt: skip
    assert CANARY not in json.dumps(bodies())


def test_a_service_that_was_removed_is_passed_over(time: Time, db: None) -> None:
    a_webhook(TO)
    scope = a_scope("mistake", "prod")
    events.record("publication.delayed", stream=scope.stream, data={"release": 1, "error": "e"}, now=NOON)  # fmt: skip
    catalog.delete_service(scope.service, who=ANN, now=NOON)

    assert collect(time) == 0
    assert WebhookCursor.objects.get().position == Event.objects.latest("position").position


def test_finished_deliveries_are_forgotten_and_those_that_wait_are_not(
    scope: Scope, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "KEPT", 2)
    a_webhook(TO)
    for number in range(4):
        a_release(scope, {"POOL": number})
    collect(time)
    WebhookDelivery.objects.exclude(body__contains='"release":4').update(state="sent")
    a_release(scope, {"POOL": 9})
    collect(time)

    assert [body["data"]["release"] for body in bodies()] == [2, 3, 4, 5]


def test_too_many_that_wait_switch_it_off(
    scope: Scope, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_WAITING", 3)
    webhook = a_webhook(TO)
    for number in range(3):
        a_release(scope, {"POOL": number})
    collect(time)
    a_release(scope, {"POOL": 9})
    collect(time)

    webhook.refresh_from_db()
    assert (webhook.is_on, webhook.off_because) == (False, "3 deliveries wait for it.")
    assert WebhookDelivery.objects.count() == 3
    assert AuditEntry.objects.get(action="webhook.switched_off").actor == "confhub"


def test_others_are_told_that_one_was_switched_off(scope: Scope, time: Time) -> None:
    from confhub.webhooks.switching import switch_off

    operators = a_webhook(TO, "operators", kinds=["webhook.switched_off"])
    broken = a_webhook(TO, "broken", service=scope.service)
    switch_off(broken.pk, "because", now=NOON)
    collect(time)

    assert bodies(operators)[0]["data"] == {
        "service": "billing", "environment": None, "webhook": "broken", "reason": "because",
        "url": f"{PUBLIC_URL}/webhooks/broken/",
    }  # fmt: skip


def test_every_kind_has_its_event_and_rollouts_only_need_theirs() -> None:
    assert set(offered()) == {name for name in PUBLIC if not name.startswith("rollout.")}
    assert {kind for kind in source_kinds() if kind not in KINDS} == {
        "rollout.finished", "rollout.failed", "rollout.paused",
    }  # fmt: skip
    told = told_of("rollout.failed", {"rollout": 7, "release": 43, "values": {"A": 1}})
    assert told is not None
    assert (told.kind, told.facts) == ("rollout.failed", {"rollout": 7, "release": 43})
