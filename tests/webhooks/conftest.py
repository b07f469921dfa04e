"""A scope to publish in, a receiver on loopback, and time that a test moves by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from confhub.catalog.models import Scope
from confhub.events.actions import number_new_events
from confhub.webhooks import actions, intake, sending
from confhub.webhooks.models import Webhook
from tests.parts.factories import ANN, NOON, a_scope
from tests.parts.receiver import Receiver


@dataclass
class Time:
    """The clock of a test."""

    moment: datetime = field(default=NOON)

    def __call__(self) -> datetime:
        return self.moment

    def pass_by(self, **duration: float) -> None:
        self.moment += timedelta(**duration)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def scope(db: None) -> Scope:
    return a_scope("billing", "prod")


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]
    with Receiver() as held:
        yield held


def a_webhook(to: str, name: str = "chat", **others: Any) -> Webhook:
    return actions.make_webhook(name, to=to, who=ANN, now=NOON, **others).webhook


def collect(time: Time) -> int:
    """What a worker's loop does with events: number them, then make deliveries of them."""
    number_new_events()
    return intake.take_new_events(now=time())


def run(time: Time) -> int:
    """Collect, and send everything that is due; how many arrived."""
    collect(time)
    return sending.send_due(time)
