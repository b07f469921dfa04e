"""Two identical deliveries at the same moment make one release."""

import threading
from typing import Any

import pytest
from django.db import connection

from confhub.access.queries import actor_of_user
from confhub.deploys import actions, receiving
from confhub.deploys.models import Delivery
from confhub.deploys.receiving import Came
from confhub.releases.models import Release
from tests.deploys.conftest import TAG, a_body, github, own
from tests.parts import factories
from tests.parts.factories import NOON

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 4


@pytest.mark.parametrize("kind", ["confhub", "github"])
def test_one_acts_and_the_others_are_told(kind: str) -> None:
    scope = factories.a_scope("shop", "dev")
    factories.a_release(scope, {"TAG": "1.0"})
    who = actor_of_user(factories.a_person("mia"))
    _, secret = actions.make_hook(scope, name="ship", kind=kind, mapping=TAG, who=who, now=NOON)
    body = a_body(tag="1.9")
    together, found = threading.Barrier(AT_ONCE), []

    def send(number: int) -> None:
        # Of GitHub each under another id, as somebody would who replays it.
        sent = own(secret, body) if kind == "confhub" else github(secret, body, id=f"guid-{number}")
        together.wait(30)
        try:
            found.append(receiving.receive("ship", Came(sent), now=NOON))
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    numbers: list[Any] = [each.acted.release.number for each in found if each.acted.release]
    assert numbers == [2] * AT_ONCE
    assert sorted(each.is_repeated for each in found) == [False] + [True] * (AT_ONCE - 1)
    assert Release.objects.count() == 2
    assert Delivery.objects.count() == 1
