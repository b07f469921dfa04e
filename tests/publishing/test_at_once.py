"""Many writers at once: numbers without a gap, no edit lost, no "database is locked"."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from confhub.events import actions as events
from confhub.events.models import Event
from confhub.publishing import actions
from confhub.publishing.models import Publication
from confhub.releases.actions import change_draft
from confhub.releases.models import Release
from confhub.releases.queries import draft_of, entries_of
from tests.parts.factories import ANN, NOON, a_scope

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS, EACH = 6, 8


def at_once(work: Callable[[int], None]) -> None:
    """Run `work(n)` in WRITERS threads, each with a connection of its own; fail with the first error."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001  # told in the test's own thread
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if failures:
        raise failures[0]


def test_numbers_rise_without_a_gap() -> None:
    scope = a_scope()

    def publish(number: int) -> None:
        for turn in range(EACH):
            actions.publish_changes(
                scope, set={f"K{number}": turn}, unset=[], message="", who=ANN, now=NOON
            )

    at_once(publish)

    numbers = list(Release.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, WRITERS * EACH + 1))
    assert Publication.objects.count() == WRITERS * EACH
    assert {key: entry["value"] for key, entry in entries_of(scope).items()} == {
        f"K{n}": EACH - 1 for n in range(WRITERS)
    }


def test_no_edit_of_the_draft_is_lost() -> None:
    scope = a_scope()

    def edit(number: int) -> None:
        for turn in range(EACH):
            change_draft(scope, set={f"K{number}_{turn}": turn}, expected=None, who=ANN, now=NOON)

    at_once(edit)

    assert len(draft_of(scope).changes) == WRITERS * EACH


def test_positions_are_handed_out_once_each() -> None:
    def record(number: int) -> None:
        for _ in range(EACH):
            events.record("service.changed", stream=f"s{number}", data={}, now=NOON)
            events.number_new_events()

    at_once(record)

    positions = sorted(Event.objects.values_list("position", flat=True))
    assert positions == list(range(1, WRITERS * EACH + 1))
