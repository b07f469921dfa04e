"""An instance's page and REST name the request whose release it runs, and nothing where none is known."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from confhub.core import clock
from confhub.fleet.actions import Seen, take_statuses
from confhub.fleet.models import Instance
from tests.parts.factories import a_person, a_scope
from watchers.wire.canonical import canonical
from watchers.wire.status import Receipt, Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(settings: Any, tmp_path: Path) -> Client:
    settings.STATIC_ROOT = tmp_path
    client = Client()
    client.force_login(a_person())
    return client


def hear(**receipt: Any) -> None:
    """A status from etcd, as the follower hands it over."""
    a_scope()
    held = Receipt(release=1, state="confirmed", at=clock.stamp(clock.now()), **receipt)
    status = Status("web-1", "billing", "prod", "node-1", "process", "confhub/0.1.0", receipt=held)
    raw = json.loads(status.to_bytes())
    if not receipt:
        del raw["receipt"]["request_id"]  # an older agent's
    seen = Seen("billing", "prod", "web-1", canonical(raw), 7)
    assert take_statuses([seen], whole=False, now=clock.now()) == 1


def test_it_is_kept_and_shown(browser: Client) -> None:
    hear(request_id="deploy-1842")

    assert Instance.objects.get().receipt["request_id"] == "deploy-1842"  # type: ignore[index]  # it has one
    page = browser.get("/services/billing/prod/instances/web-1/").content.decode()
    assert "deploy-1842" in page
    [item] = browser.get("/api/v1/services/billing/environments/prod/instances").json()["items"]
    assert item["receipt"]["request_id"] == "deploy-1842"


def test_an_older_agents_receipt_has_none(browser: Client) -> None:
    hear()

    assert Instance.objects.get().receipt["request_id"] == ""  # type: ignore[index]  # it has one
    page = browser.get("/services/billing/prod/instances/web-1/").content.decode()
    assert ">Request</dt>" not in page
