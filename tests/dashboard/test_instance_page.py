"""What a person may ask an instance's host from its page; the host's own queue carries it."""

import pytest

from confhub.core import wake
from confhub.events.models import AuditEntry
from confhub.fleet import actions as fleet
from confhub.fleet.actions import Seen
from tests.fleet.test_take_statuses import receipt, status
from tests.parts.factories import NOON, a_person, a_release, a_scope

pytestmark = pytest.mark.django_db
PAGE = "/services/billing/prod/instances/web-1/"


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Bells as they are asked for; whether they ring is tests/core/test_wake.py's."""
    heard: list[tuple] = []
    monkeypatch.setattr(wake, "after_commit", lambda task, **where: heard.append((task, where)))
    return heard


@pytest.fixture
def signed_in(client):
    client.force_login(a_person())
    return client


def an_instance(**facts: object) -> None:
    a_release(a_scope())
    seen = [Seen("billing", "prod", "web-1", status(**facts), 1)]
    fleet.take_statuses(seen, whole=False, now=NOON)


def test_look_again_goes_to_the_instances_own_host(signed_in, rung) -> None:
    an_instance()
    rung.clear()

    answer = signed_in.post(f"{PAGE}ask/", {"what": "look"})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert rung == [("confhub.fleet.look_again", {"queue": "host.node-7"})]
    assert AuditEntry.objects.get(action="host.look_again").target == "node-7"


def test_retry_names_the_instance(signed_in, rung) -> None:
    an_instance(receipt=receipt(1, "failed", stage="reload", reason="no"))
    rung.clear()

    page = signed_in.get(PAGE)
    signed_in.post(f"{PAGE}ask/", {"what": "retry"})

    assert "Try r1 again" in page.content.decode()
    assert rung == [("confhub.fleet.retry", {"queue": "host.node-7", "instance_id": "web-1"})]


def test_a_process_under_confhub_run_has_no_host_to_ask(signed_in) -> None:
    an_instance(runtime="process")

    assert "Look again now" not in signed_in.get(PAGE).content.decode()


def test_an_instance_that_is_not_there_is_not_asked_for(signed_in, rung) -> None:
    a_scope()
    rung.clear()

    answer = signed_in.post(f"{PAGE}ask/", {"what": "look"})

    assert answer.status_code == 404
    assert rung == []
