"""Publish a layer: see first whom it touches, then cut a release for each chosen scope in one act."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from django.db import transaction

from confhub.access.layers import scopes_on
from confhub.access.policies import NotFound, may, require
from confhub.catalog.models import Layer, Scope
from confhub.core import rehearsal
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.publishing import protection
from confhub.publishing.actions import (
    AGREED,
    MAX_MESSAGE_CHARS,
    NothingToPublish,
    Published,
    check_draft,
    check_message,
    publish_own,
)
from confhub.publishing.asking import Question
from confhub.publishing.consulting import NotAsked
from confhub.publishing.gates import Consent
from confhub.publishing.protection import State
from confhub.releases import actions as releases
from confhub.releases.diff import Change, diff
from confhub.releases.entries import BadEntries, Entries, changed, check_changes
from confhub.releases.layering import Ground, is_behind
from confhub.releases.models import LayerRelease
from confhub.releases.queries import draft_of, drafted_own, head_of
from confhub.releases.writing import Writing
from watchers.wire.canonical import Json

Targets = Literal["all"] | Sequence[tuple[str, str]]  # (service, environment)


class NotOnLayer(ConfHubError):
    """A target does not stand on the layer, or was never published."""

    code: ClassVar[str] = "layer.no_such_target"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Touched:
    """A scope for which a layer's change would make other entries."""

    scope: Scope
    changes: list[Change]  # of its resolved entries, secrets masked
    problems: Mapping[str, str]  # references that would have no target, by key

    @property
    def is_chosen(self) -> bool:
        """Whether "all" takes it in."""
        return not self.scope.holds_back


@dataclass(frozen=True)
class LayerPublished:
    """The layer's release (the newest one where nothing was new), and the release cut for each."""

    release: LayerRelease
    created: bool
    cut: list[Published]


def preview(layer: Layer, who: Actor) -> list[Touched]:
    """Whom publishing the layer's draft would touch, and how, as far as `who` may see them."""
    found = touched_by(layer, drafted_own(layer, head_of(layer)))
    return [each for each in found if may(who, "see", each.scope)]


def touched_by(layer: Layer, entries: Entries) -> list[Touched]:
    """Whom `entries` in the layer would touch; scopes without a release meet it with their first."""
    ground = Ground.of([scope for scope in scopes_on(layer) if scope.head])
    planned = LayerRelease(layer=layer, number=layer.head + 1, entries=entries)
    ground.put(planned)
    found = []
    for scope in ground.scopes:
        head = ground.heads[scope.pk]
        numbers = {**ground.numbers(scope), layer.pk: planned.number}
        resolved = ground.resolve(scope, head.own_entries, numbers)
        if changes := diff(head.entries, resolved.entries):
            found.append(Touched(scope, changes, resolved.problems))
    return found


@transaction.atomic
def publish_layer(
    layer: Layer, *, message: str, targets: Targets, expected_release: int | None = None,
    expected_draft: int | None = None, consent: Consent = AGREED, who: Actor, now: datetime,
) -> LayerPublished:  # fmt: skip
    """Freeze the layer's draft and cut a release for each chosen scope whose entries it changes.

    All of it or nothing. A scope that was not chosen keeps the layer as it has it until somebody
    publishes the layer for it, or takes it in there (`take_layers`). `who` needs the right to
    publish in each. Raises DraftIsStale, ReleaseIsStale, BadEntries, NotOnLayer, NothingToPublish,
    and what the gates of a scope raise, with its name.
    """
    layer = releases.lock(layer)
    releases.check_newest(layer, expected_release)
    check_draft(layer, draft_of(layer), expected=expected_draft)
    own = drafted_own(layer, head_of(layer))
    return _publish(
        layer,
        own,
        message=message,
        targets=targets,
        is_draft=True,
        consent=consent,
        who=who,
        now=now,
    )


@transaction.atomic
def publish_layer_changes(
    layer: Layer, *, set: Mapping[str, Json], unset: Collection[str], message: str,  # REST's word
    targets: Targets, expected_release: int | None = None, consent: Consent = AGREED, who: Actor,
    now: datetime,
) -> LayerPublished:  # fmt: skip
    """The same with these changes alone; the layer's draft keeps what is in it."""
    check_changes(set_=set, unset=unset)
    layer = releases.lock(layer)
    releases.check_newest(layer, expected_release)
    head = head_of(layer)
    before = head.entries if head else {}
    missing = [key for key in unset if key not in before]
    if missing:
        raise BadEntries(
            f"{layer} has no key {missing[0]}, so it cannot be removed.",
            fields={key: f"There is no key {key}." for key in missing},
        )
    fresh = Writing(layer, head, {}, now).entries_for(set)
    own = changed(before, set_=fresh, unset=unset)
    return _publish(layer, own, message=message, targets=targets, consent=consent, who=who, now=now)


@transaction.atomic
def roll_back_layer(
    layer: Layer, *, number: int, message: str, targets: Targets,
    expected_release: int | None = None, consent: Consent = AGREED, who: Actor, now: datetime,
) -> LayerPublished:  # fmt: skip
    """Publish the content of the layer's release `number` under a new one. Raises NotFound."""
    layer = releases.lock(layer)
    releases.check_newest(layer, expected_release)
    in_range = 0 < number < 2**31
    old = LayerRelease.objects.filter(layer=layer, number=number).first() if in_range else None
    if old is None:
        raise NotFound(f"{layer} has no release {number}.", fields={"release": "No such release."})
    return _publish(
        layer, old.entries, message=message or f"Roll back to r{number}", targets=targets,
        restores=number, consent=consent, who=who, now=now,
    )  # fmt: skip


@transaction.atomic
def take_layers(
    scope: Scope, *, message: str, expected_release: int | None = None, consent: Consent = AGREED,
    who: Actor, now: datetime,
) -> Published:  # fmt: skip
    """Cut a release of the scope with every layer as it is now; its draft keeps what is in it."""
    scope = releases.lock(scope)
    releases.check_newest(scope, expected_release)
    ground = Ground.of([scope])
    head = ground.heads.get(scope.pk)
    default = "" if scope.environment.protected else "Take the layers in"
    return publish_own(
        scope, head.own_entries if head else {}, ground=ground,
        numbers=ground.numbers(scope, newest=None), message=message or default,
        consent=consent, who=who, now=now,
    )  # fmt: skip


def behind(scopes: Sequence[Scope]) -> set[int]:
    """Row ids of the scopes that would have other entries if they took their layers in."""
    ground = Ground.of(scopes)
    return {scope.pk for scope in ground.scopes if is_behind(ground, scope)}


def _publish(
    layer: Layer, own: Entries, *, message: str, targets: Targets, is_draft: bool = False,
    restores: int | None = None, consent: Consent, who: Actor, now: datetime,
) -> LayerPublished:  # fmt: skip
    check_message(message)
    head = head_of(layer)
    changes = diff(head.entries if head else {}, own)
    if head is None and not own:
        raise NothingToPublish(f"{layer} has no key yet. Set one in its draft first.")
    chosen = chosen_scopes(layer, targets)
    for scope in chosen:
        require(who, "publish", scope)
    asked = None
    if consent.request_id is not None and not consent.emergency:
        asked = protection.check_request(
            layer, consent.request_id, protection.layer_content(layer, own, chosen)
        )
    release = head
    if head is None or changes:
        release = releases.freeze_layer(
            layer, own, message=message, who=who, now=now, parent=head, restores=restores,
            emergency=consent.emergency and _is_hindered(chosen, now),
        )  # fmt: skip
        rehearsal.note("layer", str(layer), release=release.number, changes=changes)
        keys = None if is_draft else [change.key for change in changes]
        moved = releases.settle_draft(layer, keys=keys, who=who, now=now)
        data = {"release": release.number, "message": message, "author": who.name,
                "created_at": now.isoformat(), "checksum": ""}  # fmt: skip
        events.record_all([("release.published", layer.stream, data), moved], now=now)
    assert release is not None  # noqa: S101  # one of the two
    cut = _cut(
        layer, chosen, message=message, consent=consent, is_covered=asked is not None, who=who,
        now=now,
    )  # fmt: skip
    if asked is not None:
        protection.move(asked, layer, State.PUBLISHED, who=who, now=now, release=release.number)
    return LayerPublished(release, created=release is not head, cut=cut)


def _cut(
    layer: Layer, chosen: Sequence[Scope], *, message: str, consent: Consent, is_covered: bool,
    who: Actor, now: datetime,
) -> list[Published]:  # fmt: skip
    """A release for each chosen scope, in the order of row ids, so that two who publish two layers
    at once wait for each other instead of for ever."""
    locked = [releases.lock(scope) for scope in sorted(chosen, key=lambda scope: scope.pk)]
    ground = Ground.of(locked)
    cut: list[Published] = []
    questions: list[Question] = []
    for scope in locked:
        head = ground.heads.get(scope.pk)
        try:
            published = publish_own(
                scope, head.own_entries if head else {}, ground=ground,
                numbers=ground.numbers(scope, newest=[layer.pk]),
                message=_told(layer, message, scope), consent=consent, is_covered=is_covered, who=who,
                now=now,
            )  # fmt: skip
        except NotAsked as missing:  # all scopes' hooks are asked together, not one scope a round
            questions += missing.questions
            continue
        except ConfHubError as error:
            error.detail = f"{scope}: {error.detail} No release was cut anywhere."
            error.args = (error.detail,)
            raise
        cut.append(published)
    if questions:
        raise NotAsked(questions)
    return [published for published in cut if published.created]


def _told(layer: Layer, message: str, scope: Scope) -> str:
    """The reason of a cut; a protected environment wants one of a person's, not the layer's name."""
    if message.strip():
        return f"{layer}: {message}"[:MAX_MESSAGE_CHARS]
    return "" if scope.environment.protected else str(layer)


def _is_hindered(chosen: Sequence[Scope], now: datetime) -> bool:
    environments = {scope.environment_id: scope.environment for scope in chosen}
    return any(protection.is_hindered(each, now=now) for each in environments.values())


def chosen_scopes(layer: Layer, targets: Targets) -> list[Scope]:
    """The scopes that `targets` name, in the order of services. Raises NotOnLayer."""
    there = {
        (scope.service.slug, scope.environment.slug): scope
        for scope in scopes_on(layer)
        if scope.head
    }
    if targets == "all":
        return [scope for scope in there.values() if not scope.holds_back]
    wanted = list(targets)
    for service, environment in wanted:
        if (service, environment) not in there:
            sentence = f"{service}@{environment} has no release that stands on {layer}."
            raise NotOnLayer(sentence, fields={"targets": sentence})
    return [there[each] for each in dict.fromkeys(wanted)]
