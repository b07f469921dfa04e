"""One key edited on its own page: what the editor does, without scripts."""

from typing import Any

import pytest
from django.test import Client

from confhub.catalog.models import Scope
from confhub.releases.queries import draft_of
from tests.parts import factories

ADDRESS = "/services/billing/dev/config/key/"


def send(client: Client, scope: Scope, **form: Any) -> Any:
    held = {"key": "POOL", "kind": "number", "value": "30", "version": draft_of(scope).version}
    return client.post(ADDRESS, {**held, **form})


def test_a_value_is_saved_to_the_draft(admin: Client, scope: Scope) -> None:
    answer = send(admin, scope)

    assert answer["Location"] == "/services/billing/dev/config/"
    assert draft_of(scope).set == {"POOL": 30}


def test_a_file_keeps_its_lines(admin: Client, scope: Scope) -> None:
    send(admin, scope, key="nginx.conf", kind="string", value="\r\nserver {\r\n}\r\n")

    assert draft_of(scope).set == {"nginx.conf": "\nserver {\n}\n"}


def test_a_key_is_removed_and_the_removal_undone(admin: Client, scope: Scope) -> None:
    send(admin, scope, act="remove")
    assert draft_of(scope).unset == ["POOL"]

    send(admin, scope, act="undo")

    assert draft_of(scope).changes == []


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"value": "many"}, "is not a number"),
        ({"key": "1BAD"}, "is not a key"),
        ({"kind": "json", "value": "{"}, "This is not JSON"),
        ({"kind": "string", "value": "x" * 300_000}, "at most"),
        ({"version": ""}, ""),
    ],
)
def test_what_cannot_be_saved_stays_typed_and_says_why(
    form: dict[str, str], says: str, admin: Client, scope: Scope
) -> None:
    before = draft_of(scope)

    answer = send(admin, scope, **form)

    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert form.get("value", "30")[:50] in answer.content.decode()
    assert draft_of(scope) == before


def test_a_value_that_somebody_changed_meanwhile_is_shown_beside_ones_own(
    admin: Client, scope: Scope
) -> None:
    seen = draft_of(scope).version
    factories.releases.change_draft(
        scope, set={"POOL": 77}, expected=None, who=factories.BEN, now=factories.NOON
    )

    refused = send(admin, scope, version=seen)
    text = refused.content.decode()

    assert refused.status_code == 412
    assert "ben changed POOL" in text
    assert "77" in text
    assert ">\n30</textarea>" in text
    assert draft_of(scope).set == {"POOL": 77}
    send(admin, scope, version=draft_of(scope).version)
    assert draft_of(scope).set == {"POOL": 30}
