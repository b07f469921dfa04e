"""The threads: bounded, fair to those that answer, and never two for one delivery at once."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.webhooks import senders as module
from confhub.webhooks.models import WebhookDelivery
from confhub.webhooks.senders import OF_ONE, Senders
from confhub.webhooks.steps import WebhooksStep
from tests.parts.factories import ANN, NOON, a_release, a_scope
from tests.parts.receiver import Got, Handler, Receiver
from tests.parts.servers import wait_until
from tests.webhooks.conftest import Time, a_webhook, collect

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scope(transactional_db: None) -> Iterator[Scope]:
    yield a_scope("billing", "prod")
    connection.close()


@pytest.fixture
def senders() -> Iterator[Senders]:
    with Senders(clock.now) as held:
        yield held
        wait_until(held.is_idle, what="every thread has ended", timeout_s=30)


def waiting() -> int:
    return WebhookDelivery.objects.filter(state="waiting").count()


def filled_until_done(senders: Senders) -> None:
    def is_done() -> bool:
        senders.fill()
        return senders.is_idle() and not waiting()

    wait_until(is_done, what="everything is sent", timeout_s=60)


def hangs(handler: Handler, _: Got) -> None:
    handler.server.closing.wait(30)
    handler.close_connection = True


def releases_of(receiver: Receiver) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for each in receiver.got:
        data = each.json["data"]
        found.setdefault(f"{data['service']}@{data['environment']}", []).append(data["release"])
    return found


def test_many_threads_keep_each_scope_s_order_and_send_each_once(
    scope: Scope, receiver: Receiver, senders: Senders
) -> None:
    others = [a_scope(name, "prod") for name in ("shop", "mail", "search", "stock", "login")]
    a_webhook(receiver.url)
    for number in range(8):
        for each in (scope, *others):
            a_release(each, {"POOL": number})
    collect(Time())

    with Senders(clock.now) as second:  # another worker

        def is_done() -> bool:
            senders.fill()
            second.fill()
            return senders.is_idle() and second.is_idle() and not waiting()

        wait_until(is_done, what="everything is sent", timeout_s=60)

    assert set(releases_of(receiver)) == {str(each) for each in (scope, *others)}
    assert all(found == list(range(1, 9)) for found in releases_of(receiver).values())
    ids = [each.id for each in receiver.got]
    assert len(ids) == len(set(ids)) == 48
    assert receiver.most_at_once <= 2 * OF_ONE


def test_a_black_hole_delays_no_other_webhook(
    scope: Scope, receiver: Receiver, senders: Senders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver(hangs) as hole:
        a_webhook(hole.url, "hole")
        for number in range(200):
            a_release(a_scope(f"service-{number}", "prod"), {"POOL": 1})
        collect(Time())
        assert waiting() == 200
        senders.fill()
        wait_until(lambda: len(hole.got) == OF_ONE, what="it hangs in every thread that it gets")

        a_webhook(receiver.url, "well", service=scope.service)
        a_release(scope, {"POOL": 1})
        collect(Time())
        senders.fill()
        wait_until(lambda: len(receiver.got) == 1, what="the other is told meanwhile", timeout_s=10)

        assert len(hole.got) == OF_ONE
        hole.closing.set()


def test_those_that_fail_get_one_thread_each_and_half_of_all(
    scope: Scope, senders: Senders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OF_FAILING", 2)
    for number in range(3):
        assert senders._begin(number, is_failing=True) == (number < 2)
        assert not senders._begin(number, is_failing=True)
    assert senders._begin(3, is_failing=False)
    for number in range(2):
        senders._end(number, is_failing=True)
    senders._end(3, is_failing=False)
    assert senders._begin(0, is_failing=True)
    senders._end(0, is_failing=True)


def test_a_database_that_is_away_for_a_moment_costs_a_repetition(
    scope: Scope, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    from confhub.webhooks import sending

    time = Time(NOON)
    a_webhook(receiver.url)
    a_release(scope)
    collect(time)

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("gone")

    with Senders(time) as senders, monkeypatch.context() as broken:
        broken.setattr(sending, "_settle_arrived", away)
        senders.fill()
        wait_until(lambda: len(receiver.got) == 1, what="the first time")
        wait_until(senders.is_idle, what="the thread has given up")

    assert waiting() == 1
    time.pass_by(seconds=sending.HOLD.total_seconds() + 1)
    assert sending.send_due(time) == 1
    assert [each.id for each in receiver.got] == [receiver.got[0].id] * 2


def test_the_loop_of_a_worker_finds_and_sends(scope: Scope, receiver: Receiver) -> None:
    from confhub.events.actions import number_new_events
    from confhub.webhooks import actions

    actions.make_webhook("chat", to=receiver.url, who=ANN, now=NOON)
    a_release(scope)
    number_new_events()
    stop = threading.Event()
    looping = threading.Thread(target=WebhooksStep.loop, args=(object.__new__(WebhooksStep), stop))
    looping.start()
    try:
        wait_until(lambda: len(receiver.got) == 1, what="the loop sends it")
        wait_until(lambda: not waiting(), what="and notes it")
        a_release(scope, {"POOL": 2})
        number_new_events()
        wait_until(lambda: len(receiver.got) == 2, what="the next one as well")
        wait_until(lambda: not waiting(), what="and notes it, too")
    finally:
        stop.set()
        looping.join()


def test_it_runs_where_a_worker_follows(settings: Any) -> None:
    step = object.__new__(WebhooksStep)
    settings.CONFHUB_FOLLOW = True
    assert step.include_if(None)
    settings.CONFHUB_FOLLOW = False
    assert not step.include_if(None)

    from confhub.celery import app

    assert "confhub.webhooks.steps:WebhooksStep" in app.steps["worker"]
