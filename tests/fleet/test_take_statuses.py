"""Statuses become rows, receipts and events: once each, and never an older one over a newer."""

import json

import pytest

from confhub.events import actions as events
from confhub.events.models import Event
from confhub.events.queries import newest_position, since
from confhub.fleet import actions, queries
from confhub.fleet.actions import Seen
from confhub.fleet.models import Instance, Receipt
from tests.parts.factories import NOON, a_release, a_scope, later

pytestmark = pytest.mark.django_db


def status(instance_id: str = "web-1", **facts: object) -> bytes:
    return json.dumps(
        {
            "id": instance_id, "service": "billing", "environment": "prod", "host": "node-7",
            "runtime": "docker", "container": {"name": "billing-1", "started_at": "2026-11-24T10:00:00Z", "restarts": 0},
            "pid": 4711, "target": 1, "running": None, "health": "healthy", "agent": "confhub/0.1.0", **facts,
        }
    ).encode()  # fmt: skip


def receipt(release: int, state: str, **facts: object) -> dict[str, object]:
    return {"release": release, "state": state, "at": "2026-11-24T12:00:01.500Z", **facts}


def take(
    value: bytes | None, *, revision: int, instance_id: str = "web-1", whole: bool = False, now=NOON
) -> int:
    seen = [Seen("billing", "prod", instance_id, value, revision)]
    return actions.take_statuses(seen, whole=whole, now=now)


def test_each_stage_is_a_row_a_receipt_and_an_event() -> None:
    scope = a_scope()
    a_release(scope)
    for at, state in enumerate(("delivered", "applied", "confirmed")):
        held = receipt(
            1, state, delivered_at="2026-11-24T12:00:01Z", confirmed_at="2026-11-24T12:00:01.500Z"
        )
        take(status(receipt=held, running=1 if state == "confirmed" else None), revision=10 + at)

    [tile] = queries.instances_of(scope)
    assert (tile["state"], tile["running"], tile["pid"], tile["restarts"]) == (
        "confirmed",
        1,
        4711,
        0,
    )
    assert tile["latency_ms"] == {"delivered": 1000, "applied": None, "confirmed": 1500}
    assert Receipt.objects.get().state == "confirmed"
    kinds = list(
        Event.objects.filter(kind__startswith="instance")
        .order_by("id")
        .values_list("data__state", flat=True)
    )
    assert kinds == ["delivered", "applied", "confirmed"]
    assert queries.convergence(scope, 1).state == "confirmed"


@pytest.mark.parametrize(
    ("said", "kept"),
    [(["max_connections"], ["max_connections"]), ([], []), ("all", []), (7, []), (None, [])],
)
def test_what_waits_for_a_restart_is_kept_with_the_receipt(said: object, kept: list[str]) -> None:
    scope = a_scope()
    a_release(scope)

    take(status(receipt=receipt(1, "delivered", pending_restart=said)), revision=10)

    [tile] = queries.instances_of(scope)
    assert tile["receipt"]["pending_restart"] == kept


def test_an_older_status_changes_nothing() -> None:
    scope = a_scope()
    take(status(pid=2), revision=20)

    assert take(status(pid=1), revision=19) == 0
    assert take(status(pid=2), revision=20) == 0

    assert [tile["pid"] for tile in queries.instances_of(scope)] == [2]


def test_a_status_that_left_etcd_is_gone_and_comes_back() -> None:
    scope = a_scope()
    take(status(), revision=1)

    assert take(None, revision=2, now=later(5)) == 1
    assert take(None, revision=2) == 0
    [gone] = queries.instances_of(scope)
    assert (gone["state"], gone["gone_at"]) == ("gone", later(5).isoformat())
    assert queries.convergence(scope, 1).state == "nobody"

    take(status(), revision=3)
    assert queries.instances_of(scope)[0]["gone_at"] is None


def test_a_whole_read_replaces_what_is_known_whatever_the_revision() -> None:
    scope = a_scope()
    take(status("old"), revision=500, instance_id="old")
    take(status("kept", pid=1), revision=501, instance_id="kept")

    take(
        status("kept", pid=2), revision=3, instance_id="kept", whole=True
    )  # a wiped store counts anew
    take(status("kept", pid=3), revision=4, instance_id="kept")

    tiles = {tile["id"]: tile for tile in queries.instances_of(scope)}
    assert tiles["old"]["state"] == "gone"
    assert tiles["kept"]["pid"] == 3


def test_what_cannot_be_read_or_belongs_nowhere_is_left_alone() -> None:
    scope = a_scope()
    take(status(), revision=1)
    before = Event.objects.count()

    assert take(b"not json", revision=2) == 0
    assert take(b'{"id": 3}', revision=3) == 0
    assert (
        actions.take_statuses([Seen("nope", "prod", "x", status(), 1)], whole=False, now=NOON) == 0
    )

    assert (Instance.objects.count(), Event.objects.count()) == (1, before)
    assert queries.instances_of(scope)[0]["pid"] == 4711


def test_an_agent_cannot_fill_columns_beyond_their_bounds() -> None:
    scope = a_scope()

    take(
        status(host="h" * 999, agent="a" * 999, health="z" * 999, problems=["p" * 9999] * 99,
               receipt=receipt(1, "failed", stage="s" * 99, reason="r" * 9999)),
        revision=1,
    )  # fmt: skip

    [tile] = queries.instances_of(scope)
    assert (len(tile["host"]), len(tile["problems"]), len(tile["receipt"]["reason"])) == (
        255,
        20,
        4000,
    )


@pytest.mark.parametrize(
    "facts",
    [
        {"pid": -1},
        {"pid": 2**40},
        {"target": 2**70},
        {"running": -3},
        {"checksum": 7},
        {"problems": 7},
        {"host": "a\x00b"},
        {"host": "\ud800"},
        {"problems": ["\ud800\x00"]},
        {"container": {"name": "a\x00b", "restarts": "\ud800", "image": {"x": ["\x00"]}}},
        {"receipt": receipt(1, "failed", reason="lint: \x00\ud800")},
        {"receipt": receipt(2**70, "confirmed")},
        {"receipt": receipt(-2, "confirmed")},
        {"receipt": receipt(1, "confirmed", confirmed_at="0001-01-01T00:00:00+23:59")},
        {"receipt": receipt(1, "confirmed", confirmed_at=["x"], applied_at=3)},
    ],
    ids=repr,
)
def test_no_status_whatever_it_says_keeps_the_others_from_being_seen(facts: dict) -> None:
    scope = a_scope()
    a_release(scope)

    actions.take_statuses(
        [
            Seen("billing", "prod", "bad", status("bad", **facts), 1),
            Seen("billing", "prod", "good", status("good", pid=5), 2),
        ],
        whole=True,
        now=NOON,
    )

    assert {tile["id"]: tile["pid"] for tile in queries.instances_of(scope)}["good"] == 5
    assert "\\u0000" not in "".join(
        str(value) for value in Instance.objects.values_list("container", "receipt", "problems")
    )


def test_thousands_of_instances_cost_no_query_each(django_assert_max_num_queries) -> None:
    scopes = [a_scope(f"s{number}", "prod") for number in range(4)]
    for scope in scopes:
        a_release(scope)
    seen = [
        Seen(
            scope.service.slug, "prod", f"i{number}",
            status(f"i{number}", pid=1, receipt=receipt(1 + number, "confirmed")), 1 + number,
        )
        for scope in scopes
        for number in range(500)
    ]  # fmt: skip

    with django_assert_max_num_queries(100):
        assert actions.take_statuses(seen, whole=True, now=NOON) == 2000
    with django_assert_max_num_queries(10):
        assert actions.take_statuses(seen, whole=True, now=NOON) == 0
    with django_assert_max_num_queries(100):
        assert actions.take_statuses([], whole=True, now=NOON) == 2000


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"receipt": receipt(2, "confirmed"), "running": 2}, "confirmed"),
        ({"receipt": receipt(2, "applied"), "running": 1}, "pending"),
        ({"receipt": receipt(2, "failed"), "running": 1}, "failed"),
        ({"receipt": receipt(1, "confirmed"), "running": 1}, "pending"),
        ({"receipt": receipt(3, "delivered"), "running": 2}, "confirmed"),
        ({"receipt": receipt(3, "confirmed"), "running": 3}, "confirmed"),
        ({"receipt": None}, "pending"),
    ],
)  # fmt: skip
def test_convergence_is_seen_from_the_release_asked_for(facts: dict, outcome: str) -> None:
    scope = a_scope()
    take(status(target=2, **facts), revision=1)

    found = queries.convergence(scope, 2)

    assert found.state == outcome
    assert len(found.behind) == (0 if outcome == "confirmed" else 1)


def test_gone_instances_are_forgotten_after_a_day() -> None:
    scope = a_scope()
    take(status(), revision=1)
    take(None, revision=2)

    actions.forget_gone(now=later(23 * 3600))
    assert len(queries.instances_of(scope)) == 1
    actions.forget_gone(now=later(25 * 3600))
    assert queries.instances_of(scope) == []


def test_the_newest_fifty_receipts_are_kept(django_assert_max_num_queries) -> None:
    a_scope()
    for number in range(20):
        take(status(f"i{number}"), revision=1, instance_id=f"i{number}")
    for number in range(1, 56):
        take(status(receipt=receipt(number, "confirmed")), revision=number)

    with django_assert_max_num_queries(8):
        actions.forget_gone(now=NOON)

    assert sorted(Receipt.objects.values_list("release", flat=True)) == list(range(6, 56))


def test_freshness_is_unknown_until_something_was_followed() -> None:
    assert queries.freshness(now=NOON).as_of is None

    actions.mark_fresh(revision=7, follower="w1", now=NOON)

    assert queries.freshness(now=later(3)).age_s == 3


def test_events_are_numbered_without_a_gap_and_read_from_a_position_on() -> None:
    scope = a_scope()
    events.number_new_events()
    start = newest_position()
    take(status(pid=1), revision=1)
    take(status(pid=2), revision=2)

    moved = events.number_new_events()

    found = since(start, streams=[scope.stream])
    assert [event["position"] for event in found] == [start + 1, start + 2]
    assert moved == {scope.stream: start + 2}
    assert since(start + 2, streams=[scope.stream]) == []
    assert events.number_new_events() == {}
