"""What is sent: signed, in order for each webhook and scope, at least once, and given up in the end."""

import json
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.events.models import AuditEntry, Event
from confhub.webhooks import actions, retries, sending
from confhub.webhooks.models import Webhook, WebhookDelivery
from tests.parts.factories import ANN, NOON, a_release, a_scope
from tests.parts.receiver import Got, Handler, Receiver
from tests.webhooks.conftest import Time, a_webhook, collect, run

pytestmark = pytest.mark.django_db


def states() -> list[tuple[str, int]]:
    rows = WebhookDelivery.objects.order_by("position", "id")
    return list(rows.values_list("state", "tries"))


def told(receiver: Receiver) -> list[str]:
    """ "billing@prod 1" for each request, in order."""
    facts = [each.json["data"] for each in receiver.got]
    return [f"{each['service']}@{each['environment']} {each['release']}" for each in facts]


def fails_for(*names: str, status: int = 500) -> Any:
    """Refuses what is about these scopes."""

    def answering(handler: Handler, got: Got) -> None:
        data = got.json["data"]
        failing = f"{data.get('service')}@{data.get('environment')}" in names
        handler.answer(status if failing else 200)

    return answering


def test_another_implementation_accepts_the_signature(scope: Scope, receiver: Receiver) -> None:
    secret = actions.make_webhook("chat", to=receiver.url, who=ANN, now=NOON).secret
    a_release(scope, message="größer")
    collect(Time())

    assert sending.send_due(clock.now) == 1

    [got] = receiver.got
    assert Verifier(secret).verify(got.body, got.headers) == got.json
    assert got.json["data"]["message"] == "größer"
    assert got.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(got.body + b" ", got.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "A" * 32).verify(got.body, got.headers)


def test_for_a_day_the_secret_before_signs_as_well(scope: Scope, receiver: Receiver) -> None:
    first = actions.make_webhook("chat", to=receiver.url, who=ANN, now=NOON)
    changed_at = clock.now()
    second = actions.new_secret(first.webhook, who=ANN, now=changed_at)
    a_release(scope, {"POOL": 1})
    collect(Time())
    sending.send_due(clock.now)

    [got] = receiver.got
    for secret in (first.secret, second):
        assert Verifier(secret).verify(got.body, got.headers) == got.json
    assert got.headers["webhook-signature"].count("v1,") == 2

    time = Time(changed_at + timedelta(hours=24))
    a_release(scope, {"POOL": 2})
    run(time)
    assert receiver.got[1].headers["webhook-signature"].count("v1,") == 1


def test_what_arrived_is_noted_and_not_sent_again(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    a_webhook(receiver.url)
    a_release(scope)

    assert run(time) == 1
    time.pass_by(days=2)
    assert run(time) == 0

    row = WebhookDelivery.objects.get()
    assert (row.state, row.tries, row.status, row.answer, row.held_by) == ("sent", 1, 200, "ok", "")
    assert row.sent_at == NOON


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_an_arrival(scope: Scope, receiver: Receiver, time: Time, status: int) -> None:
    receiver.answering = lambda handler, _: handler.answer(status, b"")
    a_webhook(receiver.url)
    a_release(scope)

    assert run(time) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 422, 500, 502, 504])
def test_everything_else_is_tried_again_under_the_same_id(
    scope: Scope, receiver: Receiver, time: Time, status: int
) -> None:
    receiver.answering = lambda handler, _: handler.answer(status, b"no\x00", Location=receiver.url)
    a_webhook(receiver.url)
    a_release(scope)

    assert run(time) == 0
    time.pass_by(seconds=4)
    assert run(time) == 0
    assert len(receiver.got) == 1  # too early for the second
    time.pass_by(seconds=3)
    assert run(time) == 0

    first, second = receiver.got
    assert first.id == second.id
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 7
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    row = WebhookDelivery.objects.get()
    assert (row.state, row.tries, row.status) == ("waiting", 2, status)
    assert Webhook.objects.get().failing_since == NOON


def test_a_scope_that_fails_holds_back_nobody_else_and_keeps_its_order(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    shop = a_scope("shop", "prod")
    receiver.answering = fails_for("billing@prod")
    a_webhook(receiver.url)
    for number in range(3):
        a_release(scope, {"POOL": number})
        a_release(shop, {"POOL": number})

    run(time)
    assert sorted(told(receiver)) == ["billing@prod 1", "shop@prod 1", "shop@prod 2", "shop@prod 3"]

    receiver.answering = None
    time.pass_by(seconds=10)
    run(time)
    assert told(receiver)[-3:] == ["billing@prod 1", "billing@prod 2", "billing@prod 3"]
    assert [state for state, _ in states()] == ["sent"] * 6
    assert Webhook.objects.get().failing_since is None


def test_a_webhook_that_fails_holds_back_no_other(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    with Receiver(lambda handler, _: handler.answer(500)) as broken:
        a_webhook(broken.url, "broken")
        a_webhook(receiver.url, "well")
        for number in range(3):
            a_release(scope, {"POOL": number})
        run(time)

        assert told(receiver) == [f"billing@prod {number}" for number in (1, 2, 3)]
        assert told(broken) == ["billing@prod 1"]


def test_three_days_of_nothing_but_failures_give_up_and_switch_off(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    receiver.answering = lambda handler, _: handler.answer(500, b"out of order")
    a_webhook(receiver.url)
    a_release(scope, {"POOL": 1})
    a_release(scope, {"POOL": 2})

    for _ in range(retries.LAST_TRY):
        run(time)
        time.pass_by(hours=29)  # longer than the longest delay

    webhook = Webhook.objects.get()
    assert not webhook.is_on
    assert webhook.off_because == "Nothing arrived since 2026-11-24 12:00 UTC. The newest try: status 500"  # fmt: skip
    tried = len(receiver.got)
    time.pass_by(days=30)
    run(time)
    assert len(receiver.got) == tried
    [audited] = AuditEntry.objects.filter(action="webhook.switched_off")
    assert (audited.actor, audited.target) == ("confhub", "webhook chat")
    assert Event.objects.get(kind="webhook.switched_off").data["webhook"] == "chat"


def test_eleven_tries_span_three_days_and_then_the_next_has_its_turn(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    receiver.answering = lambda handler, got: handler.answer(
        500 if got.json["data"].get("release") == 1 else 200
    )
    other = a_scope("shop", "prod")
    a_webhook(receiver.url)
    a_release(scope, {"POOL": 1})
    a_release(scope, {"POOL": 2})
    a_release(other, {"POOL": 0})
    a_release(other, {"POOL": 1})

    for _ in range(retries.LAST_TRY):
        run(time)
        Webhook.objects.update(failing_since=None)  # something arrives elsewhere meanwhile
        time.pass_by(hours=29)

    assert sum(each == "billing@prod 1" for each in told(receiver)) == retries.LAST_TRY
    assert told(receiver)[-1].endswith(" 2")
    assert states()[:2] == [("given_up", 11), ("sent", 1)]
    assert sum(retries.DELAYS_S) > retries.OFF_AFTER.total_seconds()


def test_410_switches_it_off_at_once_and_on_again_goes_on_where_it_was(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    receiver.answering = lambda handler, _: handler.answer(410)
    webhook = a_webhook(receiver.url)
    a_release(scope, {"POOL": 1})
    run(time)
    webhook.refresh_from_db()
    assert (webhook.is_on, webhook.off_because) == (False, "It answered 410: it wants nothing any more.")  # fmt: skip

    time.pass_by(minutes=1)
    a_release(scope, {"POOL": 2})
    run(time)  # nothing is collected for it
    receiver.answering = None
    actions.change_webhook(webhook, is_on=True, who=ANN, now=time())
    run(time)

    assert told(receiver) == ["billing@prod 1", "billing@prod 1"]
    webhook.refresh_from_db()
    assert (webhook.is_on, webhook.off_because, webhook.failing_since) == (True, "", None)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for_by_all_scopes(
    scope: Scope, receiver: Receiver, time: Time, status: int
) -> None:
    shop = a_scope("shop", "prod")
    receiver.answering = lambda handler, _: handler.answer(status, Retry_After="3600")
    a_webhook(receiver.url)
    a_release(scope)
    a_release(shop)

    run(time)
    assert len(receiver.got) == 1  # the other scope waits as well
    receiver.answering = None
    time.pass_by(minutes=59)
    assert run(time) == 0
    time.pass_by(minutes=1)
    assert run(time) == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("Tue, 24 Nov 2026 12:02:00 GMT", 120),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("999999999999", 86_400),
        ("Fri, 31 Dec 2027 00:00:00 GMT", 86_400),
        ("-5", None),
        ("soon", None),
        ("²", None),
        ("", None),
    ],
    ids=["seconds", "a date", "gone by", "too long", "too far", "negative", "a word", "no digit", "empty"],
)  # fmt: skip
def test_retry_after_is_read_as_rfc_9110_has_it(header: str, seconds: int | None) -> None:
    wanted = None if seconds is None else NOON + timedelta(seconds=seconds)

    assert retries.asked_for(header, now=NOON) == wanted


def test_delays_rise_and_are_spread() -> None:
    for tries, delay in enumerate(retries.DELAYS_S, start=1):
        found = {retries.next_try(tries, now=NOON) for _ in range(20)}
        assert len(found) > 1
        for moment in found:
            assert moment is not None
            waited = (moment - NOON).total_seconds()
            assert delay <= waited <= delay * (1 + retries.JITTER)
    assert retries.next_try(retries.LAST_TRY, now=NOON) is None


def test_a_claim_keeps_others_away_until_it_runs_out(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    a_webhook(receiver.url)
    a_release(scope, {"POOL": 1})
    a_release(scope, {"POOL": 2})
    collect(time)
    [head] = sending.due(now=time())
    asleep = sending._claimed(head.pk, now=time())
    assert asleep is not None  # and its process is killed, or paused

    assert sending.due(now=time()) == []
    assert sending.send_one(head.pk, time) is None
    assert run(time) == 0
    time.pass_by(seconds=sending.HOLD.total_seconds() + 1)
    assert run(time) == 2
    assert told(receiver) == ["billing@prod 1", "billing@prod 2"]

    # The paused one wakes up and notes a failure: nothing of it counts.
    sending._settle_failed(asleep, sending.Outcome(False, 500, "no"), now=time())
    assert [state for state, _ in states()] == ["sent", "sent"]
    assert Webhook.objects.get().failing_since is None


def test_a_test_is_sent_at_once_once_and_changes_nothing_else(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    receiver.answering = lambda handler, _: handler.answer(500)
    webhook = a_webhook(receiver.url)
    a_release(scope)
    run(time)
    Webhook.objects.update(failing_since=None, is_on=False)

    actions.send_test(webhook, who=ANN, now=time())
    run(time)
    time.pass_by(days=1)
    run(time)

    tests = [each.json for each in receiver.got if each.json["type"] == "test"]
    assert [each["data"]["by"] for each in tests] == ["ann"]
    assert WebhookDelivery.objects.get(kind="test").state == "given_up"
    assert Webhook.objects.get().failing_since is None


def test_a_delivery_is_sent_again_by_hand_with_one_try_and_the_same_id(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    webhook = a_webhook(receiver.url)
    a_release(scope, {"POOL": 1})
    run(time)
    row = WebhookDelivery.objects.get()
    receiver.answering = fails_for("billing@prod")

    actions.redeliver(webhook, row, who=ANN, now=time())
    run(time)
    a_release(scope, {"POOL": 2})
    receiver.answering = None
    run(time)

    assert [each.id for each in receiver.got[:2]] == [row.message_id] * 2
    assert told(receiver) == ["billing@prod 1", "billing@prod 1", "billing@prod 2"]
    assert [state for state, _ in states()] == ["given_up", "sent"]


def test_one_that_waits_is_tried_at_once_by_hand(
    scope: Scope, receiver: Receiver, time: Time
) -> None:
    receiver.answering = lambda handler, _: handler.answer(500)
    webhook = a_webhook(receiver.url)
    a_release(scope)
    run(time)
    receiver.answering = None

    actions.redeliver(webhook, WebhookDelivery.objects.get(), who=ANN, now=time())

    assert run(time) == 1
    assert states() == [("sent", 2)]


def test_a_secret_that_cannot_be_opened_is_a_failure_and_says_so(
    scope: Scope, receiver: Receiver, time: Time, settings: Any
) -> None:
    a_webhook(receiver.url)
    a_release(scope)
    collect(time)
    settings.CONFHUB_MASTER_KEYS = "other:" + "A" * 43 + "="

    assert sending.send_due(time) == 0
    assert not receiver.got
    assert "cannot be opened with CONFHUB_MASTER_KEYS" in WebhookDelivery.objects.get().answer


def test_no_secret_is_in_rows_logs_or_the_audit(
    scope: Scope, receiver: Receiver, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    made = actions.make_webhook("chat", to=f"{receiver.url}?key=canary", who=ANN, now=NOON)
    fresh = actions.new_secret(made.webhook, who=ANN, now=NOON)
    a_release(scope)
    run(time)

    rows = [list(model._default_manager.values()) for model in (Webhook, WebhookDelivery, AuditEntry, Event)]  # fmt: skip
    everywhere = json.dumps(rows, default=str) + caplog.text
    for secret in (made.secret, fresh):
        assert secret not in everywhere
        assert secret.removeprefix("whsec_") not in everywhere
    audit = json.dumps(list(AuditEntry.objects.values()), default=str)
    assert "canary" not in audit + caplog.text
