"""Webhooks on pages, without scripts."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from confhub.access import actions as access
from confhub.access import grants
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.events.models import AuditEntry
from confhub.webhooks import actions
from confhub.webhooks.models import Webhook, WebhookDelivery
from confhub.webhooks.switching import switch_off
from tests.parts import factories
from tests.parts.factories import ANN, NOON

TO = "https://hooks.example.com/confhub"
LIMIT = 16  # queries


@pytest.fixture
def chat(admin: Client, scope: Scope) -> Webhook:
    return actions.make_webhook("chat", to=TO, who=ANN, now=NOON).webhook


def said(answer: Any) -> str:
    """The text of a page without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def rows() -> list[Any]:
    models = (Webhook, WebhookDelivery, AuditEntry)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def a_delivery(webhook: Webhook, scope: Scope | None, number: int, **facts: Any) -> WebhookDelivery:
    held = {
        "position": number, "kind": "release.published", "message_id": f"msg_{number}",
        "body": {"type": "release.published"}, "next_try_at": NOON, "made_at": NOON,
    }  # fmt: skip
    return WebhookDelivery.objects.create(webhook=webhook, scope=scope, **{**held, **facts})


def member(role: str, scope: Scope | None) -> Client:
    person = access.make_person(f"a-{role}", password="a longer password", who=ANN, now=NOON)
    place = {"service": scope.service} if scope else {}
    grants.grant(person, role, who=ANN, now=NOON, **place)
    client = Client()
    client.force_login(User.objects.get(pk=person.pk))
    return client


def test_one_is_made_and_its_secret_shown_once(admin: Client, scope: Scope) -> None:
    assert "No webhook" in said(admin.get("/webhooks/"))

    made = admin.post(
        "/webhooks/",
        {"name": "chat", "form": "standard", "to": TO, "service": "billing", "environment": "dev",
         "kinds": ["release.published", "instance.failed"]},
    )  # fmt: skip

    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", made.content.decode())
    assert secret is not None
    assert "shown only now" in said(made)
    assert made["Cache-Control"] == "private, no-store"
    assert "whsec_" not in admin.get("/webhooks/chat/").content.decode()
    row = Webhook.objects.get()
    assert (row.kinds, str(row.service), str(row.environment)) == (["release.published", "instance.failed"], "billing", "dev")  # fmt: skip
    listed = said(admin.get("/webhooks/"))
    assert "chat on JSON, signed (Standard Webhooks) https://hooks.example.com/confhub for billing@dev never" in listed  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"name": "A B"}, "small letters"),
        ({"name": ""}, "required"),
        ({"name": "chat"}, "taken"),
        ({"to": "http://169.254.169.254/"}, "not a public address"),
        ({"to": ""}, "required"),
        ({"kinds": ["release.deleted"]}, "valid choice"),
        ({"form": "pigeon"}, "valid choice"),
        ({"form": "email", "to": "a@example.com"}, "EMAIL_URL"),
        ({"service": "nope"}, "valid choice"),
    ],
    ids=lambda each: each if isinstance(each, str) else "".join(each),
)
def test_bad_input_is_named_and_changes_nothing(
    admin: Client, chat: Webhook, sent: dict[str, Any], says: str
) -> None:
    before = rows()

    answer = admin.post("/webhooks/", {"name": "new", "form": "standard", "to": TO} | sent)

    assert answer.status_code == 422
    assert says in said(answer)
    assert rows() == before


def test_it_is_changed_switched_and_given_another_secret(admin: Client, chat: Webhook) -> None:
    changed = admin.post("/webhooks/chat/", {"to": f"{TO}/2", "kinds": ["approval.asked"]})
    assert changed["Location"] == "/webhooks/chat/"
    admin.post("/webhooks/chat/switch/", {"on": "no"})
    page = said(admin.get("/webhooks/chat/"))
    assert "switched off" in page
    assert "Somebody asks others to approve a publish approval.asked" in page

    admin.post("/webhooks/chat/switch/", {"on": "yes"})
    fresh = admin.post("/webhooks/chat/secret/")

    chat.refresh_from_db()
    assert (chat.to, chat.kinds, chat.is_on) == (f"{TO}/2", ["approval.asked"], True)
    assert "whsec_" in fresh.content.decode()
    assert "The one before signs beside it for 24 hours." in said(fresh)
    before = rows()
    assert "incomplete" in said(admin.post("/webhooks/chat/switch/", {"on": "perhaps"}, follow=True))  # fmt: skip
    refused = admin.post("/webhooks/chat/", {"to": "http://10.0.0.1/"})
    assert (refused.status_code, "not a public address" in said(refused)) == (422, True)
    assert rows() == before


def test_deliveries_are_told_in_words(admin: Client, chat: Webhook, scope: Scope) -> None:
    soon = clock.now()
    a_delivery(chat, scope, 1, state="sent", tries=1, status=200, answer="ok", sent_at=soon)
    a_delivery(chat, scope, 2, state="given_up", tries=11, status=500, answer="<b>broken</b>")
    a_delivery(chat, scope, 3, tries=2, status=503, answer="busy")
    a_delivery(chat, scope, 4)
    a_delivery(chat, None, 5)

    answer = admin.get("/webhooks/chat/")
    page = said(answer)

    assert "3 wait" in page
    for words in (
        "arrived", "given up 500 &lt;b&gt;broken&lt;/b&gt; (11 tries)",
        "failed so far next try 2026-11-24 12:00:00 UTC 503 busy (2 tries)",
        "waits for an earlier one of billing@dev", "on its way",
    ):  # fmt: skip
        assert words in page
    one = said(admin.get("/webhooks/chat/deliveries/msg_2/"))
    assert "msg_2" in one
    assert "&quot;release.published&quot;" in one


def test_a_test_is_sent_and_a_delivery_sent_again(admin: Client, chat: Webhook, scope: Scope) -> None:  # fmt: skip
    assert "A test is on its way" in said(admin.post("/webhooks/chat/test/", follow=True))
    a_delivery(chat, scope, 1, state="given_up", tries=11)

    answer = admin.post("/webhooks/chat/deliveries/msg_1/redeliver/", follow=True)

    assert "It is sent again, with the same id." in said(answer)
    assert WebhookDelivery.objects.get(message_id="msg_1").state == "waiting"
    chat.is_on = False
    chat.save(update_fields=["is_on"])
    before = rows()
    refused = admin.post("/webhooks/chat/deliveries/msg_1/redeliver/", follow=True)
    assert "Switch it on first" in said(refused)
    assert rows() == before
    assert admin.post("/webhooks/chat/deliveries/msg_9/redeliver/").status_code == 404


def test_it_is_removed_after_a_question(admin: Client, chat: Webhook, scope: Scope) -> None:
    a_delivery(chat, scope, 1)
    assert "1 that waits is never sent" in said(admin.get("/webhooks/chat/remove/"))
    assert Webhook.objects.exists()

    answer = admin.post("/webhooks/chat/remove/", follow=True)

    assert "chat is removed." in said(answer)
    assert not Webhook.objects.exists()


def test_every_page_about_programs_says_what_was_switched_off(
    admin: Client, chat: Webhook, scope: Scope
) -> None:
    switch_off(chat.pk, "Nothing arrived since then.", now=NOON)

    for path in ("/webhooks/", "/webhooks/chat/", "/tokens/"):
        page = said(admin.get(path))
        assert "The webhook chat is switched off. Nothing arrived since then." in page, path
    assert "The webhook" not in said(member("publisher", scope).get("/webhooks/"))

    admin.post("/webhooks/chat/switch/", {"on": "no"})  # "I know"
    assert "The webhook chat" not in said(admin.get("/tokens/"))
    admin.post("/webhooks/chat/switch/", {"on": "yes"})
    chat.refresh_from_db()
    assert (chat.is_on, chat.off_because) == (True, "")


def test_who_administers_nothing_sees_no_form_and_no_other_s_webhook(
    admin: Client, chat: Webhook, scope: Scope
) -> None:
    publisher, owner = member("publisher", scope), member("admin", scope)
    before = rows()

    page = said(publisher.get("/webhooks/"))
    assert "Make webhook" not in page
    assert "Whoever is admin of a place makes webhooks for it." in page
    assert publisher.get("/webhooks/chat/").status_code == 403
    assert owner.get("/webhooks/chat/").status_code == 403
    assert owner.post("/webhooks/", {"name": "new", "form": "standard", "to": TO}).status_code == 403  # fmt: skip
    assert rows() == before
    made = owner.post("/webhooks/", {"name": "new", "form": "standard", "to": TO, "service": "billing"})  # fmt: skip
    assert made.status_code == 200
    assert "/webhooks/chat/" not in owner.get("/webhooks/").content.decode()


def test_a_long_list_is_drawn_in_parts(admin: Client, chat: Webhook, scope: Scope) -> None:
    for number in range(1, 61):
        a_delivery(chat, scope, number, state="sent", sent_at=NOON, tries=1)

    first = admin.get("/webhooks/chat/")
    older = re.search(r'href="(/webhooks/chat/\?before=\d+)"', first.content.decode())

    assert older is not None
    assert "msg_11" in first.content.decode()
    assert "msg_10/" not in first.content.decode()
    assert "msg_10/" in admin.get(older[1]).content.decode()
    assert admin.get("/webhooks/chat/?before=x").status_code == 200


def test_queries_do_not_grow_with_the_rows(
    admin: Client,
    chat: Webhook,
    scope: Scope,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(1, 31):
        a_delivery(chat, scope if number % 2 else factories.a_scope(f"s{number}", "dev"), number)
        actions.make_webhook(f"chat-{number}", to=TO, who=ANN, now=NOON)

    with django_assert_max_num_queries(LIMIT):
        admin.get("/webhooks/chat/")
    with django_assert_max_num_queries(LIMIT):
        admin.get("/webhooks/")
