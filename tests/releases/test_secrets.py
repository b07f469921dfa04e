"""Secrets in drafts and releases: set, kept by their mask, compared by fingerprint, revealed."""

from typing import Any

import pytest

from confhub.access import layers as doors
from confhub.access.policies import NotAllowed, NotFound
from confhub.catalog.models import Layer, Scope
from confhub.core.actors import Actor, Granted
from confhub.events.models import AuditEntry
from confhub.publishing import actions as publishing
from confhub.publishing import layers, rotation
from confhub.publishing.safety import DoesNotFit, foreseen
from confhub.releases import actions as releases
from confhub.releases import secrets
from confhub.releases.actions import DraftIsStale
from confhub.releases.entries import BadEntries, answered, as_document
from confhub.releases.keyring import Keys, NoMasterKey
from confhub.releases.models import Draft, DraftChange, Release, SealingKeyRow
from confhub.releases.queries import draft_of, head_of
from confhub.releases.revealing import WriteOnly, reveal
from confhub.releases.schemas import save_schema
from confhub.releases.secrets import CannotOpenSecret
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope

pytestmark = pytest.mark.django_db
CANARY = "s3cret/canary+value"


def change(place: Scope | Layer, **set_: Any) -> Any:
    return releases.change_draft(place, set=set_, expected=None, who=ANN, now=NOON)


def publish(scope: Scope, **set_: Any) -> Release:
    if set_:
        change(scope, **set_)
    return publishing.publish_draft(scope, message="why", who=ANN, now=NOON).release


def drafted(place: Scope | Layer, key: str) -> dict[str, Any]:
    entry: dict[str, Any] = DraftChange.objects.get(
        draft=Draft.objects.get(**{type(place).__name__.lower(): place}), key=key
    ).entry
    return entry


def a_layer(kind: str = "global", slug: str = "") -> Layer:
    return doors.layer_for(ANN, "publish", kind, slug)


def masked(entry: dict[str, Any]) -> Any:
    return answered(entry)


# ── in the draft ──────────────────────────────────────────────────────────────────────────────────


def test_a_secret_is_sealed_in_the_draft_and_answered_as_its_mask() -> None:
    scope = a_scope()

    view = change(scope, PW={"$secret": CANARY})

    entry = drafted(scope, "PW")
    assert view.set["PW"] == {
        "$secret": True, "fingerprint": entry["fingerprint"], "version": 1
    }  # fmt: skip
    assert len(entry["fingerprint"]) == 12
    assert CANARY not in str(entry)
    assert secrets.open_entry(scope, "PW", entry) == CANARY


def test_a_plain_value_of_a_key_that_is_a_secret_becomes_one() -> None:
    scope = a_scope()
    publish(scope, PW={"$secret": "one"})

    change(scope, PW="two")

    entry = drafted(scope, "PW")
    assert secrets.open_entry(scope, "PW", entry) == "two"
    assert entry["version"] == 2


def test_a_key_that_the_schema_calls_secret_is_sealed() -> None:
    scope = a_scope()
    schema = {"type": "object", "properties": {"PW": {"type": "string", "secret": True}}}
    save_schema(scope.service, schema, message="", expected_number=None, who=ANN, now=NOON)
    change(scope, PW=CANARY, PLAIN="x")
    change(a_layer("service", "billing"), PW=CANARY)

    assert secrets.open_entry(scope, "PW", drafted(scope, "PW")) == CANARY
    assert drafted(scope, "PLAIN") == {"value": "x"}
    assert drafted(a_layer("service", "billing"), "PW")["secret"] is True


def test_a_key_that_a_layer_has_as_a_secret_is_sealed_in_the_scope_before_and_after_a_release() -> None:  # fmt: skip
    scope = a_scope()
    change(a_layer(), PW={"$secret": "global"})
    layers.publish_layer(a_layer(), message="m", targets="all", who=ANN, now=NOON)

    change(scope, PW="early")
    assert secrets.open_entry(scope, "PW", drafted(scope, "PW")) == "early"
    releases.change_draft(scope, set={}, revert=["PW"], expected=None, who=ANN, now=NOON)
    publish(scope, A=1)
    change(scope, PW="late")

    assert secrets.open_entry(scope, "PW", drafted(scope, "PW")) == "late"


def test_its_own_mask_keeps_a_secret_in_either_form() -> None:
    scope = a_scope()
    release = publish(scope, PW={"$secret": CANARY})
    mask = masked(release.entries["PW"])
    short = f"(secret {mask['fingerprint'][:8]}, kept)"

    for sent in (mask, short):
        assert change(scope, PW=sent).changes == []
    change(scope, PW={"$secret": "draft"})
    now = draft_of(scope).set["PW"]
    before = drafted(scope, "PW")
    change(scope, PW=now)
    assert drafted(scope, "PW")["ciphertext"] == before["ciphertext"]
    change(scope, PW=mask)
    assert draft_of(scope).changes == [], "the published value again"


def test_the_mask_of_an_inherited_secret_makes_no_entry_of_its_own() -> None:
    scope = a_scope()
    change(a_layer(), PW={"$secret": "global"})
    layers.publish_layer(a_layer(), message="m", targets="all", who=ANN, now=NOON)
    release = publish(scope, A=1)
    mask = masked(release.entries["PW"])

    assert change(scope, PW=mask).changes == []
    done = publishing.publish_changes(
        scope, set={"PW": mask, "A": 2}, unset=(), message="m", who=ANN, now=NOON
    ).release

    assert "PW" not in done.own_entries
    assert done.entries["PW"]["fingerprint"] == mask["fingerprint"]


@pytest.mark.parametrize(
    "sent",
    [
        {"$secret": True, "fingerprint": "000000000000", "version": 1},
        {"$secret": True, "fingerprint": "", "version": 1},
        {"$secret": True},
        {"$secret": True, "version": 1},
        {"$secret": "x", "fingerprint": "000000000000"},
        {"$secret": "x", "other": 1},
        {"$secret": "x", "write_only": "yes"},
        {"$secret": "•••"},
        {"$secret": {"$secret": "x"}},
        {"$secret": ["x", "(secret 3f2a9c1b, kept)"]},
        {"a": [{"$secret": CANARY}]},
        {"$secret": CANARY + "x" * 65_536},
        "(secret 3f2a9c1b, kept)",
        "••••••",
        " ****** ",
    ],
    ids=lambda sent: str(sent)[:40],
)
@pytest.mark.parametrize("key", ["PW", "OTHER"])
def test_no_mask_and_no_broken_secret_is_ever_saved(key: str, sent: Any) -> None:
    scope = a_scope()
    publish(scope, PW={"$secret": CANARY}, OTHER={"$secret": "another"})
    before = (list(DraftChange.objects.values()), list(Draft.objects.values()))

    with pytest.raises(BadEntries) as refused:
        change(scope, **{key: sent}, PLAIN="good")

    assert list(refused.value.fields) == [key]
    assert CANARY not in str(refused.value.fields) + refused.value.detail
    assert (list(DraftChange.objects.values()), list(Draft.objects.values())) == before


def test_another_keys_mask_is_refused() -> None:
    scope = a_scope()
    release = publish(scope, PW={"$secret": CANARY}, OTHER={"$secret": "another"})

    for key in ("OTHER", "NEW"):
        with pytest.raises(BadEntries, match="mask of another secret"):
            change(scope, **{key: masked(release.entries["PW"])})
    assert draft_of(scope).changes == []


def test_the_same_value_changes_nothing() -> None:
    scope = a_scope()
    release = publish(scope, PW={"$secret": CANARY})

    assert change(scope, PW={"$secret": CANARY}).changes == []
    done = publishing.publish_changes(
        scope, set={"PW": {"$secret": CANARY}}, unset=(), message="m", who=ANN, now=NOON
    )

    assert (done.created, done.release.checksum) == (False, release.checksum)


def test_a_conflict_shows_both_sides_as_masks() -> None:
    scope = a_scope()
    publish(scope, PW={"$secret": "one"})
    seen = draft_of(scope).version
    releases.change_draft(
        scope, set={"PW": {"$secret": CANARY}}, expected=seen, who=BEN, now=NOON
    )  # fmt: skip

    with pytest.raises(DraftIsStale) as refused:
        releases.change_draft(
            scope, set={"PW": {"$secret": f"mine {CANARY}"}}, expected=seen, who=ANN, now=NOON
        )

    both = refused.value.extra["conflicts"]["PW"]
    assert both["yours"]["$secret"] is both["theirs"]["$secret"] is True
    assert both["yours"]["fingerprint"] != both["theirs"]["fingerprint"]
    assert CANARY not in str(refused.value.extra) + refused.value.detail


def test_without_a_master_key_no_secret_is_taken_and_plain_values_are(settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = ""
    scope = a_scope()

    with pytest.raises(NoMasterKey):
        change(scope, PW={"$secret": CANARY}, A=1)
    assert draft_of(scope).changes == []
    change(scope, A=1)

    assert not SealingKeyRow.objects.exists()
    assert draft_of(scope).set == {"A": 1}


def test_a_secret_that_does_not_fit_the_schema_is_refused_without_its_value() -> None:
    scope = a_scope()
    rule = {"type": "string", "secret": True, "pattern": "^long-"}
    schema = {"type": "object", "properties": {"PW": rule, "SHARED": rule}}
    save_schema(scope.service, schema, message="", expected_number=None, who=ANN, now=NOON)
    publish(scope, PW="long-enough")
    change(a_layer(), SHARED={"$secret": CANARY})
    change(scope, PW=CANARY)

    assert set(foreseen(scope).problems) == {"PW"}
    with pytest.raises(DoesNotFit) as own:
        publish(scope)
    with pytest.raises(DoesNotFit) as shared:
        layers.publish_layer(a_layer(), message="m", targets="all", who=ANN, now=NOON)

    for refused, key in ((own, "PW"), (shared, "SHARED")):
        assert list(refused.value.fields) == [key]
        assert CANARY not in refused.value.detail + str(refused.value.fields)
    assert Release.objects.count() == 1


# ── in releases ───────────────────────────────────────────────────────────────────────────────────


def test_a_secret_that_did_not_change_keeps_its_ciphertext_and_the_checksum_stays() -> None:
    scope = a_scope()
    first = publish(scope, PW={"$secret": CANARY}, A=1)
    second = publish(scope, A=2)
    third = publish(scope, A=1)

    assert second.entries["PW"] == first.entries["PW"]
    assert third.checksum == first.checksum
    assert as_document(first.entries)["PW"].keys() == {"secret", "ciphertext"}


def test_a_layers_secret_is_sealed_for_each_scope_and_stays_so() -> None:
    shop, till = a_scope("shop"), a_scope("till")
    publish(shop, A=1)
    publish(till, A=1)
    change(a_layer(), PW={"$secret": CANARY})
    layers.publish_layer(a_layer(), message="m", targets="all", who=ANN, now=NOON)
    in_shop, in_till = head_of(shop), head_of(till)

    again = publish(shop, A=2)

    assert in_shop
    assert in_till
    entries = [in_shop.entries["PW"], in_till.entries["PW"]]
    assert [secrets.open_entry(each, "PW", entry) for each, entry in zip((shop, till), entries, strict=True)] == [CANARY] * 2  # fmt: skip
    assert entries[0]["fingerprint"] == entries[1]["fingerprint"]
    with pytest.raises(CannotOpenSecret):
        secrets.open_entry(till, "PW", entries[0])
    assert again.entries["PW"] == in_shop.entries["PW"]
    assert layers.behind([shop, till]) == set()


def test_a_release_whose_layer_did_not_change_needs_no_layers_key() -> None:
    scope = a_scope()
    change(a_layer(), PW={"$secret": CANARY})
    layers.publish_layer(a_layer(), message="m", targets="all", who=ANN, now=NOON)
    publish(scope, A=1)
    SealingKeyRow.objects.filter(layer__isnull=False).delete()

    assert publish(scope, A=2).number == 2


def test_a_sealed_value_opens_under_its_own_key_only() -> None:
    scope = a_scope()
    entry = publish(scope, PW={"$secret": CANARY}).entries["PW"]

    with pytest.raises(CannotOpenSecret, match="OTHER of billing@prod does not open"):
        secrets.open_entry(scope, "OTHER", entry)
    moved = secrets.reseal(
        entry, "OTHER", source=scope, source_key="PW", target=a_layer(), now=NOON
    )  # fmt: skip
    assert secrets.open_entry(a_layer(), "OTHER", moved) == CANARY
    assert moved["fingerprint"] == entry["fingerprint"]


def test_a_rollback_brings_an_older_secret_back() -> None:
    scope = a_scope()
    publish(scope, PW={"$secret": "one"})
    publish(scope, PW={"$secret": "two"})
    list(rotation.rotate_data_keys(who=ANN, now=NOON))

    done = publishing.roll_back(scope, number=1, message="back", who=ANN, now=NOON).release

    assert secrets.open_entry(scope, "PW", done.entries["PW"]) == "one"
    assert done.entries["PW"]["ciphertext"].split(":")[1] == Keys().sealing(scope, now=NOON).kid


def test_a_rotation_seals_every_release_anew_with_the_key_that_was_in_reserve() -> None:
    scope, plain = a_scope(), a_scope("plain")
    before = publish(scope, PW={"$secret": CANARY}, A=1)
    publish(plain, A=1)
    change(a_layer(), LAYER={"$secret": "shared"})
    layers.publish_layer(a_layer(), message="m", targets="all", who=ANN, now=NOON)
    change(scope, DRAFT={"$secret": "drafted"})
    given = {key.kid for key in Keys().all_of(scope)}  # what an agent holds

    found = list(rotation.rotate_data_keys(who=ANN, now=NOON))

    head = head_of(scope)
    assert head
    assert {each.place for each in found} == {"global", str(scope), str(plain)}
    used = {head.entries[key]["ciphertext"].split(":")[1] for key in ("PW", "LAYER")}
    assert len(used) == 1
    assert used <= given, "an agent that was given the reserve opens it"
    assert used.isdisjoint({before.entries["PW"]["ciphertext"].split(":")[1]})
    assert {key: secrets.open_entry(scope, key, head.entries[key]) for key in ("PW", "LAYER")} == {
        "PW": CANARY, "LAYER": "shared"
    }  # fmt: skip
    assert list(draft_of(scope).set) == ["DRAFT"]
    assert layers.behind([scope, plain]) == set()
    assert publish(scope, A=2).entries["PW"] == head.entries["PW"]
    assert "LAYER" not in head.own_entries


# ── revealed ──────────────────────────────────────────────────────────────────────────────────────


def audited() -> list[dict[str, Any]]:
    return list(
        AuditEntry.objects.filter(action="secret.revealed").values("actor", "target", "data")
    )


def test_a_reveal_is_in_the_audit_and_its_value_is_not() -> None:
    scope = a_scope()
    publish(scope, PW={"$secret": CANARY})
    change(scope, PW={"$secret": "drafted"})

    old = reveal(scope, "PW", of=1, reason="look", who=ANN, now=NOON)
    new = reveal(scope, "PW", reason="", who=BEN, now=NOON)

    assert (old.value, old.version, new.value, new.version) == (CANARY, 1, "drafted", 2)
    assert [(each["actor"], each["data"]) for each in audited()] == [
        ("ann", {"key": "PW", "reason": "look", "of": 1, "version": 1}),
        ("ben", {"key": "PW", "reason": "", "of": "draft", "version": 2}),
    ]
    assert CANARY not in repr(old)


def test_inherited_and_layer_secrets_are_revealed_before_and_after_a_release() -> None:
    scope = a_scope()
    change(a_layer(), PW={"$secret": CANARY})
    layers.publish_layer(a_layer(), message="m", targets="all", who=ANN, now=NOON)

    assert reveal(scope, "PW", reason="", who=ANN, now=NOON).value == CANARY
    publish(scope, A=1)
    assert reveal(scope, "PW", reason="", who=ANN, now=NOON).value == CANARY
    assert reveal(a_layer(), "PW", of=1, reason="", who=ANN, now=NOON).value == CANARY


def test_where_something_protected_is_reached_a_reveal_needs_a_reason() -> None:
    scope = a_scope("shop", "live", protected=True)
    publish(scope, PW={"$secret": CANARY})
    change(a_layer(), PW={"$secret": CANARY})
    change(a_layer("environment", "live"), PW={"$secret": CANARY})

    for place in (scope, a_layer(), a_layer("environment", "live")):
        with pytest.raises(BadEntries) as refused:
            reveal(place, "PW", reason="  ", who=ANN, now=NOON)
        assert "reason" in refused.value.fields
    assert audited() == []
    assert reveal(scope, "PW", reason="an incident", who=ANN, now=NOON).value == CANARY


def test_who_may_only_edit_reveals_nothing() -> None:
    scope = a_scope()
    publish(scope, PW={"$secret": CANARY}, A=1)
    editor = Actor(name="mia", user_id=7, active=True, grants=(Granted("editor"),))

    with pytest.raises(NotAllowed):
        reveal(scope, "PW", reason="please", who=editor, now=NOON)
    with pytest.raises(BadEntries, match="no secret"):
        reveal(scope, "A", reason="", who=ANN, now=NOON)
    for of in ("draft", 1, 9):
        with pytest.raises(NotFound):
            reveal(scope, "NONE", of=of, reason="", who=ANN, now=NOON)  # type: ignore[arg-type]  # all of them
    assert audited() == []


def test_nobody_reveals_a_write_only_secret_and_a_new_value_is_one_too() -> None:
    scope = a_scope()
    publish(scope, PW={"$secret": CANARY, "write_only": True})
    publish(scope, PW="a new value")
    head = head_of(scope)
    assert head
    assert head.shown["PW"]["write_only"] is True

    for of in ("draft", 1, 2):
        with pytest.raises(WriteOnly):
            reveal(scope, "PW", of=of, reason="", who=ANN, now=NOON)  # type: ignore[arg-type]  # all of them
    assert audited() == []
    publish(scope, PW={"$secret": "open again", "write_only": False})
    assert reveal(scope, "PW", reason="", who=ANN, now=NOON).value == "open again"


def test_what_the_schema_calls_write_only_is_revealed_nowhere_below() -> None:
    scope = a_scope()
    rule = {"type": "string", "secret": True, "writeOnly": True}
    schema = {"type": "object", "properties": {"PW": rule}}
    save_schema(scope.service, schema, message="", expected_number=None, who=ANN, now=NOON)
    publish(scope, PW=CANARY)
    change(a_layer(), PW={"$secret": CANARY})

    for place in (scope, a_layer()):
        with pytest.raises(WriteOnly):
            reveal(place, "PW", reason="", who=ANN, now=NOON)
    assert audited() == []


def test_a_release_of_a_test_scope_is_as_ever_without_secrets() -> None:
    assert a_release(a_scope()).own is None
    assert not SealingKeyRow.objects.exists()
