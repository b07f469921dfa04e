"""Reasons, freezes, approvals and emergencies: every refusal leaves everything as it was."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps

from confhub.access import layers as doors
from confhub.catalog import actions as catalog
from confhub.catalog import freezes
from confhub.catalog.freezes import BadFreeze, NoSuchFreeze
from confhub.catalog.models import FreezeWindow, Layer, Scope
from confhub.core.errors import ConfHubError
from confhub.events.models import AuditEntry, Event
from confhub.publishing import actions as publishing
from confhub.publishing import layers
from confhub.publishing.gates import Consent
from confhub.publishing.protection import Frozen, NeedsApproval, ReasonMissing
from confhub.releases import actions as releases
from confhub.releases.entries import BadEntries
from confhub.releases.models import LayerRelease, Release
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope, later

pytestmark = pytest.mark.django_db
HOUR = 3600
EMERGENCY = Consent(emergency=True)
OWN = ("catalog", "events", "publishing", "releases")


def rows() -> dict[str, list[dict[str, Any]]]:
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model._meta.app_label in OWN
    }


def refused(
    kind: type[ConfHubError], act: Callable[[], object], *, match: str | None = None
) -> ConfHubError:
    """The refusal of `act`, once it is known that it wrote nothing."""
    before = rows()
    with pytest.raises(kind, match=match) as caught:
        act()
    assert rows() == before
    return caught.value


def freeze(scope: Scope, start_s: float = -HOUR, end_s: float = HOUR) -> FreezeWindow:
    return freezes.add_freeze(
        scope.environment, starts_at=later(start_s), ends_at=later(end_s), reason="Black Friday",
        who=BEN, now=NOON,
    )  # fmt: skip


def wants_approval(scope: Scope) -> None:
    catalog.change_environment(scope.environment, approvals=1, who=ANN, now=NOON)


def draft(scope: Scope, **values: Any) -> None:
    releases.change_draft(scope, set=values, expected=None, who=ANN, now=NOON)


def publish(scope: Scope, message: str = "why", **more: Any) -> Release:
    return publishing.publish_draft(
        scope, **{"message": message, "who": ANN, "now": NOON, **more}
    ).release


def global_layer(**values: Any) -> Layer:
    layer = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(layer, set=values, expected=None, who=ANN, now=NOON)
    return layer


def ways(scope: Scope) -> list[Callable[..., object]]:
    """Every way on which something becomes a release of the scope, which is at r2 with a draft."""
    layer = global_layer(LEVEL="info")
    common: dict[str, Any] = {"who": ANN, "now": NOON, "message": "why"}
    return [
        lambda **more: publishing.publish_draft(scope, **{**common, **more}),
        lambda **more: publishing.publish_changes(
            scope, set={"POOL": 9}, unset=[], **{**common, **more}
        ),
        lambda **more: publishing.roll_back(scope, number=1, **{**common, **more}),
        lambda **more: layers.publish_layer(layer, targets="all", **{**common, **more}),
        lambda **more: layers.publish_layer_changes(
            layer, set={"LEVEL": "x"}, unset=[], targets="all", **{**common, **more}
        ),
    ]


@pytest.fixture
def prod() -> Scope:
    """billing in a protected prod: two releases, and a draft."""
    scope = a_scope(protected=True)
    a_release(scope, {"POOL": 1})
    a_release(scope, {"POOL": 2})
    draft(scope, POOL=3)
    return scope


@pytest.mark.parametrize("way", [0, 1, 3, 4])
@pytest.mark.parametrize("message", ["", "  \n"])
def test_a_protected_environment_wants_a_reason(prod: Scope, way: int, message: str) -> None:
    act = ways(prod)[way]

    error = refused(ReasonMissing, lambda: act(message=message), match="billing@prod")

    assert error.fields["message"]
    act(message="because")
    assert Release.objects.get(scope=prod, number=3).message.endswith("because")


def test_elsewhere_the_reason_may_be_left_out_and_a_rollback_has_one_of_its_own(
    prod: Scope,
) -> None:
    dev = a_scope(environment="dev")
    draft(dev, A=1)

    assert publish(dev, "").message == ""
    rolled = publishing.roll_back(prod, number=1, message="", who=ANN, now=NOON)
    assert rolled.release.message == "Roll back to r1"


def test_layers_are_taken_into_a_protected_scope_with_a_reason(prod: Scope) -> None:
    layers.publish_layer(global_layer(LEVEL="info"), message="x", targets=[], who=ANN, now=NOON)

    refused(ReasonMissing, lambda: layers.take_layers(prod, message="", who=ANN, now=NOON))

    taken = layers.take_layers(prod, message="calm", who=ANN, now=NOON)
    assert taken.release.message == "calm"


@pytest.mark.parametrize("way", range(5))
def test_nothing_is_published_while_frozen(prod: Scope, way: int) -> None:
    freeze(prod)
    act = ways(prod)[way]

    error = refused(Frozen, act, match=r"frozen until 2026-11-24 13:00 UTC: Black Friday \(ben\)")

    assert error.extra["reason"] == "Black Friday"
    assert "emergency" in error.detail
    act(now=later(HOUR))  # the very end is free
    assert Release.objects.filter(scope=prod, number=3, emergency=False).exists()


@pytest.mark.parametrize("way", range(5))
def test_nothing_is_published_without_approval(prod: Scope, way: int) -> None:
    wants_approval(prod)
    act = ways(prod)[way]

    refused(NeedsApproval, act, match="approval")
    refused(NeedsApproval, lambda: act(consent=Consent(request_id=4711)), match="4711")

    assert prod.releases.count() == 2


@pytest.mark.parametrize("way", range(5))
def test_an_emergency_goes_past_both_and_is_flagged_for_ever(prod: Scope, way: int) -> None:
    freeze(prod)
    wants_approval(prod)
    act = ways(prod)[way]

    refused(ReasonMissing, lambda: act(consent=EMERGENCY, message="")) if way != 2 else None
    act(consent=EMERGENCY, message="the pool is empty")

    assert Release.objects.get(scope=prod, number=3).emergency
    entry = AuditEntry.objects.get(action="release.emergency")
    assert (entry.actor, entry.target) == ("ann", "billing@prod r3")
    assert entry.data["reason"].endswith("the pool is empty")
    if way >= 3:
        assert LayerRelease.objects.get().emergency


def test_an_emergency_where_nothing_stands_in_the_way_is_a_plain_release(prod: Scope) -> None:
    freeze(prod, HOUR, 2 * HOUR)

    assert not publish(prod, consent=EMERGENCY).emergency
    assert not AuditEntry.objects.filter(action="release.emergency").exists()
    draft(prod, POOL=7)
    refused(ReasonMissing, lambda: publish(prod, " ", consent=EMERGENCY))


def test_an_emergency_skips_no_reference(prod: Scope) -> None:
    freeze(prod)
    draft(prod, URL="${NOWHERE}")

    refused(BadEntries, lambda: publish(prod, consent=EMERGENCY), match="NOWHERE")


def test_one_frozen_scope_stops_a_layer_that_names_it_and_no_other(prod: Scope) -> None:
    dev = a_scope(environment="dev")
    a_release(dev, {"POOL": 1})
    freeze(prod)
    layer = global_layer(LEVEL="info")
    act = layers.publish_layer

    refused(
        Frozen,
        lambda: act(layer, message="why", targets="all", who=ANN, now=NOON),
        match="billing@prod: .*No release was cut anywhere",
    )
    done = act(layer, message="why", targets=[("billing", "dev")], who=ANN, now=NOON)

    assert [str(cut.release.scope) for cut in done.cut] == ["billing@dev"]


@pytest.mark.parametrize(
    ("start_s", "end_s", "reason", "field"),
    [
        (HOUR, HOUR, "x", "ends_at"),
        (HOUR, HOUR - 1, "x", "ends_at"),
        (0, 90 * 24 * HOUR + 1, "x", "ends_at"),
        (-2 * HOUR, -HOUR, "x", "ends_at"),
        (0, HOUR, "", "reason"),
        (0, HOUR, "  ", "reason"),
        (0, HOUR, "x" * 201, "reason"),
        (0, HOUR, "a\nb", "reason"),
        (0, HOUR, "a\x00b", "reason"),
    ],
)
def test_a_freeze_that_makes_no_sense_is_refused(
    prod: Scope, start_s: float, end_s: float, reason: str, field: str
) -> None:
    error = refused(
        BadFreeze,
        lambda: freezes.add_freeze(
            prod.environment, starts_at=later(start_s), ends_at=later(end_s), reason=reason,
            who=ANN, now=NOON,
        ),
    )  # fmt: skip

    assert list(error.fields) == [field]


def test_a_freeze_is_ended_before_its_time(prod: Scope) -> None:
    window = freeze(prod)

    freezes.end_freeze(prod.environment, window.pk, who=ANN, now=NOON)

    assert publish(prod).number == 3
    assert FreezeWindow.objects.get().ends_at == NOON
    actions = AuditEntry.objects.filter(target="prod").values_list("action", flat=True)
    assert list(actions.order_by("pk"))[-2:] == ["environment.frozen", "environment.thawed"]
    assert Event.objects.filter(kind="environment.changed").count() >= 2
    for number in (window.pk, 4711, 0, 2**70):
        refused(
            NoSuchFreeze,
            lambda number=number: freezes.end_freeze(
                prod.environment, number, who=ANN, now=later(1)
            ),
        )


def test_a_freeze_that_has_not_begun_goes_and_one_of_another_environment_stays(
    prod: Scope,
) -> None:
    window = freeze(prod, HOUR, 2 * HOUR)
    dev = a_scope(environment="dev")

    refused(
        NoSuchFreeze,
        lambda: freezes.end_freeze(dev.environment, window.pk, who=ANN, now=NOON),
    )
    freezes.end_freeze(prod.environment, window.pk, who=ANN, now=NOON)

    assert not FreezeWindow.objects.exists()


def test_an_environment_has_a_bounded_number_of_freezes(
    prod: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezes, "MAX_AHEAD", 2)
    freeze(prod)
    freeze(prod, 2 * HOUR, 3 * HOUR)

    refused(BadFreeze, lambda: freeze(prod, 4 * HOUR, 5 * HOUR), match="2 freezes")

    (found,) = freezes.freezes_of([prod.environment], now=NOON).values()
    assert [window.starts_at for window in found] == [later(-HOUR), later(2 * HOUR)]
