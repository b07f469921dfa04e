"""What the calls of layers do, once for all three forms of their address."""

from typing import TYPE_CHECKING, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Status

from confhub.access import layers as access
from confhub.api.auth import who_asks
from confhub.api.bodies import seen_version
from confhub.api.consents import consent_of
from confhub.api.layer_schemas import (
    CutOut,
    LayerDraftOut,
    LayerOut,
    LayerPublishedOut,
    LayerReleaseIn,
    LayerReleaseOut,
    LayerReleaseWithEntries,
    LayerRollbackIn,
    ScopeName,
    TouchedOut,
)
from confhub.api.lists import cursor, number_of
from confhub.api.publishes import published_once
from confhub.api.schemas import ChangeOut, DiffOut, DraftChangeIn, DraftedKeyOut, Page
from confhub.core import clock
from confhub.publishing import layers as publishing
from confhub.publishing.gates import Consent
from confhub.releases import actions as drafts
from confhub.releases import queries
from confhub.releases.diff import diff as difference
from confhub.releases.queries import DraftView

if TYPE_CHECKING:
    from confhub.catalog.models import Layer
    from confhub.core.actors import Actor
    from confhub.publishing.layers import LayerPublished, Targets
    from confhub.releases.models import LayerRelease


def draft(who: "Actor", kind: str, slug: str, response: HttpResponse) -> LayerDraftOut:
    layer = access.layer_for(who, "see", kind, slug)
    return draft_out(layer, queries.draft_of(layer), response)


def change(
    request: HttpRequest, kind: str, slug: str, body: DraftChangeIn, response: HttpResponse
) -> LayerDraftOut:
    who = who_asks(request)
    layer = access.layer_for(who, "edit", kind, slug)
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {layer}")
    view = drafts.change_draft(
        layer, set=body.set, unset=body.unset, revert=body.revert, expected=expected, who=who,
        now=clock.now(),
    )  # fmt: skip
    return draft_out(layer, view, response)


def discard(request: HttpRequest, kind: str, slug: str, response: HttpResponse) -> LayerDraftOut:
    who = who_asks(request)
    layer = access.layer_for(who, "edit", kind, slug)
    expected = seen_version(request.headers.get("If-Match"), of=f"the draft of {layer}")
    view = drafts.discard_draft(layer, expected=expected, who=who, now=clock.now())
    return draft_out(layer, view, response)


def preview(who: "Actor", kind: str, slug: str) -> list[TouchedOut]:
    layer = access.layer_for(who, "see", kind, slug)
    return [
        TouchedOut(
            service=each.scope.service.slug,
            environment=each.scope.environment.slug,
            release=each.scope.head,
            holds_back=each.scope.holds_back,
            changes=[ChangeOut(key=c.key, kind=c.kind, old=c.old, new=c.new) for c in each.changes],
            problems=dict(each.problems),
        )
        for each in publishing.preview(layer, who)
    ]


def releases(
    who: "Actor", kind: str, slug: str, after: str | None, limit: int
) -> Page[LayerReleaseOut]:
    layer = access.layer_for(who, "see", kind, slug)
    rows = queries.releases_of(layer, before=number_of(after), limit=limit + 1)
    shown = rows[:limit]
    return Page(
        items=[release_out(layer, release) for release in shown],
        next=cursor(str(shown[-1].number)) if len(rows) > limit else None,
    )


def publish(
    request: HttpRequest, kind: str, slug: str, body: LayerReleaseIn, response: HttpResponse
) -> Any:
    who, now = who_asks(request), clock.now()
    layer = access.layer_for(who, "publish", kind, slug)
    chosen = targets(body.targets)

    def act(consent: Consent) -> Status[LayerPublishedOut]:
        if body.set is None and body.unset is None:
            done = publishing.publish_layer(
                layer, message=body.message, targets=chosen, consent=consent,
                expected_release=body.expected_release, who=who, now=now,
            )  # fmt: skip
        else:
            done = publishing.publish_layer_changes(
                layer, set=body.set or {}, unset=body.unset or [], message=body.message,
                targets=chosen, consent=consent, expected_release=body.expected_release, who=who,
                now=now,
            )  # fmt: skip
        return published(layer, done)

    return published_once(request, response, act, consent_of(body), who=who, now=now)


def release(who: "Actor", kind: str, slug: str, number: int) -> LayerReleaseWithEntries:
    layer = access.layer_for(who, "see", kind, slug)
    held = queries.release_for(who, "see", layer, number)
    return LayerReleaseWithEntries(**release_out(layer, held).model_dump(), entries=held.shown)


def diff(who: "Actor", kind: str, slug: str, number: int, against: int | None) -> DiffOut:
    layer = access.layer_for(who, "see", kind, slug)
    held = queries.release_for(who, "see", layer, number)
    other = held.number - 1 if against is None else against
    older = queries.release_for(who, "see", layer, other).shown if other else {}
    changes = [
        ChangeOut(key=change.key, kind=change.kind, old=change.old, new=change.new)
        for change in difference(older, held.shown)
    ]
    return DiffOut(release=held.number, against=other, changes=changes)


def roll_back(
    request: HttpRequest, kind: str, slug: str, number: int, body: LayerRollbackIn,
    response: HttpResponse,
) -> Any:  # fmt: skip
    who, now = who_asks(request), clock.now()
    layer = access.layer_for(who, "publish", kind, slug)

    def act(consent: Consent) -> Status[LayerPublishedOut]:
        done = publishing.roll_back_layer(
            layer, number=number, message=body.message, targets=targets(body.targets),
            expected_release=body.expected_release, consent=consent, who=who, now=now,
        )  # fmt: skip
        return published(layer, done)

    return published_once(request, response, act, consent_of(body), who=who, now=now)


def targets(asked: "Literal['all'] | list[ScopeName]") -> "Targets":
    return asked if asked == "all" else [(each.service, each.environment) for each in asked]


def published(layer: "Layer", done: "LayerPublished") -> Status[LayerPublishedOut]:
    cut = [(each.release.scope, each.release.number) for each in done.cut]
    out = LayerPublishedOut(
        **release_out(layer, done.release).model_dump(),
        releases=[
            CutOut(service=scope.service.slug, environment=scope.environment.slug, release=number)
            for scope, number in cut
        ],
    )
    return Status(201 if done.created or done.cut else 200, out)


def draft_out(layer: "Layer", view: DraftView, response: HttpResponse) -> LayerDraftOut:
    response["ETag"] = f'"{view.version}"'
    response["Cache-Control"] = "private, no-cache"
    return LayerDraftOut(
        kind=layer.kind,
        slug=layer.slug,
        base=view.base,
        head=view.head,
        version=view.version,
        set=view.set,
        unset=view.unset,
        changes=[
            DraftedKeyOut(
                key=change.key, removed=change.removed, value=change.value, version=change.version,
                author=change.author, changed_at=clock.stamp(change.changed_at),
                overlaps=change.overlaps,
            )
            for change in view.changes
        ],
        overlapping=view.overlapping,
        updated_at=clock.stamp(view.updated_at) if view.updated_at else None,
        updated_by=view.updated_by,
    )  # fmt: skip


def layer_out(layer: "Layer") -> LayerOut:
    return LayerOut(
        kind=layer.kind,  # type: ignore[arg-type]  # its column has these choices
        slug=layer.slug,
        description=layer.description,
        release=layer.head or None,
    )


def release_out(layer: "Layer", release: "LayerRelease") -> LayerReleaseOut:
    return LayerReleaseOut(
        kind=layer.kind,
        slug=layer.slug,
        release=release.number,
        message=release.message,
        author=release.author,
        created_at=clock.stamp(release.created_at),
        parent=release.parent,
        restores=release.restores,
        keys=len(release.entries),
        emergency=release.emergency,
    )


def name(layer: "Layer") -> str:
    return f"{layer.kind} {layer.slug}"
