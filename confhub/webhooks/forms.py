"""One delivery over the wire, in the form of its webhook. No rows are written here."""

import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage

from confhub.core import outgoing
from confhub.core.rehearsal import is_rehearsal
from confhub.webhooks import payloads, signatures
from confhub.webhooks.models import Webhook, WebhookDelivery
from watchers.wire.canonical import canonical

TIMEOUT_S = 15.0  # for all of a try; the specification has 15 to 30
KEPT_CHARS = 500  # of an answer
GONE = 410


@dataclass(frozen=True)
class Outcome:
    """What became of a try. `status` is the receiver's, where one came."""

    arrived: bool
    status: int | None = None
    said: str = ""  # the beginning of the answer, or why none came
    retry_after: str | None = None  # the header, of 429 and 503


def deliver(webhook: Webhook, delivery: WebhookDelivery, *, now: datetime) -> Outcome:
    """Try once, within about fifteen seconds. Raises NoMasterKey, KeyIsSealed."""
    assert not is_rehearsal()  # noqa: S101  # a rehearsal only writes rows, which are taken back
    if webhook.form == Webhook.Form.EMAIL:
        return _mailed(webhook, delivery)
    if webhook.form == Webhook.Form.SLACK:
        url = signatures.opened(webhook).current
        return _posted(url, canonical(payloads.slack(delivery.body)), {})
    body = canonical(delivery.body)
    signed = signatures.headers(
        signatures.opened(webhook), delivery.message_id, body, now=now
    )  # fmt: skip
    return _posted(webhook.to, body, signed)


def _posted(url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
    told = {"content-type": "application/json", **headers}
    try:
        answer = outgoing.send("POST", url, body=body, headers=told, timeout_s=TIMEOUT_S)
    except outgoing.NotSent as error:
        return Outcome(False, None, cleaned(str(error)))
    if 200 <= answer.status < 300:
        return Outcome(True, answer.status, cleaned(answer.text))
    said = cleaned(answer.text)
    if 300 <= answer.status < 400:
        said = "It answers with another address. Redirects are not followed: change the webhook's."
    waits = answer.headers.get("retry-after") if answer.status in (429, 503) else None
    return Outcome(False, answer.status, said, waits)


def _mailed(webhook: Webhook, delivery: WebhookDelivery) -> Outcome:
    subject, text = payloads.mail(delivery.body)
    domain = parseaddr(settings.CONFHUB_MAIL_FROM)[1].rpartition("@")[2] or "localhost"
    held: dict[str, Any] = {
        "Message-ID": f"<{delivery.message_id}@{domain}>",  # the same at every try
        "Auto-Submitted": "auto-generated",  # RFC 3834: so that nobody's absence answers
    }
    message = EmailMessage(
        subject, text, settings.CONFHUB_MAIL_FROM, addresses(webhook.to), headers=held
    )
    try:
        message.send()
    except ValueError as error:  # a header, or an address, that would be two
        return Outcome(False, None, cleaned(f"It cannot be written as a mail: {error}"))
    except smtplib.SMTPRecipientsRefused as error:
        refusals = [
            f"{name}: {code} {_text(said)}" for name, (code, said) in error.recipients.items()
        ]
        return Outcome(False, None, cleaned(f"The mail server refused {'; '.join(refusals)}"))
    except smtplib.SMTPResponseException as error:
        return Outcome(False, error.smtp_code, cleaned(f"The mail server said: {_text(error.smtp_error)}"))  # fmt: skip
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(False, None, cleaned(f"The mail server did not take it: {error}."))
    return Outcome(True, None, "The mail server took it.")


def addresses(to: str) -> list[str]:
    """The mail addresses of a comma list."""
    return [each.strip() for each in to.split(",") if each.strip()]


def cleaned(text: str) -> str:
    """What a database keeps of somebody's answer: its beginning, without NUL."""
    return text[:KEPT_CHARS].replace("\x00", "\N{REPLACEMENT CHARACTER}").strip()


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
