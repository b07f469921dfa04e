"""PostgreSQL rings for what was committed, and for nothing else. Collected where it is the database."""

import threading
import time

import pytest
from django.db import connection, transaction

from confhub.core.listen import DatabaseBell
from confhub.events import actions as events
from confhub.publishing.steps import EVENTS, OUTBOX
from tests.parts.factories import NOON, a_release, a_scope

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lost_bell_costs_the_wait_and_nothing_else(bell: DatabaseBell) -> None:
    begun = time.monotonic()

    assert bell.wait(threading.Event(), 1.0) == {OUTBOX, EVENTS}

    assert time.monotonic() - begun >= 0.9


def test_a_loop_that_stops_hears_nothing_more(bell: DatabaseBell) -> None:
    stop = threading.Event()
    stop.set()

    assert bell.wait(stop, 60) == frozenset()


def test_a_published_release_rings_and_so_do_events(bell: DatabaseBell) -> None:
    scope = a_scope()
    bell.wait(threading.Event(), 5)
    begun = time.monotonic()

    a_release(scope)
    heard = bell.wait(threading.Event(), 20)
    if OUTBOX not in heard:  # both were rung at one commit, but may be read one by one
        heard = bell.wait(threading.Event(), 20)

    assert OUTBOX in heard
    assert time.monotonic() - begun < 15


def test_what_is_rolled_back_does_not_ring(bell: DatabaseBell) -> None:
    with transaction.atomic():
        events.record("service.changed", stream="catalog", data={}, now=NOON)
        transaction.set_rollback(True)

    begun = time.monotonic()
    bell.wait(threading.Event(), 1.0)
    assert time.monotonic() - begun >= 0.9, "it rang for something that never was"


def test_a_line_that_was_cut_is_made_anew(bell: DatabaseBell) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        )

    assert bell.wait(threading.Event(), 1.2) == {OUTBOX, EVENTS}  # made anew meanwhile
    bell.wait(threading.Event(), 0.6)
    events.record("service.changed", stream="catalog", data={}, now=NOON)
    assert EVENTS in bell.wait(threading.Event(), 20)
