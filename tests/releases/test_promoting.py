"""Keys from one environment into the draft of another: chosen, checked first, all or none."""

from collections.abc import Collection
from typing import Any

import pytest

from confhub.access import layers as doors
from confhub.access.policies import NotAllowed
from confhub.catalog.models import Scope
from confhub.core.actors import Actor, Granted
from confhub.events.models import AuditEntry
from confhub.publishing import layers
from confhub.releases import actions as releases
from confhub.releases.actions import DraftIsStale, ReleaseIsStale
from confhub.releases.models import DraftChange, DraftEdit
from confhub.releases.promoting import CannotPromote, Promoted, plan, promote
from confhub.releases.queries import draft_of, drafted_own, head_of
from confhub.releases.secrets import open_entry
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope
from watchers.wire.sealing import SealingKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def dev() -> Scope:
    made = a_scope("billing", "dev")
    a_release(made, {"POOL": 10, "HOST": "db", "NEW": "x", "SAME": [1]})
    return made


@pytest.fixture
def prod(dev: Scope) -> Scope:
    made = a_scope("billing", "prod")
    a_release(made, {"POOL": 200, "HOST": "db", "SAME": [1], "ONLY_PROD": True})
    return made


@pytest.fixture
def master_key(settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = SealingKey.generate("test").to_text()


def done(source: Scope, target: Scope, keys: Collection[str], **said: Any) -> Promoted:
    held: dict[str, Any] = {
        "expected_source": None, "expected": None, "is_dry_run": False, "who": BEN, "now": NOON,
    }  # fmt: skip
    return promote(source, target, keys, **(held | said))


def rows() -> list[Any]:
    """What a promotion could have written."""
    return [
        list(DraftChange.objects.order_by("pk").values()),
        list(DraftEdit.objects.order_by("pk").values()),
        AuditEntry.objects.count(),
    ]


def test_a_plan_lists_what_is_missing_or_otherwise_and_nothing_else(
    dev: Scope, prod: Scope
) -> None:
    offers = plan(dev, prod, who=ANN).offers

    found = {offer.key: (offer.change.kind, offer.change.old, offer.change.new) for offer in offers}
    assert found == {"NEW": ("added", None, "x"), "POOL": ("changed", 200, 10)}
    assert [offer.key for offer in plan(dev, prod, only_new=True, who=ANN).offers] == ["NEW"]


def test_chosen_keys_go_into_the_draft_and_nothing_is_published(dev: Scope, prod: Scope) -> None:
    head = head_of(prod)
    assert head is not None

    promoted = done(dev, prod, ["NEW"])

    draft = draft_of(prod)
    assert draft.set == {"NEW": "x"}
    assert draft.changes[0].author == "ben"
    assert promoted.draft == draft
    assert head_of(prod) == head
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.target) == ("draft.promoted", "billing@prod")
    assert entry.data == {"from": "billing@dev", "release": 1, "keys": ["NEW"], "secrets": []}


def test_a_dry_run_tells_the_same_and_writes_nothing(dev: Scope, prod: Scope) -> None:
    before = rows()

    told = done(dev, prod, ["NEW", "POOL"], is_dry_run=True)

    assert rows() == before
    assert told.draft is None
    assert told.changes == done(dev, prod, ["NEW", "POOL"]).changes


def test_a_dry_run_names_references_that_lead_nowhere_there(dev: Scope, prod: Scope) -> None:
    a_release(dev, {"QUEUE": "q", "URL": "amqp://${QUEUE}"})

    told = done(dev, prod, ["URL"], is_dry_run=True)

    assert set(told.problems) == {"URL"}
    assert not done(dev, prod, ["URL", "QUEUE"], is_dry_run=True).problems
    done(dev, prod, ["URL", "QUEUE"])
    assert draft_of(prod).set["URL"] == "amqp://${QUEUE}", "as it was written, not as it resolved"


@pytest.mark.parametrize(
    ("keys", "only_new", "says"),
    [
        ([], False, "Tick at least one key"),
        (["SAME"], False, "SAME of billing@dev is not there, or billing@prod has it so already"),
        (["NOWHERE", "NEW"], False, "NOWHERE of billing@dev is not there"),
        (["POOL"], True, "POOL of billing@dev"),
    ],
)
def test_a_key_that_cannot_be_taken_refuses_all_of_them(
    dev: Scope, prod: Scope, keys: list[str], only_new: bool, says: str
) -> None:
    before = rows()

    with pytest.raises(CannotPromote, match=says):
        done(dev, prod, keys, only_new=only_new)

    assert rows() == before


def test_not_to_itself_not_to_another_service_and_not_from_nothing(dev: Scope, prod: Scope) -> None:
    other, empty = a_scope("shop", "prod"), a_scope("billing", "staging")

    for source, target in ((dev, dev), (dev, other), (empty, prod)):
        with pytest.raises(CannotPromote):
            plan(source, target, who=ANN)


def test_what_moved_since_it_was_seen_is_refused(dev: Scope, prod: Scope) -> None:
    seen = plan(dev, prod, who=ANN)
    a_release(dev, {"NEW": "y"})
    before = rows()

    with pytest.raises(ReleaseIsStale):
        done(dev, prod, ["NEW"], expected_source=seen.source_release)
    assert rows() == before

    releases.change_draft(prod, set={"NEW": "of ann"}, expected=None, who=ANN, now=NOON)
    before = rows()
    with pytest.raises(DraftIsStale, match="ann changed NEW"):
        done(dev, prod, ["NEW"], expected=seen.target_version)
    assert rows() == before


def test_a_key_of_a_layer_is_offered_with_its_layer_and_becomes_the_scopes_own(
    dev: Scope, prod: Scope
) -> None:
    layer = doors.layer_for(ANN, "publish", "environment", "dev")
    releases.change_draft(layer, set={"LEVEL": "debug"}, expected=None, who=ANN, now=NOON)
    layers.publish_layer(layer, message="m", targets="all", who=ANN, now=NOON)

    [offer] = [each for each in plan(dev, prod, who=ANN).offers if each.key == "LEVEL"]
    done(dev, prod, ["LEVEL"])

    assert offer.layer == "environment dev"
    assert draft_of(prod).set == {"LEVEL": "debug"}


def test_a_secret_is_sealed_anew_for_its_new_place(
    dev: Scope, prod: Scope, master_key: None
) -> None:
    a_release(dev, {"PASSWORD": {"$secret": "of dev"}})
    a_release(prod, {"PASSWORD": {"$secret": "of prod"}})
    source = head_of(dev)
    assert source is not None

    promoted = done(dev, prod, ["PASSWORD"])

    entry = drafted_own(prod, head_of(prod))["PASSWORD"]
    sealed = source.entries["PASSWORD"]
    assert entry["ciphertext"] != sealed["ciphertext"]
    assert (entry["fingerprint"], entry["version"]) == (sealed["fingerprint"], 2)
    assert open_entry(prod, "PASSWORD", entry) == "of dev"
    assert "of dev" not in repr(promoted)
    assert AuditEntry.objects.latest("pk").data["secrets"] == ["PASSWORD"]


def test_who_may_not_reveal_a_secret_there_cannot_take_it_where_they_may(
    dev: Scope, prod: Scope, master_key: None
) -> None:
    a_release(prod, {"PASSWORD": {"$secret": "of prod"}})
    mia = Actor(
        "mia", 7, active=True,
        grants=(Granted("admin", "billing", "dev"), Granted("editor", "billing", "prod")),
    )  # fmt: skip
    [offer] = [each for each in plan(prod, dev, who=mia).offers if each.key == "PASSWORD"]
    before = rows()

    with pytest.raises(CannotPromote, match="right to reveal it in billing@prod"):
        done(prod, dev, ["PASSWORD"], who=mia)

    assert "right to reveal" in offer.refused
    assert rows() == before


def test_a_viewer_promotes_nothing(dev: Scope, prod: Scope) -> None:
    viewer = Actor("vic", 8, active=True, grants=(Granted("viewer", "billing"),))
    before = rows()

    for is_dry_run in (True, False):
        with pytest.raises(NotAllowed):
            done(dev, prod, ["NEW"], who=viewer, is_dry_run=is_dry_run)

    assert rows() == before
