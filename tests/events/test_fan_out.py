"""Events reach open pages by a nudge, and without one by their rows."""

import asyncio

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from confhub.events import actions, queries
from confhub.events.models import Event
from confhub.events.tasks import EVENTS_ARE_KEPT
from tests.parts.factories import NOON, later
from tests.parts.servers import RedisServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def layer(settings, redis_server: RedisServer):
    config = settings.CHANNEL_LAYERS["default"]["CONFIG"]
    hosts = [{**config["hosts"][0], "address": redis_server.url}]
    settings.CHANNEL_LAYERS = {
        "default": {**settings.CHANNEL_LAYERS["default"], "CONFIG": {**config, "hosts": hosts}}
    }
    return get_channel_layer()


def test_a_page_that_listens_is_nudged_with_the_position_only(layer) -> None:
    async def listen() -> dict:
        channel = await layer.new_channel()
        await layer.group_add("scope.7", channel)
        await asyncio.to_thread(tell)
        async with asyncio.timeout(5):
            return await layer.receive(channel)

    def tell() -> None:
        async_to_sync(actions._nudge)({"scope.7": 41})

    assert async_to_sync(listen)() == {"type": "events.new", "position": 41}


def test_fan_out_numbers_even_when_nobody_can_be_nudged(settings) -> None:
    actions.record("service.changed", stream="catalog", data={"service": "a"}, now=NOON)

    assert actions.fan_out() == 1
    assert actions.fan_out() == 0

    [event] = queries.since(0, streams=["catalog"])
    assert (event["position"], event["kind"], event["data"]) == (
        queries.newest_position(),
        "service.changed",
        {"service": "a"},
    )
    assert queries.newest_of(["catalog"]) == event["position"]
    assert queries.newest_of(["scope.1"]) == 0


def test_a_kind_that_is_not_listed_is_refused_and_nothing_is_written() -> None:
    with pytest.raises(ValueError, match="kinds"):
        actions.record("service.exploded", stream="catalog", data={}, now=NOON)

    assert Event.objects.count() == 0


def test_old_events_are_forgotten_and_new_ones_stay() -> None:
    actions.record("service.changed", stream="catalog", data={}, now=NOON - 2 * EVENTS_ARE_KEPT)
    actions.record("service.changed", stream="catalog", data={}, now=NOON)
    actions.number_new_events()

    assert actions.forget_old(before=NOON - EVENTS_ARE_KEPT) == 1

    assert len(queries.since(0, streams=["catalog"])) == 1


def test_a_page_goes_on_only_from_where_every_later_event_is_still_kept() -> None:
    assert queries.can_go_on_from(0)
    for at in (NOON, later(1), later(7200)):
        actions.record("service.changed", stream="catalog", data={"service": "a"}, now=at)
    actions.number_new_events()
    newest = queries.newest_position()
    assert queries.can_go_on_from(newest - 3)

    actions.forget_old(before=later(3600))

    assert not queries.can_go_on_from(newest - 3)
    assert queries.can_go_on_from(newest - 1)
    assert queries.can_go_on_from(newest)
    assert not queries.can_go_on_from(newest + 1)  # the database was set back


def test_a_large_backlog_is_forgotten_in_parts(monkeypatch) -> None:
    monkeypatch.setattr(actions, "BATCH", 2)
    happened = [("service.changed", "catalog", {"service": "a"})] * 5
    actions.record_all(happened, now=NOON)
    actions.record_all(happened[:1], now=later(60))
    while actions.number_new_events():
        pass

    assert actions.forget_old(before=later(1)) == 5
    assert Event.objects.count() == 1
