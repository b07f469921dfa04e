"""Import and export over REST: a dry run, then the change against what it showed."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from confhub.access import actions as access
from confhub.access import grants
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.events.models import AuditEntry
from tests.api.conftest import PROD, Caller, problem, untouched

IMPORT = f"{PROD}/draft/import"
DRY = f"{IMPORT}?dry_run=1"
CANARY = "canary-9c44"
SECRET = f"apiVersion: v1\nkind: Secret\nstringData: {{TOKEN: {CANARY}}}\n"


def test_a_dry_run_answers_everything_and_writes_nothing(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(POOL=10, HOST="db", KEEP=1)
    with untouched():
        answer = api.post(DRY, {"text": "POOL=20\nHOST=db\n1ST=x\nURL=${NONE}\n"})

    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert found.pop("problems").keys() == {"URL"}
    assert found == {
        "source": "env", "dry_run": True, "version": 1,
        "changes": [
            {"key": "POOL", "kind": "changed", "old": 10, "new": 20},
            {"key": "URL", "kind": "added", "old": None, "new": "${NONE}"},
            {"key": "_1ST", "kind": "added", "old": None, "new": "x"},
        ],
        "same": ["HOST"], "left": ["KEEP"], "skipped": [],
        "renamed": [{"name": "1ST", "key": "_1ST"}], "notes": [],
    }  # fmt: skip
    assert answer["ETag"] == '"1"'


def test_the_change_is_made_against_the_dry_run(api: Caller, publish: Callable[..., int]) -> None:
    publish(POOL=10, OLD=1)
    body = {"text": "POOL: 20\nNEW: {a: 1}\n", "source": "yaml", "replace": True, "flatten": True}
    tag = api.post(DRY, body)["ETag"]

    answer = api.post(IMPORT, body, If_Match=tag)

    assert answer.status_code == 200, answer.content
    draft = api.get(f"{PROD}/draft")
    assert (draft.json()["set"], draft.json()["unset"]) == ({"POOL": 20, "NEW.a": 1}, ["OLD"])
    assert answer["ETag"] == draft["ETag"]
    assert answer.json()["version"] == draft.json()["version"]
    assert answer.json()["dry_run"] is False
    audited = AuditEntry.objects.get(action="draft.imported")
    assert audited.data == {"source": "yaml", "set": 2, "unset": ["OLD"], "skipped": 0}


def test_a_draft_that_moved_meanwhile_is_412(api: Caller, publish: Callable[..., int]) -> None:
    publish(POOL=10)
    tag = api.post(DRY, {"text": "POOL=20\n"})["ETag"]
    api.patch(f"{PROD}/draft", {"set": {"OTHER": 1}}, If_Match="*")

    with untouched():
        refused = api.post(IMPORT, {"text": "POOL=20\n"}, If_Match=tag)

    document = problem(refused, 412, "draft.stale")
    assert (document["expected"], document["version"]) == (1, 2)
    assert api.post(IMPORT, {"text": "POOL=20\n"}, If_Match="*").status_code == 200


def test_without_if_match_only_a_dry_run_is_made(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        problem(api.post(IMPORT, {"text": "POOL=20\n"}), 428, "if_match.missing")


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"text": "A=1\nnothing here\n"}, "import.unreadable", "Line 2: "),
        ({"text": ""}, "import.unreadable", "no text"),
        ({"text": "x" * (1 << 20) + "="}, "import.unreadable", "1,048,576"),
        ({"text": "A: 1", "source": "ini"}, "request.bad", ""),
        ({"text": "K=\n" * 1, "replace": "yes"}, "request.bad", ""),
        ({}, "request.bad", ""),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(
    api: Caller, checkout_prod: Scope, body: Any, code: str, words: str
) -> None:
    with untouched():
        document = problem(api.post(DRY, body), 422, code)

    assert words in document["detail"]
    assert document["fields"]


def test_several_services_are_answered_as_choices(api: Caller, checkout_prod: Scope) -> None:
    text = "services:\n  a: {environment: [A=1]}\n  b: {environment: [B=1]}\n"
    with untouched():
        document = problem(api.post(DRY, {"text": text}), 422, "import.unreadable")

    assert document["choices"] == ["a", "b"]
    chosen = api.post(DRY, {"text": text, "item": "b"}).json()
    assert [change["key"] for change in chosen["changes"]] == ["B"]


def test_a_prefix_of_a_store(api: Caller, checkout_prod: Scope) -> None:
    text = (
        '[{"key": "a/b/c", "flags": 0, "value": "MQ=="}, {"key": "a/b/d", "flags": 0, "value": ""}]'
    )

    answer = api.post(DRY, {"text": text, "prefix": "a/"}).json()

    assert (answer["source"], [each["key"] for each in answer["changes"]]) == (
        "consul",
        ["b.c", "b.d"],
    )


def test_no_secret_is_ever_answered(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    dry = api.post(DRY, {"text": SECRET})
    done = api.post(IMPORT, {"text": SECRET}, If_Match="*")
    publish_all = api.post(f"{PROD}/releases", {"message": "a test's"})
    exported = [
        api.get(f"{PROD}/export?format={name}&secrets={word}")
        for name in ("env", "json", "yaml", "toml", "properties", "compose", "configmap", "secret")
        for word in ("masked", "sealed")
    ]

    assert dry.json()["changes"][0]["new"]["$secret"] is True
    assert done.json()["changes"][0]["new"]["fingerprint"]
    assert publish_all.status_code == 201
    for answer in (dry, done, *exported):
        assert answer.status_code == 200, answer.content
        assert CANARY not in answer.content.decode()


def test_an_export_is_a_file_with_a_name(api: Caller, publish: Callable[..., int]) -> None:
    number = publish(**{"POOL": 10, "db.host": "h"})
    api.patch(f"{PROD}/draft", {"set": {"POOL": 20}}, If_Match="*")

    release = api.get(f"{PROD}/export?format=env")
    draft = api.get(f"{PROD}/export?format=compose&of=draft")

    assert release.content == b"DB_HOST='h'\nPOOL='10'\n"
    assert release["Content-Disposition"] == f'attachment; filename="checkout-prod-r{number}.env"'
    assert release["Confhub-Release"] == str(number)
    environment = yaml.safe_load(draft.content)["services"]["checkout"]["environment"]
    assert environment == {"DB_HOST": "h", "POOL": "20"}


def test_exports_that_cannot_be(api: Caller, checkout_prod: Scope) -> None:
    with untouched():
        problem(api.get(f"{PROD}/export?format=env"), 404, "export.nothing")
        problem(api.get(f"{PROD}/export?format=ini"), 422, "request.bad")
        problem(api.get(f"{PROD}/export"), 422, "request.bad")
        problem(api.get(f"{PROD}/export?format=env&secrets=clear"), 422, "request.bad")
    api.patch(f"{PROD}/draft", {"set": {"N": None}}, If_Match="*")
    document = problem(api.get(f"{PROD}/export?format=toml&of=draft"), 422, "export.unfit")
    assert "N is null" in document["detail"]


@pytest.mark.parametrize("layer", ["global", "services/checkout", "environments/prod"])
def test_layers_take_and_give_as_well(api: Caller, checkout_prod: Scope, layer: str) -> None:
    at = f"/layers/{layer}"

    done = api.post(f"{at}/draft/import", {"text": "LEVEL=info\n"}, If_Match='"0"')

    assert done.status_code == 200, done.content
    assert api.get(f"{at}/draft").json()["set"] == {"LEVEL": "info"}
    assert api.get(f"{at}/export?format=env&of=draft").content == b"LEVEL='info'\n"
    problem(api.get(f"{at}/export?format=env"), 404, "export.nothing")


def test_a_viewer_exports_and_does_not_import(
    api: Caller, checkout_prod: Scope, who: Actor
) -> None:
    vic = access.make_person("vic", who=who, now=clock.now())
    grants.grant(vic, role="viewer", who=who, now=clock.now())
    access.set_token("vic", token="a-token-of-vic", user=vic, now=clock.now())
    viewer = Caller("a-token-of-vic")

    with untouched():
        problem(viewer.post(DRY, {"text": "A=1\n"}), 403, "not_allowed")
        problem(viewer.post(IMPORT, {"text": "A=1\n"}, If_Match="*"), 403, "not_allowed")
        problem(viewer.post("/layers/global/draft/import", {"text": "A=1\n"}, If_Match="*"), 403, "not_allowed")  # fmt: skip
        assert viewer.get(f"{PROD}/export?format=json&of=draft").status_code == 200


def test_whoever_is_nobody_gets_nothing(anonymous: Caller, checkout_prod: Scope) -> None:
    with untouched():
        assert anonymous.post(DRY, {"text": "A=1\n"}).status_code == 401
        assert anonymous.get(f"{PROD}/export?format=json&of=draft").status_code == 401
