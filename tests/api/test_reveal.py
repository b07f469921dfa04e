"""Secrets over REST: set, answered as masks, revealed once to who may."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from confhub.access import actions as access
from confhub.access import grants
from confhub.access.models import Grant
from confhub.core import clock
from confhub.core.actors import SYSTEM
from confhub.events.models import AuditEntry
from tests.api.conftest import PROD, Caller

CANARY = "s3cret/canary+value"
SECRET = {"PW": {"$secret": CANARY}}


def reveals() -> int:
    return AuditEntry.objects.filter(action="secret.revealed").count()


def is_mask(value: Any) -> bool:
    return value.keys() == {"$secret", "fingerprint", "version"} and value["$secret"] is True


@pytest.fixture
def released(api: Caller, publish: Callable[..., int]) -> int:
    publish(A=1)
    answer = api.post(f"{PROD}/releases", {"message": "m", "set": SECRET})
    assert answer.status_code == 201, answer.content
    return int(answer.json()["release"])


def test_a_secret_is_answered_as_its_mask_everywhere(api: Caller, released: int) -> None:
    api.patch(f"{PROD}/draft", {"set": {"PW": {"$secret": f"new {CANARY}"}}}, If_Match="*")

    draft = api.get(f"{PROD}/draft").json()
    entry = api.get(f"{PROD}/releases/{released}").json()["entries"]["PW"]
    config = {"PW": {"$secret": entry.pop("secret"), **entry}}
    diff = api.get(f"{PROD}/releases/{released}/diff").json()

    assert is_mask(draft["set"]["PW"])
    assert is_mask(config["PW"])
    assert draft["set"]["PW"]["fingerprint"] != config["PW"]["fingerprint"]
    assert is_mask(diff["changes"][0]["new"])
    kept = api.patch(f"{PROD}/draft", {"set": {"PW": config["PW"]}}, If_Match="*").json()
    assert kept["changes"] == []


def test_its_value_is_in_the_answer_to_a_reveal_alone_which_is_not_to_be_kept(
    api: Caller, released: int
) -> None:
    answer = api.post(f"{PROD}/reveal", {"key": "PW", "reason": "look", "release": released})

    mask = api.get(f"{PROD}/releases/{released}").json()["entries"]["PW"]
    assert answer.json() == {
        "key": "PW", "value": CANARY, "version": 1, "fingerprint": mask["fingerprint"]
    }  # fmt: skip
    assert answer["Cache-Control"] == "no-store"
    [entry] = AuditEntry.objects.filter(action="secret.revealed")
    assert (entry.target, entry.data["reason"]) == ("checkout@prod", "look")
    assert entry.request_id
    assert CANARY not in json.dumps(entry.data)


def test_a_layers_secret_is_set_and_revealed_as_a_scopes_is(api: Caller, released: int) -> None:
    for path in ("/layers/global", "/layers/services/checkout"):
        api.patch(f"{path}/draft", {"set": {"SHARED": {"$secret": path}}}, If_Match="*")
        said = api.get(f"{path}/draft")
        assert is_mask(said.json()["set"]["SHARED"])
        answer = api.post(f"{path}/reveal", {"key": "SHARED", "reason": "why"})
        assert (answer.status_code, answer.json()["value"]) == (200, path)
        assert answer["Cache-Control"] == "no-store"
    assert reveals() == 2


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"key": "A", "reason": "r"}, 422, "is no secret"),
        ({"key": "NONE", "reason": "r"}, 404, "has no key NONE"),
        ({"key": "PW", "reason": "r", "release": 99}, 404, "has no release 99"),
        ({"key": "PW", "reason": "x" * 2001}, 422, "at most 2,000"),
        ({"reason": "r"}, 422, "key"),
        ({"key": "PW", "why": "r"}, 422, "why"),
    ],
)
def test_what_cannot_be_revealed_says_why_and_leaves_no_trace(
    api: Caller, released: int, body: dict[str, Any], status: int, says: str
) -> None:
    answer = api.post(f"{PROD}/reveal", body)

    assert answer.status_code == status, answer.content
    assert says in answer.content.decode()
    assert CANARY not in answer.content.decode()
    assert reveals() == 0


def test_a_protected_environment_asks_for_a_reason(api: Caller, released: int) -> None:
    refused = api.post(f"{PROD}/reveal", {"key": "PW"})

    assert refused.status_code == 422
    assert "reason" in refused.json()["fields"]
    assert reveals() == 0
    dev = PROD.replace("prod", "dev")
    api.patch(f"{dev}/draft", {"set": SECRET}, If_Match="*")
    assert api.post(f"{dev}/reveal", {"key": "PW"}).status_code == 200
    assert api.post(f"{PROD}/reveal", {"key": "PW", "reason": "an incident"}).status_code == 200


def test_who_may_edit_may_not_reveal(api: Caller, released: int) -> None:
    person = access.ensure_person("mia", password="a-password-of-mia", now=clock.now())
    access.set_token("mia", token="m" * 40, user=person, now=clock.now())
    person.is_superuser = False
    person.save(update_fields=["is_superuser"])
    Grant.objects.filter(user=person).delete()
    grants.grant(person, "editor", who=SYSTEM, now=clock.now())
    mia = Caller("m" * 40)

    assert mia.patch(f"{PROD}/draft", {"set": SECRET}, If_Match="*").status_code == 200
    for path in (PROD, "/layers/global"):
        refused = mia.post(f"{path}/reveal", {"key": "PW", "reason": "please"})
        assert refused.status_code == 403
        assert CANARY not in refused.content.decode()
    assert Caller(None).post(f"{PROD}/reveal", {"key": "PW"}).status_code == 401
    assert reveals() == 0


@pytest.mark.parametrize(
    "sent",
    [
        {"$secret": True},
        {"$secret": True, "fingerprint": "000000000000", "version": 1},
        "(secret 3f2a9c1b, kept)",
        {"deep": {"$secret": CANARY}},
    ],
    ids=str,
)
def test_a_mask_that_is_not_this_keys_is_refused(api: Caller, released: int, sent: Any) -> None:
    before = api.get(f"{PROD}/draft").json()

    draft = api.patch(f"{PROD}/draft", {"set": {"PW": sent}}, If_Match="*")
    release = api.post(f"{PROD}/releases", {"message": "m", "set": {"PW": sent}})

    for answer in (draft, release):
        assert answer.status_code == 422
        assert "PW" in answer.json()["fields"]
        assert CANARY not in answer.content.decode()
    assert api.get(f"{PROD}/draft").json() == before
    assert api.get(f"{PROD}/releases").json()["items"][0]["release"] == released


def test_without_a_master_key_a_secret_is_refused_with_the_way_out(
    api: Caller, publish: Callable[..., int], settings: Any
) -> None:
    settings.CONFHUB_MASTER_KEYS = ""
    publish(A=1)

    refused = api.patch(f"{PROD}/draft", {"set": SECRET}, If_Match="*")

    assert (refused.status_code, refused.json()["code"]) == (409, "secrets.no_master_key")
    assert "manage.py new_master_key" in refused.json()["detail"]
    assert CANARY not in refused.content.decode()
    assert api.get(f"{PROD}/draft").json()["changes"] == []
