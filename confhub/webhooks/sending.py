"""Send what is due, in order: of a webhook and a scope only the oldest delivery that is not done.

A delivery is claimed by a conditional update with a limit in time; no transaction is open while the
receiver is asked. Whoever is killed between the answer and the note that it came leaves a claim that
runs out, and the same message goes out again with the same id: at least once. Safe to run in many
threads and many processes.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from confhub.core.errors import ConfHubError
from confhub.webhooks import retries, switching
from confhub.webhooks.forms import GONE, TIMEOUT_S, Outcome, cleaned, deliver
from confhub.webhooks.kinds import TEST
from confhub.webhooks.models import Webhook, WebhookDelivery

log = structlog.get_logger("webhooks")

HOLD = timedelta(seconds=2 * TIMEOUT_S + 15)  # longer than any try, the database's waits included
WAITING, SENT, GIVEN_UP = (
    WebhookDelivery.State.WAITING, WebhookDelivery.State.SENT, WebhookDelivery.State.GIVEN_UP,
)  # fmt: skip
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Head:
    """The oldest delivery of a webhook and scope that is not done, and is due."""

    pk: int
    webhook_id: int
    is_failing: bool  # nothing arrived at the webhook since its newest failure


def some_due(*, now: datetime) -> bool:
    """A cheap look: False where nothing can be due."""
    rows = WebhookDelivery.objects.filter(_free(now), state=WAITING, next_try_at__lte=now)
    return rows.filter(Q(webhook__is_on=True) | Q(kind=TEST)).exists()


def due(*, now: datetime, webhook_id: int | None = None) -> list[Head]:
    """What may be sent now, the oldest first. Tests wait for nobody, and nobody waits for them."""
    rows = WebhookDelivery.objects.filter(state=WAITING)
    if webhook_id is not None:
        rows = rows.filter(webhook=webhook_id)
    place = Window(
        RowNumber(), partition_by=[F("webhook"), F("scope")], order_by=[F("position"), F("id")]
    )
    # What is due is asked of the heads alone: in a condition beside the window it would be asked
    # before the rows are numbered, and a delivery behind one that waits would come first.
    heads = rows.filter(webhook__is_on=True).exclude(kind=TEST).annotate(place=place).filter(place=1)  # fmt: skip
    names = ("pk", "webhook_id", "webhook__failing_since", "next_try_at", "held_until", "position")
    found = [*heads.values_list(*names), *rows.filter(kind=TEST).values_list(*names)]
    ready = [each for each in found if each[3] <= now and (each[4] is None or each[4] < now)]
    ready.sort(key=lambda each: (each[5], each[0]))
    return [Head(pk, webhook, since is not None) for pk, webhook, since, _, _, _ in ready]


def send_due(clock: Clock) -> int:
    """Send everything that is due, one after the other; return how many arrived."""
    arrived, seen = 0, set()
    while heads := [each for each in due(now=clock()) if each.pk not in seen]:
        for head in heads:
            seen.add(head.pk)
            arrived += bool(send_one(head.pk, clock))
    return arrived


def send_one(pk: int, clock: Clock) -> bool | None:
    """Try a delivery once: did it arrive? None where another sender has it, or it is not due."""
    delivery = _claimed(pk, now=clock())
    if delivery is None:
        return None
    if not connection.in_atomic_block:
        connection.close()  # none is kept while the receiver takes its time
    try:
        outcome = deliver(delivery.webhook, delivery, now=clock())
    except ConfHubError as error:  # its secret cannot be opened
        outcome = Outcome(False, None, cleaned(error.detail))
    if outcome.arrived:
        _settle_arrived(delivery, outcome, now=clock())
    else:
        _settle_failed(delivery, outcome, now=clock())
    return outcome.arrived


def _free(now: datetime) -> Q:
    return Q(held_until=None) | Q(held_until__lt=now)


def _claimed(pk: int, *, now: datetime) -> WebhookDelivery | None:
    """Conditions on its own columns alone, because PostgreSQL looks at those again where another
    claim came first, and not at what they are joined with."""
    token = uuid.uuid4().hex
    rows = WebhookDelivery.objects.filter(_free(now), pk=pk, state=WAITING, next_try_at__lte=now)
    if not rows.update(held_by=token, held_until=now + HOLD, tries=F("tries") + 1):
        return None
    held = WebhookDelivery.objects.select_related("webhook__service", "webhook__environment")
    return held.filter(pk=pk, held_by=token).first()


def _mine(delivery: WebhookDelivery) -> QuerySet[WebhookDelivery]:
    """The row, as long as the claim stands; none where it ran out and another took it."""
    return WebhookDelivery.objects.filter(
        pk=delivery.pk, held_by=delivery.held_by, state=WAITING
    )  # fmt: skip


@transaction.atomic
def _settle_arrived(delivery: WebhookDelivery, outcome: Outcome, *, now: datetime) -> None:
    _mine(delivery).update(
        state=SENT, sent_at=now, status=outcome.status, answer=outcome.said,
        held_by="", held_until=None,
    )  # fmt: skip
    failing = Webhook.objects.filter(pk=delivery.webhook_id, failing_since__isnull=False)
    failing.update(failing_since=None)
    log.info(
        "webhook.sent", webhook=delivery.webhook.name, kind=delivery.kind,
        message=delivery.message_id, tries=delivery.tries,
    )  # fmt: skip


@transaction.atomic
def _settle_failed(delivery: WebhookDelivery, outcome: Outcome, *, now: datetime) -> None:
    webhook = Webhook.objects.select_for_update().filter(pk=delivery.webhook_id).first()
    if webhook is None:
        return  # removed meanwhile, and its deliveries with it
    again = None if delivery.kind == TEST else retries.next_try(delivery.tries, now=now)
    until = retries.asked_for(outcome.retry_after, now=now)
    if again is not None and until is not None:
        again = max(again, until)
    settled = _mine(delivery).update(
        state=WAITING if again else GIVEN_UP, next_try_at=again or now, status=outcome.status,
        answer=outcome.said, held_by="", held_until=None,
    )  # fmt: skip
    log.warning(
        "webhook.failed", webhook=webhook.name, kind=delivery.kind, message=delivery.message_id,
        tries=delivery.tries, status=outcome.status, given_up=again is None,
    )  # fmt: skip
    if settled and delivery.kind != TEST:
        if until is not None:  # it asked for a pause, and not for one of this scope alone
            others = WebhookDelivery.objects.filter(webhook=webhook, state=WAITING, held_until=None)
            others.filter(next_try_at__lt=until).exclude(kind=TEST).update(next_try_at=until)
        _judge(webhook, outcome, now=now)


def _judge(webhook: Webhook, outcome: Outcome, *, now: datetime) -> None:
    """Nothing arrived this time: is it worth going on?"""
    since = webhook.failing_since or now
    if outcome.status == GONE and webhook.form != Webhook.Form.EMAIL:
        switching.switch_off(webhook.pk, "It answered 410: it wants nothing any more.", now=now)
    elif now - since >= retries.OFF_AFTER:
        newest = f"status {outcome.status}" if outcome.status else outcome.said
        because = f"Nothing arrived since {since:%Y-%m-%d %H:%M} UTC. The newest try: {newest}"
        switching.switch_off(webhook.pk, because[:400], now=now)
    if webhook.failing_since is None:
        Webhook.objects.filter(pk=webhook.pk).update(failing_since=now)
