"""An import shows what it would do, and does just that, or nothing."""

from typing import Any

import pytest

from confhub.access import layers as layer_doors
from confhub.access.policies import NotAllowed
from confhub.catalog.models import Scope
from confhub.core.actors import Actor, Granted
from confhub.events.models import AuditEntry, Event
from confhub.publishing import layers as publishing_layers
from confhub.releases import actions, exports, importing, imports
from confhub.releases import schemas as release_schemas
from confhub.releases.actions import DraftIsStale
from confhub.releases.entries import BadEntries
from confhub.releases.importing import ImportPlan
from confhub.releases.imports import Imported, Options
from confhub.releases.keyring import NoMasterKey
from confhub.releases.models import Draft, DraftChange, SealingKeyRow
from confhub.releases.queries import draft_of, resolved_draft
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope

pytestmark = pytest.mark.django_db
CANARY = "canary-7f31"


@pytest.fixture
def scope() -> Scope:
    scope = a_scope()
    a_release(scope, {"POOL": 10, "HOST": "db", "db.timeout": 5, "PASSWORD": {"$secret": "old"}})
    return scope


def planned(scope: Any, text: str, source: str = "env", **options: Any) -> ImportPlan:
    replace = options.pop("replace", False)
    read = imports.read(source, text, options=Options(**options))
    return importing.plan(scope, read, replace=replace, now=NOON)


def done(scope: Any, text: str, source: str = "env", **options: Any) -> ImportPlan:
    plan = planned(scope, text, source, **options)
    importing.apply(plan, who=ANN, now=NOON)
    return plan


def edit(scope: Any, who: Any = BEN, **held: Any) -> None:
    actions.change_draft(scope, set=held, expected=None, who=who, now=NOON)


def rows() -> list[Any]:
    """All that an import may write."""
    return [
        *Draft.objects.order_by("pk").values(),
        *DraftChange.objects.order_by("pk").values(),
        *AuditEntry.objects.order_by("pk").values(),
        *Event.objects.order_by("pk").values(),
        *SealingKeyRow.objects.order_by("pk").values(),
    ]


def kinds(plan: ImportPlan) -> dict[str, str]:
    return {change.key: change.kind for change in plan.changes}


def test_a_plan_says_what_is_set_what_is_the_same_and_what_stays(scope: Scope) -> None:
    before = rows()

    plan = planned(scope, "POOL=20\nHOST=db\nNEW=x\n")

    assert kinds(plan) == {"POOL": "changed", "NEW": "added"}
    assert plan.set == {"POOL": 20, "NEW": "x"}  # a text takes the type that its key has
    assert (plan.same, plan.unset) == (["HOST"], [])
    assert plan.left == ["PASSWORD", "db.timeout"]
    assert rows() == before


def test_an_import_does_what_its_plan_says_in_one_version(scope: Scope) -> None:
    done(scope, "POOL=20\nNEW=x\n")

    view = draft_of(scope)
    assert view.set == {"POOL": 20, "NEW": "x"}
    assert {change.author for change in view.changes} == {"ann"}
    assert {change.version for change in view.changes} == {view.version}
    entry = AuditEntry.objects.get(action="draft.imported")
    assert entry.data == {"source": "env", "set": 2, "unset": [], "skipped": 0}


def test_replacing_removes_what_the_text_has_not(scope: Scope) -> None:
    plan = done(scope, "HOST=db\nNEW=x\n", replace=True)

    assert kinds(plan) == {
        "NEW": "added", "POOL": "removed", "PASSWORD": "removed", "db.timeout": "removed",
    }  # fmt: skip
    assert set(resolved_draft(scope)) == {"HOST", "NEW"}


def test_replacing_keeps_what_the_text_has_but_cannot_be_read(scope: Scope) -> None:
    text = "apiVersion: v1\nkind: Secret\ndata: {PASSWORD: '%%', HOST: ZGI=}\n"

    plan = done(scope, text, "kubernetes", replace=True)

    assert [name for name, _ in plan.skipped] == ["PASSWORD"]
    assert "PASSWORD" in resolved_draft(scope)
    assert "POOL" not in resolved_draft(scope)


def test_a_key_that_only_the_draft_has_goes_as_well(scope: Scope) -> None:
    edit(scope, EXTRA=1)

    plan = done(scope, "POOL=10\nHOST=db\nDB_TIMEOUT=5\nPASSWORD=old\n", replace=True)

    assert kinds(plan) == {"EXTRA": "removed"}
    assert draft_of(scope).changes == []


def test_a_draft_that_moved_since_the_plan_is_not_touched(scope: Scope) -> None:
    plan = planned(scope, "POOL=20\n")
    edit(scope, OTHER=1)
    before = rows()

    with pytest.raises(DraftIsStale) as refused:
        importing.apply(plan, who=ANN, now=NOON)

    assert refused.value.status == 412
    assert refused.value.extra == {"version": draft_of(scope).version, "expected": plan.version}
    assert rows() == before


def test_a_release_since_the_plan_is_a_move_as_well(scope: Scope) -> None:
    plan = planned(scope, "POOL=20\n")
    a_release(scope, {"HOST": "db2"})
    before = rows()

    with pytest.raises(DraftIsStale):
        importing.apply(plan, who=ANN, now=NOON)

    assert rows() == before


def test_an_import_that_changes_nothing_writes_nothing(scope: Scope) -> None:
    before = rows()

    plan = done(scope, "POOL=10\nHOST=db\n")

    assert (plan.is_empty, plan.changes, plan.same) == (True, [], ["HOST", "POOL"])
    assert rows() == before


def test_whoever_may_not_edit_changes_nothing(scope: Scope) -> None:
    plan = planned(scope, "POOL=20\n")
    viewer = Actor(name="vic", user_id=9, active=True, grants=(Granted("viewer", None, None),))
    before = rows()

    with pytest.raises(NotAllowed):
        importing.apply(plan, who=viewer, now=NOON)

    assert rows() == before


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────

SECRET = "apiVersion: v1\nkind: Secret\nstringData:\n  PASSWORD: {}\n  TOKEN: {}\n"


def test_a_secret_comes_in_sealed_and_is_never_shown(scope: Scope) -> None:
    plan = done(scope, SECRET.format(CANARY, CANARY), "kubernetes")

    assert kinds(plan) == {"PASSWORD": "changed", "TOKEN": "added"}
    drafted = {change.key: change.entry for change in draft_of(scope).changes}
    assert all(entry["secret"] for entry in drafted.values())
    assert CANARY not in str([plan, plan.changes, plan.before, plan.after, rows()])


def test_the_same_secret_is_known_by_its_fingerprint(scope: Scope) -> None:
    assert planned(scope, SECRET.format("old", "x"), "kubernetes").same == ["PASSWORD"]


def test_a_plain_text_for_a_secret_key_is_sealed(scope: Scope) -> None:
    plan = done(scope, f"PASSWORD={CANARY}\n")

    assert kinds(plan) == {"PASSWORD": "changed"}
    assert draft_of(scope).changes[0].entry["secret"] is True
    assert CANARY not in str([plan, rows()])


@pytest.mark.parametrize(
    "value", ["(secret 0123abcd, kept)", '{"$secret": true, "fingerprint": "0123", "version": 1}']
)
def test_the_mask_of_another_secret_is_never_taken_for_a_value(scope: Scope, value: str) -> None:
    held = value if value.startswith("{") else f'"{value}"'

    plan = planned(scope, f'{{"PASSWORD": {held}, "FRESH": {held}}}', "json")

    assert plan.is_empty
    assert [name for name, _ in plan.skipped] == ["PASSWORD", "FRESH"]
    assert all("mask" in why for _, why in plan.skipped)


def test_a_mask_within_a_value_is_skipped(scope: Scope) -> None:
    plan = planned(scope, "URL=http://app:(secret 0123abcd, kept)@db\n")

    assert (plan.set, [name for name, _ in plan.skipped]) == ({}, ["URL"])


@pytest.mark.parametrize("value", ["********", "(secret 0123abcd, kept)", "••••"])
def test_a_mask_in_a_secret_manifest_is_skipped(scope: Scope, value: str) -> None:
    plan = planned(scope, SECRET.format(f"'{value}'", "x"), "kubernetes")

    assert list(plan.set) == ["TOKEN"]
    assert [name for name, _ in plan.skipped] == ["PASSWORD"]


def test_without_a_master_key_secrets_are_refused_and_nothing_is_kept(settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = ""
    mail = a_scope("mail")
    before = rows()

    with pytest.raises(NoMasterKey):
        planned(mail, SECRET.format("a", "b"), "kubernetes")

    assert rows() == before


def test_planning_a_first_secret_keeps_no_key(scope: Scope) -> None:
    mail = a_scope("mail")
    before = rows()

    plan = planned(mail, SECRET.format("a", "b"), "kubernetes")

    assert rows() == before
    importing.apply(plan, who=ANN, now=NOON)
    assert set(resolved_draft(mail)) == {"PASSWORD", "TOKEN"}


# ── names, types, references ──────────────────────────────────────────────────────────────────────


def test_a_variable_is_the_key_that_it_was_made_of(scope: Scope) -> None:
    plan = planned(scope, "DB_TIMEOUT=9\n")

    assert (plan.set, plan.renamed) == ({"db.timeout": 9}, [("DB_TIMEOUT", "db.timeout")])


def test_a_variable_and_its_key_in_one_text_are_not_mixed_up(scope: Scope) -> None:
    plan = planned(scope, "DB_TIMEOUT=9\ndb.timeout=7\n", "properties")

    assert plan.set == {"db.timeout": 7}
    assert plan.skipped == [
        ("DB_TIMEOUT", "It is the variable of db.timeout, which the text has as well.")
    ]


def test_keys_that_would_be_one_variable_are_skipped_by_name(scope: Scope) -> None:
    plan = done(scope, '{"Db_Timeout": 1, "x.y": 1, "x_y": 2}', "json")

    assert plan.set == {"x.y": 1}
    assert dict(plan.skipped) == {
        "Db_Timeout": "It would be the variable DB_TIMEOUT, which db.timeout is. Rename one.",
        "x_y": "It would be the variable X_Y, which x.y is. Rename one.",
    }


def test_a_text_takes_the_type_of_its_schema(scope: Scope) -> None:
    properties = {
        "SIZE": {"type": "integer"}, "ON": {"type": "boolean"}, "NAME": {"type": ["string", "null"]},
        "LIST": {"type": "array"},
    }  # fmt: skip
    release_schemas.save_schema(
        scope.service, {"type": "object", "properties": properties}, message="", who=ANN, now=NOON,
        expected_number=None,
    )  # fmt: skip

    plan = planned(scope, "SIZE=5\nON=true\nNAME=5\nLIST=[1]\nPOOL=many\n")

    assert plan.set == {"SIZE": 5, "ON": True, "NAME": "5", "LIST": [1], "POOL": "many"}


def test_a_key_that_the_schema_calls_secret_is_sealed(scope: Scope) -> None:
    document = {"type": "object", "properties": {"KEY": {"type": "string", "secret": True}}}
    release_schemas.save_schema(
        scope.service, document, message="", who=ANN, now=NOON, expected_number=None
    )

    plan = done(scope, f"KEY={CANARY}\n")

    assert plan.after["KEY"]["secret"] is True
    assert CANARY not in str([plan, rows()])


def test_references_without_a_target_are_named(scope: Scope) -> None:
    plan = planned(scope, "URL=http://${HOST}/\nBAD=${NOWHERE}\n")

    assert plan.set == {"URL": "http://${HOST}/", "BAD": "${NOWHERE}"}
    assert list(plan.problems) == ["BAD"]


def test_too_many_keys_are_refused_by_the_plan_already(scope: Scope) -> None:
    before = rows()

    with pytest.raises(BadEntries) as refused:
        planned(scope, "".join(f"K{n}=\n" for n in range(10_001)))

    assert "10,005 keys" in refused.value.detail
    assert rows() == before


# ── layers ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def layered(scope: Scope) -> Scope:
    """The scope above a global layer with a plain key and a secret."""
    layer = layer_doors.layer_for(ANN, "edit", "global")
    edit(layer, LEVEL="info", SHARED={"$secret": "s"}, POOL=1)
    publishing_layers.publish_layer(
        layer, message="", targets="all", expected_release=None, expected_draft=None, who=ANN,
        now=NOON,
    )  # fmt: skip
    scope.refresh_from_db()
    return scope


def test_what_a_layer_gives_already_is_not_set_anew(layered: Scope) -> None:
    plan = planned(layered, "LEVEL=info\nPOOL=10\nSHARED=s\n")

    assert (plan.is_empty, plan.same) == (True, ["LEVEL", "POOL", "SHARED"])


def test_replacing_cannot_remove_what_comes_from_a_layer(layered: Scope) -> None:
    plan = done(layered, "HOST=db\n", replace=True)

    assert set(plan.unset) == {"POOL", "PASSWORD", "db.timeout"}
    assert {"LEVEL", "SHARED"} <= set(plan.left)
    after = resolved_draft(layered)
    assert after["POOL"] == {"value": 1}  # the layer's comes through
    assert {change.key: change.new for change in plan.changes}["POOL"] == 1


def test_a_layers_own_draft_takes_an_import(layered: Scope) -> None:
    layer = layer_doors.layer_for(ANN, "edit", "global")

    plan = done(layer, "LEVEL=debug\nPOOL=1\n", replace=True)

    assert kinds(plan) == {"LEVEL": "changed", "SHARED": "removed"}
    assert draft_of(layer).set == {"LEVEL": "debug"}


# ── there and back ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("secrets", ["masked", "sealed"])
@pytest.mark.parametrize("format", exports.FORMATS)
def test_an_export_that_is_imported_again_changes_nothing(
    layered: Scope, format: Any, secrets: Any
) -> None:
    a_release(
        layered, {"text": "$HOME 'x' \"y\" \\ $$\nline\n", "LIST": [1, {"a": 0.5}], "ON": True}
    )
    text = exports.export(layered, format=format, secrets=secrets).content.decode()
    source = {"configmap": "kubernetes", "secret": "kubernetes"}.get(format, format)

    plan = planned(layered, text, source)

    assert kinds(plan) == {}
    assert plan.skipped == []
    assert len(plan.same) == {"configmap": 7, "secret": 2}.get(format, 9)


def test_a_sealed_export_does_not_open_elsewhere(scope: Scope) -> None:
    text = exports.export(scope, format="json", secrets="sealed").content.decode()

    plan = planned(a_scope("mail"), text, "json")

    assert set(plan.set) == {"POOL", "HOST", "db.timeout"}
    assert plan.skipped == [
        ("PASSWORD", "It is sealed, and not for PASSWORD of mail@prod. Set it by hand.")
    ]


def test_a_sealed_export_brings_an_older_secret_back(scope: Scope) -> None:
    text = exports.export(scope, format="env", secrets="sealed").content.decode()
    a_release(scope, {"PASSWORD": {"$secret": "newer"}})

    done(scope, text)

    entry = resolved_draft(scope)["PASSWORD"]
    assert entry["secret"] is True
    assert planned(scope, "PASSWORD=old\n").same == ["PASSWORD"]


def test_what_was_read_by_hand_works_as_well(scope: Scope) -> None:
    read = Imported(source="json", set={"NEW": {"$secret": CANARY}})

    plan = importing.plan(scope, read, replace=False, now=NOON)

    assert kinds(plan) == {"NEW": "added"}
    assert CANARY not in str(plan)
