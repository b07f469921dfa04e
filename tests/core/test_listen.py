"""The database as a doorbell: what is true whether it rings or not."""

import threading
import time

import pytest

from confhub.core.listen import DatabaseBell
from confhub.publishing.steps import EVENTS, OUTBOX

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lost_bell_costs_the_wait_and_nothing_else(bell: DatabaseBell) -> None:
    begun = time.monotonic()

    assert bell.wait(threading.Event(), 1.0) == {OUTBOX, EVENTS}

    assert time.monotonic() - begun >= 0.9


def test_a_loop_that_stops_hears_nothing_more(bell: DatabaseBell) -> None:
    stop = threading.Event()
    stop.set()

    assert bell.wait(stop, 60) == frozenset()
