"""Make, change and remove webhooks; try one, and send a delivery again."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from confhub.access.policies import NotFound
from confhub.catalog.models import Environment, Service
from confhub.core import outgoing, rehearsal, signing
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.events.queries import newest_position
from confhub.webhooks import forms, intake, payloads, retries, signatures
from confhub.webhooks.kinds import TEST, offered
from confhub.webhooks.models import Webhook, WebhookDelivery
from confhub.webhooks.queries import require_admin_of
from confhub.webhooks.signatures import Secrets
from confhub.webhooks.switching import audit_target, slugs

MAX_WEBHOOKS = 200
MAX_ADDRESSES = 20  # of one mail
LOOK_UP_S = 2.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
Form = Webhook.Form


class BadWebhook(ConfHubError):
    """A name, an address or a kind that a webhook cannot have."""

    code: ClassVar[str] = "webhook.bad"
    status: ClassVar[int] = 422


class WebhookTaken(ConfHubError):
    """There is a webhook of this name already."""

    code: ClassVar[str] = "webhook.taken"
    status: ClassVar[int] = 409


class WebhookIsOff(ConfHubError):
    """It is switched off, so nothing is sent to it."""

    code: ClassVar[str] = "webhook.off"
    status: ClassVar[int] = 409


class NothingSigned(ConfHubError):
    """Messages to Slack and mails are not signed, so that there is no secret."""

    code: ClassVar[str] = "webhook.unsigned"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Made:
    """`secret` is told here and never again; "" where nothing is signed."""

    webhook: Webhook
    secret: str


def make_webhook(
    name: str, *, form: str = Form.STANDARD, to: str, kinds: Sequence[str] = (),
    service: Service | None = None, environment: Environment | None = None, who: Actor,
    now: datetime,
) -> Made:  # fmt: skip
    """It is told what happens from now on. Raises NotAllowed, BadWebhook, WebhookTaken, NoMasterKey.

    The name in the address is looked up before anything is locked.
    """
    require_admin_of(
        who, service.slug if service else None, environment.slug if environment else None
    )
    if not _NAME.fullmatch(name):
        _refuse("name", "Write 1 to 63 small letters, digits or '-', beginning and ending without '-'.")  # fmt: skip
    if form not in Form.values:
        _refuse("form", f"Write one of {', '.join(Form.values)}.")
    held = Webhook(
        name=name, form=form, to=_checked_to(form, to), kinds=_checked_kinds(kinds),
        service=service, environment=environment, made_by=who.name, made_at=now,
    )  # fmt: skip
    return _saved(held, to, who=who, now=now)


@transaction.atomic
def _saved(held: Webhook, to: str, *, who: Actor, now: datetime) -> Made:
    if Webhook.objects.filter(name=held.name).exists():
        raise _taken(held.name)
    if Webhook.objects.count() >= MAX_WEBHOOKS:
        _refuse("name", f"There are {MAX_WEBHOOKS} webhooks, which is as many as there may be.")
    try:
        with transaction.atomic():
            held.save(force_insert=True)
    except IntegrityError as error:  # two at the same moment
        raise _taken(held.name) from error
    secret = signing.new_secret() if held.form == Form.STANDARD else ""
    _keep_hidden(held, secret or to)
    intake.ensure_cursor()
    rehearsal.note_fields("webhook", held.name, None, _facts(held))
    _audit("webhook.made", held, who=who, now=now, kinds=held.kinds, form=held.form, to=_shown(held))  # fmt: skip
    return Made(held, secret)


def change_webhook(
    webhook: Webhook, *, to: str | None = None, kinds: Sequence[str] | None = None,
    is_on: bool | None = None, who: Actor, now: datetime,
) -> Webhook:  # fmt: skip
    """None leaves as it is. Its name, form and place stay. Raises NotAllowed, BadWebhook, NoMasterKey.

    Switched on again it goes on with what waits; what happened while it was off is not told.
    """
    require_admin_of(who, *slugs(webhook))
    fresh_to = _checked_to(webhook.form, to) if to is not None else None
    fresh_kinds = _checked_kinds(kinds) if kinds is not None else None
    return _changed(webhook, to, fresh_to, fresh_kinds, is_on, who=who, now=now)


@transaction.atomic
def _changed(
    webhook: Webhook, to: str | None, fresh_to: str | None, kinds: list[str] | None,
    is_on: bool | None, *, who: Actor, now: datetime,
) -> Webhook:  # fmt: skip
    held = _locked(webhook)
    before, told = _facts(held), dict[str, object]()
    if to is not None and fresh_to is not None:
        held.to = fresh_to
        told["to"] = _shown(held)
        if held.form == Form.SLACK:
            _keep_hidden(held, to)
    if kinds is not None and kinds != held.kinds:
        held.kinds = told["kinds"] = kinds
    if is_on is not None and (is_on != held.is_on or held.off_because):  # off: "I know", too
        held.is_on = told["on"] = is_on
        held.off_because, held.failing_since = "", None
        if is_on:
            _begin_again(held, now=now)
    held.save(update_fields=["to", "kinds", "is_on", "off_because", "failing_since"])
    rehearsal.note_fields("webhook", held.name, before, _facts(held))
    if told:
        _audit("webhook.changed", held, who=who, now=now, **told)
    return held


@transaction.atomic
def new_secret(webhook: Webhook, *, who: Actor, now: datetime) -> str:
    """Another secret, told here and never again; the one before signs beside it for a day.

    Raises NotAllowed, NothingSigned, NoMasterKey, KeyIsSealed.
    """
    require_admin_of(who, *slugs(webhook))
    held = _locked(webhook)
    if held.form != Form.STANDARD:
        raise NothingSigned(f"The webhook {held.name} has the form {held.form}, which is not signed.")  # fmt: skip
    fresh = signing.new_secret()
    held.secret = signatures.sealed(held, signatures.opened(held).followed_by(fresh, now=now))
    held.save(update_fields=["secret"])
    _audit("webhook.secret_changed", held, who=who, now=now)
    return fresh


@transaction.atomic
def remove_webhook(webhook: Webhook, *, who: Actor, now: datetime) -> None:
    """With its deliveries. Raises NotAllowed, NotFound."""
    require_admin_of(who, *slugs(webhook))
    held = _locked(webhook)
    _audit("webhook.removed", held, who=who, now=now)
    rehearsal.note_fields("webhook", held.name, _facts(held), None)
    held.delete()


@transaction.atomic
def send_test(webhook: Webhook, *, who: Actor, now: datetime) -> WebhookDelivery:
    """Queue a message that says that it is a test; tried once, also while it is switched off.

    Raises NotAllowed, NotFound.
    """
    require_admin_of(who, *slugs(webhook))
    held = _locked(webhook)
    made = WebhookDelivery.objects.create(
        webhook=held, position=newest_position(), kind=TEST, message_id=f"msg_{uuid.uuid4().hex}",
        body=payloads.document(TEST, {"webhook": held.name, "by": who.name}, at=now),
        next_try_at=now, made_at=now,
    )  # fmt: skip
    _audit("webhook.tested", held, who=who, now=now)
    return made


@transaction.atomic
def redeliver(
    webhook: Webhook, delivery: WebhookDelivery, *, who: Actor, now: datetime
) -> WebhookDelivery:
    """Send it again under the same id: one that waits at once, one that is done with a single try, so
    that it does not hold back what is newer. Raises NotAllowed, NotFound, WebhookIsOff."""
    require_admin_of(who, *slugs(webhook))
    held = _locked(webhook)
    if not held.is_on and delivery.kind != TEST:
        raise WebhookIsOff(f"The webhook {held.name} is switched off. Switch it on first.")
    waiting = WebhookDelivery.State.WAITING
    rows = WebhookDelivery.objects.filter(pk=delivery.pk)
    if not rows.filter(state=waiting).update(next_try_at=now):
        rows.update(state=waiting, next_try_at=now, tries=retries.LAST_TRY - 1)
    delivery.refresh_from_db()
    _audit("webhook.redelivered", held, who=who, now=now, message=delivery.message_id)
    return delivery


def _begin_again(webhook: Webhook, *, now: datetime) -> None:
    rows = WebhookDelivery.objects.filter(webhook=webhook, state=WebhookDelivery.State.WAITING)
    rows.update(tries=0, next_try_at=now)


def _locked(webhook: Webhook) -> Webhook:
    rows = Webhook.objects.select_for_update(of=("self",)).select_related("service", "environment")
    found = rows.filter(pk=webhook.pk).first()
    if found is None:
        raise NotFound(f"The webhook {webhook.name} was removed meanwhile.")
    return found


def _keep_hidden(webhook: Webhook, text: str) -> None:
    """What signs; of Slack the address, because whoever knows it may write there."""
    if webhook.form != Form.EMAIL:
        webhook.secret = signatures.sealed(webhook, Secrets(text))
        webhook.save(update_fields=["secret"])


def _checked_to(form: str, to: str) -> str:
    """What is kept and shown of the address. Raises BadWebhook."""
    if form == Form.EMAIL:
        return _checked_addresses(to)
    if (problem := outgoing.url_problem(to)) is not None:
        _refuse("to", problem)
    parts = urlsplit(to)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        outgoing.allowed_addresses(parts.hostname or "", port, timeout_s=LOOK_UP_S)
    except outgoing.NotSent as error:
        if error.refused:  # a name that is not there yet, or a server without a network, passes
            _refuse("to", str(error))
    return f"{parts.scheme}://{parts.netloc}/…{to[-4:]}" if form == Form.SLACK else to


def _checked_addresses(to: str) -> str:
    if not settings.EMAIL_URL:
        _refuse("form", "No mail server is set up. An operator sets EMAIL_URL and CONFHUB_MAIL_FROM.")  # fmt: skip
    found = forms.addresses(to)
    if not 1 <= len(found) <= MAX_ADDRESSES:
        _refuse("to", f"Write 1 to {MAX_ADDRESSES} mail addresses with commas between.")
    for each in found:
        try:
            validate_email(each)
        except ValidationError:
            _refuse("to", f"{each[:80]!r} is not a mail address.")
    joined = ", ".join(found)
    if len(joined) > outgoing.MAX_URL_CHARS:
        _refuse("to", f"Write at most {outgoing.MAX_URL_CHARS} characters.")
    return joined


def _checked_kinds(kinds: Sequence[str]) -> list[str]:
    unknown = [kind for kind in kinds if kind not in offered()]
    if unknown:
        _refuse("kinds", f"{unknown[0][:60]!r} is not a kind. There are {', '.join(offered())}.")
    return [kind for kind in offered() if kind in kinds]


def _shown(webhook: Webhook) -> str:
    """An address for the audit, without the path in which other systems put their secrets."""
    if webhook.form == Form.EMAIL:
        return webhook.to
    parts = urlsplit(webhook.to)
    return f"{parts.scheme}://{parts.netloc}"


def _audit(action: str, webhook: Webhook, *, who: Actor, now: datetime, **data: object) -> None:
    events.audit(action, who=who, target=audit_target(webhook), data=data, now=now)


def _facts(webhook: Webhook) -> dict[str, object]:
    """What people set of it, for a rehearsal to compare."""
    service, environment = slugs(webhook)
    return {
        "form": webhook.form, "to": webhook.to, "kinds": list(webhook.kinds), "service": service,
        "environment": environment, "on": webhook.is_on,
    }  # fmt: skip


def _refuse(field: str, sentence: str) -> NoReturn:
    raise BadWebhook(f"{field}: {sentence}", fields={field: sentence})


def _taken(name: str) -> WebhookTaken:
    return WebhookTaken(
        f"There is already a webhook {name!r}. Choose another name.",
        fields={"name": "This name is taken."},
    )
