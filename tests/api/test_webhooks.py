"""Webhooks over REST: made, changed, tried, told, refused."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from confhub.access import actions as access
from confhub.access import grants
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.events.models import AuditEntry
from confhub.webhooks import sending
from confhub.webhooks.models import Webhook, WebhookDelivery
from confhub.webhooks.switching import switch_off
from tests.api.conftest import Caller, problem, untouched
from tests.parts.factories import ANN

TO = "https://hooks.example.com/confhub"


@pytest.fixture
def chat(api: Caller, checkout_prod: Scope) -> dict[str, Any]:
    answer = api.post("/webhooks", {"name": "chat", "to": TO})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def other(role: str, scope: Scope, *, everywhere: bool = False) -> Caller:
    """Somebody with this role for the scope's service."""
    person = access.make_person(f"a-{role}", password="a longer password", who=ANN, now=clock.now())
    service = None if everywhere else scope.service
    grants.grant(person, role, service=service, who=ANN, now=clock.now())
    access.set_token(person.username, token=f"the-token-of-{role}", user=person, now=clock.now())
    return Caller(token=f"the-token-of-{role}")


def test_it_is_made_and_its_secret_told_once(api: Caller, checkout_prod: Scope) -> None:
    answer = api.post(
        "/webhooks",
        {"name": "chat", "to": TO, "service": "checkout", "kinds": ["instance.failed", "release.published"]},
    )  # fmt: skip

    assert answer.status_code == 201
    assert answer["Location"] == "/api/v1/webhooks/chat"
    assert answer["Cache-Control"] == "no-store"
    made = answer.json()
    assert made.pop("secret").startswith("whsec_")
    assert made | {"made_at": ""} == {
        "name": "chat", "form": "standard", "to": TO, "service": "checkout", "environment": None,
        "kinds": ["release.published", "instance.failed"], "on": True, "off_because": "",
        "failing_since": None, "waiting": 0, "arrived_at": None, "made_by": "token:ann", "made_at": "",
    }  # fmt: skip
    assert api.get("/webhooks/chat").json() == made
    assert api.get("/webhooks").json() == {"items": [made], "next": None}


def test_the_address_of_slack_is_a_secret(api: Caller, checkout_prod: Scope) -> None:
    to = "https://hooks.slack.example/services/T0/B0/canary4711"
    made = api.post("/webhooks", {"name": "slack", "form": "slack", "to": to})

    assert made.status_code == 201
    assert made.json()["secret"] == ""
    assert made.json()["to"] == "https://hooks.slack.example/…4711"
    api.patch("/webhooks/slack", {"to": f"{to}canary"})
    rows = [list(model._default_manager.values()) for model in (Webhook, AuditEntry)]
    assert "T0/B0" not in json.dumps(rows, default=str)


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"name": "Chat"}, "name", "small letters"),
        ({"name": "-chat"}, "name", "small letters"),
        ({"name": "x" * 64}, "name", "small letters"),
        ({"form": "carrier-pigeon"}, "form", "standard, slack, email"),
        ({"kinds": ["release.deleted"]}, "kinds", "is not a kind"),
        ({"kinds": ["rollout.failed"]}, "kinds", "is not a kind"),
        ({"kinds": ["test"]}, "kinds", "is not a kind"),
        ({"to": "ftp://example.com/"}, "to", "https://host/path"),
        ({"to": "https://u:p@example.com/"}, "to", "name and password"),
        ({"to": "http://127.0.0.1:8000/"}, "to", "not a public address"),
        ({"to": "http://localhost/"}, "to", "CONFHUB_OUTGOING_ALLOW=localhost"),
        ({"to": "http://169.254.169.254/latest"}, "to", "not a public address"),
        ({"to": "http://[::ffff:10.0.0.1]/"}, "to", "not a public address"),
        ({"form": "email", "to": "a@example.com"}, "form", "EMAIL_URL"),
    ],
    ids=lambda each: each if isinstance(each, str) else json.dumps(each)[:40],
)
def test_what_cannot_be_is_named_and_nothing_is_written(
    api: Caller, checkout_prod: Scope, body: dict[str, Any], field: str, says: str
) -> None:
    with untouched():
        answer = api.post("/webhooks", {"name": "chat", "to": TO} | body)

    document = problem(answer, 422, "webhook.bad")
    assert says in document["fields"][field]


def test_mail_addresses_are_checked(api: Caller, checkout_prod: Scope, settings: Any) -> None:
    settings.EMAIL_URL = "smtp://mail.example.com"
    with untouched():
        for to in ("", "a@example.com, b", "a@example.com\r\nBcc: b@example.com", "a@b", ", ".join(["a@example.com"] * 21)):  # fmt: skip
            answer = api.post("/webhooks", {"name": "mail", "form": "email", "to": to})
            assert "to" in problem(answer, 422, "webhook.bad")["fields"]

    made = api.post("/webhooks", {"name": "mail", "form": "email", "to": " a@example.com,b@example.com "})  # fmt: skip
    assert made.json()["to"] == "a@example.com, b@example.com"


def test_a_name_is_there_once(api: Caller, chat: dict[str, Any]) -> None:
    with untouched():
        problem(api.post("/webhooks", {"name": "chat", "to": TO}), 409, "webhook.taken")


def test_it_is_changed(api: Caller, chat: dict[str, Any]) -> None:
    answer = api.patch(
        "/webhooks/chat", {"to": f"{TO}/2", "kinds": ["approval.asked"], "on": False}
    )

    assert (answer.json()["to"], answer.json()["kinds"], answer.json()["on"]) == (f"{TO}/2", ["approval.asked"], False)  # fmt: skip
    with untouched():
        problem(api.patch("/webhooks/chat", {"to": "http://10.0.0.1/"}), 422, "webhook.bad")
        problem(api.patch("/webhooks/chat", {"name": "x"}), 422, "request.bad")
    assert api.patch("/webhooks/chat", {"kinds": [], "on": True}).json()["kinds"] == []
    assert AuditEntry.objects.filter(action="webhook.changed").count() == 2


def test_a_new_secret_is_another_one(api: Caller, chat: dict[str, Any]) -> None:
    answer = api.post("/webhooks/chat/secret")

    assert answer.json()["secret"].startswith("whsec_")
    assert answer.json()["secret"] != chat["secret"]
    assert answer["Cache-Control"] == "no-store"


def test_what_is_not_signed_has_no_secret(api: Caller, checkout_prod: Scope) -> None:
    api.post("/webhooks", {"name": "slack", "form": "slack", "to": TO})
    with untouched():
        problem(api.post("/webhooks/slack/secret"), 409, "webhook.unsigned")


def test_it_is_tried_and_its_deliveries_are_listed(api: Caller, chat: dict[str, Any]) -> None:
    made = [api.post("/webhooks/chat/test") for _ in range(3)]

    assert {answer.status_code for answer in made} == {202}
    first = api.get("/webhooks/chat/deliveries?limit=2").json()
    rest = api.get(f"/webhooks/chat/deliveries?limit=2&after={first['next']}").json()
    listed = [each["id"] for each in first["items"] + rest["items"]]
    assert listed == [answer.json()["id"] for answer in reversed(made)]
    assert rest["next"] is None
    assert first["items"][0]["body"]["data"]["by"] == "token:ann"
    assert api.get("/webhooks/chat").json()["waiting"] == 3


def test_a_delivery_is_sent_again(api: Caller, chat: dict[str, Any]) -> None:
    made = api.post("/webhooks/chat/test").json()
    WebhookDelivery.objects.update(state="given_up", tries=1)

    answer = api.post(f"/webhooks/chat/deliveries/{made['id']}/redeliver")

    assert answer.status_code == 202
    assert (answer.json()["id"], answer.json()["state"]) == (made["id"], "waiting")
    with untouched():
        problem(api.post("/webhooks/chat/deliveries/msg_0/redeliver"), 404, "not_found")


def test_nothing_is_sent_again_to_one_that_is_off(
    api: Caller, chat: dict[str, Any], publish: Any
) -> None:
    row = Webhook.objects.get()
    made = WebhookDelivery.objects.create(
        webhook=row, position=1, kind="release.published", message_id="msg_1", body={},
        state="given_up", next_try_at=clock.now(), made_at=clock.now(),
    )  # fmt: skip
    switch_off(row.pk, "because", now=clock.now())
    assert api.get("/webhooks/chat").json()["off_because"] == "because"

    with untouched():
        problem(api.post("/webhooks/chat/deliveries/msg_1/redeliver"), 409, "webhook.off")
    made.refresh_from_db()
    assert made.state == "given_up"


def test_removed_it_takes_its_deliveries_along(api: Caller, chat: dict[str, Any]) -> None:
    api.post("/webhooks/chat/test")

    assert api.delete("/webhooks/chat").status_code == 204
    assert not WebhookDelivery.objects.exists()
    problem(api.delete("/webhooks/chat"), 404, "not_found")
    assert AuditEntry.objects.get(action="webhook.removed").target == "webhook chat"


def test_only_its_place_s_admins_may(api: Caller, checkout_prod: Scope, ann: User) -> None:
    api.post("/webhooks", {"name": "of-checkout", "to": TO, "service": "checkout"})
    api.post("/webhooks", {"name": "of-all", "to": TO})
    admin, publisher = other("admin", checkout_prod), other("publisher", checkout_prod)

    assert [each["name"] for each in admin.get("/webhooks").json()["items"]] == ["of-checkout"]
    assert admin.get("/webhooks/of-checkout").status_code == 200
    assert publisher.get("/webhooks").json()["items"] == []
    with untouched():
        for caller, name in ((publisher, "of-checkout"), (publisher, "of-all"), (admin, "of-all")):
            problem(caller.patch(f"/webhooks/{name}", {"on": False}), 403, "not_allowed")
            problem(caller.post(f"/webhooks/{name}/secret"), 403, "not_allowed")
        problem(admin.post("/webhooks", {"name": "new", "to": TO}), 403, "not_allowed")
        problem(publisher.post("/webhooks", {"name": "new", "to": TO, "service": "checkout"}), 403, "not_allowed")  # fmt: skip
    assert admin.post("/webhooks", {"name": "new", "to": TO, "service": "checkout"}).status_code == 201  # fmt: skip


def test_a_dry_run_tells_and_keeps_nothing(api: Caller, chat: dict[str, Any]) -> None:
    with untouched():
        made = api.post("/webhooks?dry_run=1", {"name": "new", "to": TO}).json()
        changed = api.patch("/webhooks/chat?dry_run=1", {"on": False}).json()
        tried = api.post("/webhooks/chat/test?dry_run=1").json()

    assert (made["status"], made["answer"]["secret"]) == (201, None)
    assert [each["key"] for each in changed["changes"][0]["changes"]] == ["on"]
    assert tried["status"] == 202
    assert not WebhookDelivery.objects.exists()
    assert sending.send_due(clock.now) == 0


def test_a_webhook_goes_with_its_service(who: Actor, api: Caller, checkout_prod: Scope) -> None:
    api.post("/services", {"slug": "mistake"})
    api.post("/webhooks", {"name": "chat", "to": TO, "service": "mistake"})

    assert api.delete("/services/mistake").status_code == 204
    assert not Webhook.objects.exists()


def test_without_a_master_key_none_is_made(
    api: Caller, checkout_prod: Scope, settings: Any
) -> None:
    settings.CONFHUB_MASTER_KEYS = ""
    with untouched():
        problem(api.post("/webhooks", {"name": "chat", "to": TO}), 409, "secrets.no_master_key")
