"""Publish: freeze a release and queue it, in one transaction; relay it into etcd afterwards."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import ClassVar

import structlog
from django.db import transaction

from confhub.access.policies import NotFound
from confhub.catalog.models import Scope
from confhub.core import rehearsal, wake
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.core.listen import rings_by_itself
from confhub.events import actions as events
from confhub.publishing import consulting, hooks, protection, telling
from confhub.publishing.gates import Candidate, Consent, pass_all
from confhub.publishing.models import Publication
from confhub.releases import actions as releases
from confhub.releases import images
from confhub.releases.actions import DraftIsStale
from confhub.releases.diff import diff
from confhub.releases.entries import BadEntries, Entries, changed, check_changes
from confhub.releases.layering import Ground, Numbers, same_entries
from confhub.releases.models import Release
from confhub.releases.places import Place
from confhub.releases.queries import DraftView, draft_of, drafted_own
from confhub.releases.sealed import sealed_entries
from confhub.releases.writing import Writing
from watchers.wire.canonical import Json

log = structlog.get_logger("publishing")

RELAY = "confhub.publishing.relay"
MAX_MESSAGE_CHARS = 2000


class NothingToPublish(ConfHubError):
    """There is no release yet, and nothing to make one of."""

    code: ClassVar[str] = "release.empty"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Published:
    """`created` is False where nothing would change; `release` is the current one then."""

    release: Release
    created: bool


AGREED = Consent()  # to nothing beyond the publish itself


@transaction.atomic
def publish_draft(
    scope: Scope, *, message: str, expected_release: int | None = None,
    expected_draft: int | None = None, consent: Consent = AGREED, who: Actor, now: datetime,
) -> Published:  # fmt: skip
    """Freeze the draft as the scope's next release and queue it for etcd.

    Either both happen or neither does. etcd is written later by the relay, so that a release can
    be published while etcd is down; it is "on its way" then (docs/decisions/0003-outbox.md).

    `expected_draft` is the draft version that was reviewed. Raises DraftIsStale when it has
    changed since, or when a release since its base changed the same keys; ReleaseIsStale,
    BadEntries, NothingToPublish, and what the gates raise.
    """
    scope = releases.lock(scope)
    releases.check_newest(scope, expected_release)
    check_draft(scope, draft_of(scope), expected=expected_draft)
    ground = Ground.of([scope])
    own = drafted_own(scope, ground.heads.get(scope.pk))
    return publish_own(
        scope, own, ground=ground, message=message, is_draft=True, consent=consent, who=who, now=now
    )


@transaction.atomic
def publish_changes(
    scope: Scope, *, set: Mapping[str, Json], unset: Collection[str], message: str,  # REST's word
    expected_release: int | None = None, consent: Consent = AGREED, who: Actor, now: datetime,
) -> Published:  # fmt: skip
    """Publish the newest release with these changes alone; the draft keeps what is in it.

    For deploy hooks and scripts, which must not publish what a person has half finished.
    Raises BadEntries, ReleaseIsStale, NothingToPublish.
    """
    check_changes(set_=set, unset=unset)
    scope = releases.lock(scope)
    releases.check_newest(scope, expected_release)
    ground = Ground.of([scope])
    head = ground.heads.get(scope.pk)
    before = head.own_entries if head else {}
    missing = [key for key in unset if key not in before]
    if missing:
        raise BadEntries(
            f"{scope} has no key {missing[0]}, so it cannot be removed.",
            fields={key: f"There is no key {key}." for key in missing},
        )
    fresh = Writing(scope, head, {}, now).entries_for(set)
    kept = {key: entry for key, entry in fresh.items() if entry}  # the others stay as inherited
    own = changed(before, set_=kept, unset=unset)
    return publish_own(
        scope, own, ground=ground, message=message, consent=consent, who=who, now=now
    )


@transaction.atomic
def roll_back(
    scope: Scope, *, number: int, message: str, expected_release: int | None = None,
    consent: Consent = AGREED, who: Actor, now: datetime,
) -> Published:  # fmt: skip
    """Publish the content of release `number` as a new release, because numbers only rise.

    Its layers come back as they were in it. The draft keeps what is in it. Raises NotFound,
    ReleaseIsStale.
    """
    scope = releases.lock(scope)
    releases.check_newest(scope, expected_release)
    old = Release.objects.filter(scope=scope, number=number).first() if number < 2**31 else None
    ground = Ground.of([scope])
    if old is None or scope.pk not in ground.heads:
        raise NotFound(f"{scope} has no release {number}.", fields={"release": "No such release."})
    return publish_own(
        scope, old.own_entries, ground=ground, numbers=dict(old.layers or ()), restores=old,
        message=message or f"Roll back to r{number}", consent=consent, who=who, now=now,
    )  # fmt: skip


def check_draft(place: Place, draft: DraftView, *, expected: int | None) -> None:
    """Raise DraftIsStale unless the draft is the one that was reviewed, and decided throughout."""
    if expected is not None and draft.version != expected:
        raise DraftIsStale(
            f"The draft of {place} was changed by {draft.updated_by} after you looked (you saw "
            f"version {expected}, it is {draft.version}). Nothing was published. Review it "
            "again.",
            extra={"version": draft.version, "expected": expected},
        )
    if draft.overlapping:
        raise DraftIsStale(
            f"This draft of {place} starts from r{draft.base}, but r{draft.head} has changed "
            f"{_some(draft.overlapping)} since. Nothing was published. Decide for each of these "
            "keys which value stays.",
            fields=dict.fromkeys(draft.overlapping, f"Also changed by r{draft.head}."),
            extra={"overlapping": draft.overlapping, "base": draft.base, "head": draft.head},
        )


def check_message(message: str) -> None:
    """Raise BadEntries unless the reason can be kept."""
    if len(message) > MAX_MESSAGE_CHARS or "\x00" in message:
        sentence = f"Write at most {MAX_MESSAGE_CHARS:,} characters, without NUL."
        raise BadEntries(f"The reason cannot be kept. {sentence}", fields={"message": sentence})


def publish_own(
    scope: Scope, own: Entries, *, ground: Ground, numbers: Numbers | None = None, message: str,
    restores: Release | None = None, is_draft: bool = False, consent: Consent = AGREED,
    is_covered: bool = False, who: Actor, now: datetime,
) -> Published:  # fmt: skip
    """Resolve `own` over the layers at `numbers` (None: as the newest release used them), pass the
    gates, freeze, and queue. The caller holds the scope's lock.

    `is_draft`: what is published is the whole draft, which is empty then. `restores`: the release
    whose very content is published. `is_covered`: an approved request for a layer names the scope.
    """
    check_message(message)
    head = ground.heads.get(scope.pk)
    numbers = ground.numbers(scope) if numbers is None else numbers
    resolved = ground.resolve(scope, own, numbers)
    if restores is not None:  # as it was, whatever its references' targets say today
        resolved = replace(resolved, entries=restores.entries, problems={})
    if head is None and not resolved.entries:
        raise NothingToPublish(
            f"{scope} has no key yet, so there is nothing to publish. Set one in its draft first."
        )
    changes = diff(head.entries if head is not None else {}, resolved.entries)
    is_same = head is not None and not changes and same_entries(own, head.own_entries)
    if head is not None and is_same and not images.is_another(consent.image, head):
        head.scope = scope
        return Published(head, created=False)
    candidate = Candidate(
        scope, head, own, resolved, message, consent, restores is not None, who, now, is_covered
    )
    pass_all(candidate)
    is_past = consent.emergency and (
        protection.is_hindered(scope.environment, now=now) or consulting.went_past(candidate)
    )
    entries = sealed_entries(
        scope, resolved.entries, own if restores is None else resolved.entries,
        below=ground.layers_at(numbers), parent=head.entries if head else {}, now=now,
    )  # fmt: skip
    release = releases.freeze(
        scope, entries, own=own, numbers=numbers, message=message, who=who, now=now,
        parent=head, restores=restores.number if restores else None, emergency=is_past,
        schema=candidate.schema.number if candidate.schema is not None else None,
        image=_image_of(consent, head, restores), annotations=consulting.annotations_of(candidate),
    )  # fmt: skip
    rehearsal.note(
        "release", str(release), service=scope.service.slug, environment=scope.environment.slug,
        release=release.number, changes=changes,
    )  # fmt: skip
    keys = {change.key for change in diff(head.own_entries if head else {}, own)}
    _queue(release, settled=None if is_draft else keys, who=who, now=now)
    telling.note(release, candidate.all_hooks, request_id=who.request_id, now=now)
    protection.settle(release, candidate)
    return Published(release, created=True)


def _image_of(
    consent: Consent, head: Release | None, restores: Release | None
) -> Mapping[str, str] | None:
    """The image that the release is for: the one that is named, else that of the release whose content
    comes back, else the one that runs already."""
    if consent.image is not None:
        return images.checked(consent.image)
    origin = restores if restores is not None else head
    return origin.image if origin is not None else None


@transaction.atomic
def publish_resealed(scope: Scope, *, message: str, who: Actor, now: datetime) -> Release | None:
    """Cut a release with the values of the newest one, every secret sealed anew; None where it has
    no secret. The draft keeps what is in it.

    Neither gates nor approvals are asked: no value changes, and a key that leaked has to go even
    while an environment is frozen. Raises CannotOpenSecret, NoMasterKey, KeyIsSealed.
    """
    scope = releases.lock(scope)
    head = Ground.of([scope]).heads.get(scope.pk)
    if head is None or not any(entry.get("secret") for entry in head.entries.values()):
        return None
    own = sealed_entries(scope, head.own_entries, head.own_entries, now=now)
    hidden = {key: entry for key, entry in own.items() if entry.get("secret")}  # no other wins
    others = {key: entry for key, entry in head.entries.items() if key not in hidden}
    others = sealed_entries(scope, others, others, now=now)
    release = releases.freeze(
        scope, {**others, **hidden}, own=own, numbers=dict(head.layers or ()), message=message, who=who,
        now=now, parent=head, schema=head.schema, image=head.image,
    )  # fmt: skip
    _queue(release, settled=(), who=who, now=now)
    telling.note(release, hooks.matching(scope), request_id=who.request_id, now=now)
    return release


def _queue(release: Release, *, settled: Collection[str] | None, who: Actor, now: datetime) -> None:
    """Put the release into the outbox, take the published keys out of the draft, tell the pages."""
    Publication.objects.create(release=release, created_at=now, next_try_at=now)
    data = {
        "release": release.number,
        "message": release.message,
        "author": who.name,
        "created_at": now.isoformat(),
        "checksum": release.checksum,
    }
    if not rings_by_itself():
        wake.after_commit(RELAY)  # before the event, whose own bell would be sent first
    scope = release.scope
    line = {"scope": str(scope), "release": release.number, "author": who.name}
    line |= {"request_id": who.request_id} if who.request_id else {}
    transaction.on_commit(partial(log.info, "release.published", **line))  # once it is true
    moved = releases.settle_draft(scope, keys=settled, who=who, now=now)
    events.record_all([("release.published", scope.stream, data), moved], now=now)


def _some(keys: Collection[str]) -> str:
    named = sorted(keys)[:3]
    more = len(keys) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
