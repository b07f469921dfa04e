"""Messages as Slack and Mattermost read them, and as mail, against a real SMTP server."""

import email.policy
import json
import re
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from confhub import env
from confhub.catalog.models import Scope
from confhub.core.clock import stamp
from confhub.webhooks import forms, payloads, sending, signatures, smtp
from confhub.webhooks.kinds import PUBLIC, TEST, told_of
from confhub.webhooks.models import Webhook, WebhookDelivery
from tests.parts.factories import NOON, a_release
from tests.parts.receiver import Receiver
from tests.parts.servers import free_port
from tests.webhooks.conftest import Time, a_webhook, collect, run

pytestmark = pytest.mark.django_db

PAGE = Path(__file__).parents[2] / "docs" / "protocols" / "webhooks.md"
NASTY = "<!channel> *x* & @all <http://evil.example|here>\r\nBcc: all@example.com\x00\u2028"


class Mailbox:
    """Keeps what comes; refuses recipients that a test names."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refused: set[str] = set()

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802  # aiosmtpd's
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's
        held = BytesParser(policy=email.policy.default).parsebytes(envelope.content)
        assert isinstance(held, EmailMessage)
        self.mails.append(held)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 Message accepted for delivery"


def use_mail_server(settings: Any, port: int) -> None:
    settings.EMAIL_URL = f"smtp://127.0.0.1:{port}"
    for name, held in env.mail(settings.EMAIL_URL).items():
        setattr(settings, name, held)
    settings.CONFHUB_MAIL_FROM = "ConfHub <confhub@example.com>"


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    held = Mailbox()
    port = free_port()
    controller = Controller(held, hostname="127.0.0.1", port=port, ready_timeout=20)
    controller.start()
    try:
        use_mail_server(settings, port)
        yield held
    finally:
        controller.stop()


def test_slack_s_form_is_text_and_a_link(scope: Scope, receiver: Receiver, time: Time, settings: Any) -> None:  # fmt: skip
    settings.CONFHUB_PUBLIC_URL = "https://confhub.example.com"
    a_webhook(receiver.url, form="slack")
    a_release(scope, message="raise the pool")

    assert run(time) == 1

    [got] = receiver.got
    assert got.json == {
        "text": "billing in prod: release 1 published by ann: raise the pool "
        "<https://confhub.example.com/services/billing/prod/releases/1/|Open>"
    }
    assert "webhook-signature" not in got.headers


def test_nothing_that_somebody_wrote_is_a_command_in_a_chat(scope: Scope, receiver: Receiver, time: Time) -> None:  # fmt: skip
    a_webhook(receiver.url, form="slack")
    a_release(scope, message=NASTY.replace("\x00", ""))
    run(time)

    text = receiver.got[0].json["text"]
    assert text.count("<") == 1  # our own link
    assert "&lt;!channel&gt;" in text
    assert "@all" not in text
    assert "\n" not in text


def test_the_address_of_slack_is_kept_sealed(scope: Scope, receiver: Receiver) -> None:
    webhook = a_webhook(receiver.url, form="slack")

    assert receiver.url not in json.dumps(list(Webhook.objects.values()), default=str)
    assert signatures.opened(webhook).current == receiver.url


def test_a_mail_has_the_sentence_the_facts_and_the_link(scope: Scope, mailbox: Mailbox, time: Time) -> None:  # fmt: skip
    a_webhook("ops@example.com, dev@example.com", form="email")
    a_release(scope, message="größer")

    assert run(time) == 1

    [mail] = mailbox.mails
    row = WebhookDelivery.objects.get()
    assert mailbox.recipients == [["ops@example.com", "dev@example.com"]]
    assert mail["From"] == "ConfHub <confhub@example.com>"
    assert (
        mail["Subject"].strip() == "[ConfHub] billing in prod: release 1 published by ann: größer"
    )
    assert mail["Message-ID"] == f"<{row.message_id}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_content()
    assert "release: 1" in body
    assert "/services/billing/prod/releases/1/" in body
    assert row.answer == "The mail server took it."


def test_no_header_can_be_slipped_in(scope: Scope, mailbox: Mailbox, time: Time) -> None:
    a_webhook("ops@example.com", form="email")
    a_release(scope, message=NASTY.replace("\x00", ""))
    run(time)

    [mail] = mailbox.mails
    assert mail["Bcc"] is None
    assert mailbox.recipients == [["ops@example.com"]]
    assert "Bcc: all@example.com" in mail["Subject"]
    assert "\nBcc" not in mail.get_content()


def test_an_address_with_a_line_break_is_a_failure_and_not_a_mail(scope: Scope, mailbox: Mailbox, time: Time) -> None:  # fmt: skip
    webhook = a_webhook("ops@example.com", form="email")
    Webhook.objects.update(to="ops@example.com\nBcc: all@example.com")  # as no action would write
    a_release(scope)

    assert run(time) == 0
    assert mailbox.mails == []
    assert webhook.deliveries.get().answer.startswith("It cannot be written as a mail")


def test_a_refused_recipient_is_named_and_tried_again(scope: Scope, mailbox: Mailbox, time: Time) -> None:  # fmt: skip
    mailbox.refused = {"gone@example.com"}
    a_webhook("gone@example.com", form="email")
    a_release(scope)

    assert run(time) == 0
    row = WebhookDelivery.objects.get()
    assert row.answer == "The mail server refused gone@example.com: 550 no such mailbox"
    mailbox.refused = set()
    time.pass_by(seconds=10)
    assert run(time) == 1


def test_without_a_mail_server_it_says_so(scope: Scope, time: Time, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    use_mail_server(settings, port)
    a_webhook("ops@example.com", form="email")
    a_release(scope)

    assert run(time) == 0
    assert "Connection refused" in WebhookDelivery.objects.get().answer


def test_a_mail_server_that_drips_ends_with_the_limit(
    scope: Scope, time: Time, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "LIMIT_S", 0.4)
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            while not over.wait(0.02):
                try:
                    client.sendall(b"2")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        use_mail_server(settings, server.getsockname()[1])
        a_webhook("ops@example.com", form="email")
        a_release(scope)
        arrived = run(time)
        over.set()
        dripping.join()

    assert arrived == 0
    assert "The mail server" in WebhookDelivery.objects.get().answer


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("smtp+tls://me:p%40ss@mail.example.com", ("mail.example.com", 587, "p@ss", True, None)),
        ("smtp+ssl://me:x@mail.example.com", ("mail.example.com", 465, "x", None, True)),
        ("smtp://mail.example.com:2525", ("mail.example.com", 2525, None, None, None)),
    ],
    ids=["starttls", "tls", "plain"],
)
def test_email_url_is_read(url: str, wanted: tuple[Any, ...]) -> None:
    held = env.mail(url)

    names = ("EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_PASSWORD", "EMAIL_USE_TLS", "EMAIL_USE_SSL")
    assert tuple(held.get(name) for name in names) == wanted
    assert held["EMAIL_BACKEND"] == f"{smtp.__name__}.{smtp.BoundedBackend.__name__}"


@pytest.mark.parametrize("url", ["mail.example.com", "http://x/", "smtp://u:canary@h:port"])
def test_an_email_url_that_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(env.ImproperlyConfigured, match="EMAIL_URL cannot be read") as caught:
        env.mail(url)

    assert "canary" not in str(caught.value)


# --- the page of the protocol ---------------------------------------------------------------------

EVENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "release.published": ("release.published", {"release": 1, "message": "m", "author": "a", "checksum": "c", "created_at": "t"}),
    "release.delayed": ("publication.delayed", {"release": 1, "error": "e"}),
    "instance.failed": ("instance.changed", {
        "id": "i", "name": "n", "host": "h", "pid": 1, "problems": ["p"],
        "receipt": {"state": "failed", "release": 1, "stage": "check", "reason": "r"}}),
    "approval.asked": ("request.changed", {"request": 1, "state": "open", "done": "asked", "by": "b"}),
    "approval.decided": ("request.changed", {"request": 1, "state": "rejected", "done": "rejected", "by": "b"}),
    "webhook.switched_off": ("webhook.switched_off", {"webhook": "w", "reason": "r", "service": None, "environment": None}),
}  # fmt: skip


def documented() -> dict[str, dict[str, Any]]:
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"### `([a-z._]+)`.*?```json\n(.*?)```", text, re.DOTALL)
    return {kind: json.loads(example) for kind, example in found}


def test_every_kind_is_documented_with_the_fields_that_it_has(scope: Scope) -> None:
    shown = documented()
    assert set(shown) == {kind for kind in PUBLIC if not kind.startswith("rollout.")} | {TEST}
    place = {"service": "billing", "environment": "prod"}
    for kind, (event, data) in EVENTS.items():
        told = told_of(event, data)
        assert told is not None
        body = payloads.document(told.kind, {**place, **told.facts}, at=NOON)
        assert body["type"] == kind == shown[kind]["type"]
        assert set(body["data"]) == set(shown[kind]["data"]), kind
        assert body["timestamp"] == stamp(NOON)
        assert "\n" not in payloads.sentence(body)


def test_the_delays_and_limits_of_the_page_are_those_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert "5 s, 30 s, 2 min, 10 min, 1 h, 5 h, 10 h, 14 h, 20 h, 24 h" in text
    assert forms.TIMEOUT_S == 15
    assert sending.HOLD.total_seconds() > max(forms.TIMEOUT_S, smtp.LIMIT_S) + smtp.STEP_S


def test_a_message_on_its_way_is_not_made_anew(scope: Scope, receiver: Receiver, time: Time, settings: Any) -> None:  # fmt: skip
    """What is signed is what was kept, whatever changes meanwhile."""
    a_webhook(receiver.url)
    a_release(scope)
    collect(time)
    settings.CONFHUB_PUBLIC_URL = "https://elsewhere.example"

    sending.send_due(time)

    assert receiver.got[0].json == WebhookDelivery.objects.get().body
    assert "elsewhere" not in receiver.got[0].json["data"]["url"]
