"""Secrets on pages: drawn as masks, set blindly, revealed once."""

from typing import Any

import pytest
from django.test import Client

from confhub.access import layers as doors
from confhub.access.models import Grant
from confhub.access.queries import actor_of_user
from confhub.catalog.models import Scope
from confhub.events.models import AuditEntry
from confhub.publishing import actions as publishing
from confhub.releases import actions as releases
from confhub.releases import revealing
from confhub.releases.queries import draft_of, head_of
from confhub.releases.schemas import save_schema
from tests.parts import factories
from tests.parts.factories import ANN, NOON

CANARY = "s3cret/canary+value"
BASE = "/services/billing/dev/"
KEY, REVEAL = f"{BASE}config/key/", f"{BASE}config/reveal/"


def reveals() -> int:
    return AuditEntry.objects.filter(action="secret.revealed").count()


@pytest.fixture
def secret(scope: Scope) -> str:
    """PW published as r3; its fingerprint."""
    publishing.publish_changes(
        scope, set={"PW": {"$secret": CANARY}}, unset=(), message="m", who=ANN, now=NOON
    )
    head = head_of(scope)
    assert head is not None
    return str(head.entries["PW"]["fingerprint"])


def save(client: Client, scope: Scope, query: str = "", **form: Any) -> Any:
    held = {"key": "PW", "kind": "secret", "value": "x", "version": draft_of(scope).version}
    return client.post(f"{KEY}{query}", {**held, **form})


@pytest.mark.parametrize("path", ["config/", "config/key/?key=PW", "releases/3/"])
def test_a_secret_is_drawn_as_its_mask(admin: Client, secret: str, path: str) -> None:
    page = admin.get(f"{BASE}{path}").content.decode()

    assert f"version 1, fingerprint {secret}" in page
    assert CANARY not in page
    assert "ciphertext" not in page


def test_the_key_page_takes_a_new_value_blindly(admin: Client, scope: Scope, secret: str) -> None:
    page = admin.get(f"{KEY}?key=PW").content.decode()

    assert '<input type="password" name="value"' in page
    assert "textarea" not in page
    answer = save(admin, scope, value=f"new {CANARY}")
    assert answer.status_code == 302
    assert revealing.reveal(scope, "PW", reason="", who=ANN, now=NOON).value == f"new {CANARY}"
    review = admin.get(f"{BASE}review/").content.decode()
    assert secret in review
    assert CANARY not in review


def test_left_empty_a_secret_stays_as_it_is(admin: Client, scope: Scope, secret: str) -> None:
    answer = save(admin, scope, value="")

    assert answer.status_code == 422
    assert "the secret stays as it is" in answer.content.decode()
    assert draft_of(scope).changes == []


def test_several_lines_keep_their_ends_and_are_not_drawn_again(
    admin: Client, scope: Scope, secret: str
) -> None:
    key_file = f"-----BEGIN-----\r\n{CANARY}\r\n-----END-----\r\n"
    drawn = admin.get(f"{KEY}?key=PW&lines=1").content.decode()
    refused = save(admin, scope, query="?lines=1", value=key_file, version="")

    assert "<textarea" in drawn
    assert refused.status_code == 422
    assert CANARY not in refused.content.decode()
    assert save(admin, scope, query="?lines=1", value=key_file).status_code == 302
    found = revealing.reveal(scope, "PW", reason="", who=ANN, now=NOON).value
    assert found == key_file.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "form",
    [
        {"value": f"(secret 3f2a9c1b, kept) {CANARY}"},
        {"value": "••••••"},
        {"kind": "number", "value": CANARY},
        {"kind": "json", "value": f'{{"$secret": true, "fingerprint": "{CANARY}"}}'},
    ],
    ids=str,
)
def test_a_refused_value_is_not_sent_back(
    admin: Client, scope: Scope, secret: str, form: dict[str, str]
) -> None:
    answer = save(admin, scope, **form)

    assert answer.status_code == 422
    assert "error" in answer.content.decode()
    assert CANARY not in answer.content.decode()
    assert draft_of(scope).changes == []


def test_a_conflict_shows_masks_and_no_value(admin: Client, scope: Scope, secret: str) -> None:
    seen = draft_of(scope).version
    releases.change_draft(
        scope, set={"PW": {"$secret": f"theirs {CANARY}"}}, expected=seen, who=ANN, now=NOON
    )

    answer = save(admin, scope, value=f"mine {CANARY}", version=seen)

    assert answer.status_code == 412
    assert "ann changed PW" in answer.content.decode()
    assert CANARY not in answer.content.decode()


def test_a_key_that_the_schema_calls_secret_is_asked_for_blindly(
    admin: Client, scope: Scope
) -> None:
    schema = {"type": "object", "properties": {"TOKEN": {"type": "string", "secret": True}}}
    save_schema(scope.service, schema, message="", expected_number=None, who=ANN, now=NOON)

    page = admin.get(f"{KEY}?key=TOKEN").content.decode()
    save(admin, scope, key="TOKEN", kind="string", value=CANARY)

    assert '<input type="password" name="value"' in page
    assert draft_of(scope).changes[0].entry["secret"] is True


def test_a_reveal_shows_the_value_once_and_is_never_kept(admin: Client, secret: str) -> None:
    asked = admin.get(f"{REVEAL}?key=PW")
    shown = admin.post(REVEAL, {"key": "PW", "reason": "look"})
    again = admin.get(f"{REVEAL}?key=PW")

    assert CANARY in shown.content.decode()
    assert CANARY not in asked.content.decode() + again.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert shown["Refresh"] == f"60; url={KEY}?key=PW"
    assert "Refresh" not in asked
    assert [entry.data["reason"] for entry in AuditEntry.objects.filter(action="secret.revealed")] == ["look"]  # fmt: skip


def test_where_it_is_protected_a_reason_is_needed(admin: Client, protected: Scope) -> None:
    path = "/services/billing/prod/config/reveal/"
    releases.change_draft(
        protected, set={"PW": {"$secret": CANARY}}, expected=None, who=ANN, now=NOON
    )

    refused = admin.post(path, {"key": "PW", "reason": " "})

    assert refused.status_code == 422
    assert "Say why" in refused.content.decode()
    assert CANARY not in refused.content.decode()
    assert reveals() == 0
    assert CANARY in admin.post(path, {"key": "PW", "reason": "an incident"}).content.decode()


def test_a_layers_secret_has_the_same_pages(admin: Client, db: None) -> None:
    layer = doors.layer_for(ANN, "edit", "global")
    releases.change_draft(layer, set={"PW": {"$secret": CANARY}}, expected=None, who=ANN, now=NOON)

    drawn = admin.get("/layers/global/key/?key=PW").content.decode()
    shown = admin.post("/layers/global/reveal/", {"key": "PW", "reason": "look"})

    assert "/layers/global/reveal/?key=PW" in drawn
    assert CANARY not in drawn + admin.get("/layers/global/").content.decode()
    assert CANARY in shown.content.decode()
    assert reveals() == 1


def test_who_may_not_reveal_sees_no_button_that_works(
    client: Client, scope: Scope, secret: str
) -> None:
    mia = factories.a_person("mia")
    mia.is_superuser = False
    mia.save(update_fields=["is_superuser"])
    Grant.objects.filter(user=mia).delete()
    Grant.objects.create(user=mia, role="editor", made_by="ann", made_at=NOON)
    client.force_login(mia)
    assert not any(grant.role == "publisher" for grant in actor_of_user(mia).grants)

    page = client.get(f"{REVEAL}?key=PW").content.decode()
    refused = client.post(REVEAL, {"key": "PW", "reason": "please"})

    assert "disabled" in page
    assert refused.status_code == 403
    assert CANARY not in page + refused.content.decode()
    assert reveals() == 0


def test_nothing_else_is_revealed(admin: Client, secret: str) -> None:
    for key, status, says in (("POOL", 422, "no secret"), ("NONE", 404, "No such key")):
        refused = admin.post(REVEAL, {"key": key, "reason": "look"})
        assert refused.status_code == status
        assert says in refused.content.decode()
    assert admin.post(REVEAL, {"key": "PW", "release": 99}).status_code == 404
    assert reveals() == 0
