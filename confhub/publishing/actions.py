"""Publish: freeze a release and queue it, in one transaction; relay it into etcd afterwards."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db import transaction

from confhub.access.policies import NotFound
from confhub.catalog.models import Scope
from confhub.core import wake
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.core.listen import rings_by_itself
from confhub.events import actions as events
from confhub.publishing.models import Publication
from confhub.releases import actions as releases
from confhub.releases.actions import DraftIsStale
from confhub.releases.diff import diff
from confhub.releases.entries import BadEntries, Entries, changed, check_changes
from confhub.releases.models import Release
from confhub.releases.queries import draft_of, head_of
from watchers.wire.canonical import Json

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


@transaction.atomic
def publish_draft(
    scope: Scope, *, message: str, expected_release: int | None = None,
    expected_draft: int | None = None, who: Actor, now: datetime,
) -> Published:  # fmt: skip
    """Freeze the draft as the scope's next release and queue it for etcd.

    Either both happen or neither does. etcd is written later by the relay, so that a release can
    be published while etcd is down; it is "on its way" then (docs/decisions/0003-outbox.md).

    `expected_draft` is the draft version that was reviewed. Raises DraftIsStale when it has
    changed since, or when a release since its base changed the same keys; ReleaseIsStale,
    BadEntries, NothingToPublish.
    """
    scope = releases.lock(scope)
    head = head_of(scope)
    releases.check_newest(scope, expected_release)
    draft = draft_of(scope)
    if expected_draft is not None and draft.version != expected_draft:
        raise DraftIsStale(
            f"The draft of {scope} was changed by {draft.updated_by} after you looked (you saw "
            f"version {expected_draft}, it is {draft.version}). Nothing was published. Review it "
            "again.",
            extra={"version": draft.version, "expected": expected_draft},
        )
    if draft.overlapping:
        raise DraftIsStale(
            f"This draft of {scope} starts from r{draft.base}, but r{draft.head} has changed "
            f"{_some(draft.overlapping)} since. Nothing was published. Decide for each of these "
            "keys which value stays.",
            fields=dict.fromkeys(draft.overlapping, f"Also changed by r{draft.head}."),
            extra={"overlapping": draft.overlapping, "base": draft.base, "head": draft.head},
        )
    before = head.entries if head else {}
    after = changed(before, set_=draft.set, unset=draft.unset)
    return _publish(scope, head, after, message=message, is_draft=True, who=who, now=now)


@transaction.atomic
def publish_changes(
    scope: Scope, *, set: Mapping[str, Json], unset: Collection[str], message: str,  # REST's word
    expected_release: int | None = None, who: Actor, now: datetime,
) -> Published:  # fmt: skip
    """Publish the newest release with these changes alone; the draft keeps what is in it.

    For deploy hooks and scripts, which must not publish what a person has half finished.
    Raises BadEntries, ReleaseIsStale, NothingToPublish.
    """
    check_changes(set_=set, unset=unset)
    scope = releases.lock(scope)
    head = head_of(scope)
    releases.check_newest(scope, expected_release)
    before = head.entries if head else {}
    missing = [key for key in unset if key not in before]
    if missing:
        raise BadEntries(
            f"{scope} has no key {missing[0]}, so it cannot be removed.",
            fields={key: f"There is no key {key}." for key in missing},
        )
    after = changed(before, set_=set, unset=unset)
    return _publish(scope, head, after, message=message, who=who, now=now)


@transaction.atomic
def roll_back(
    scope: Scope, *, number: int, message: str, expected_release: int | None = None, who: Actor,
    now: datetime,
) -> Published:  # fmt: skip
    """Publish the content of release `number` as a new release, because numbers only rise.

    The draft keeps what is in it. Raises NotFound, ReleaseIsStale.
    """
    scope = releases.lock(scope)
    head = head_of(scope)
    releases.check_newest(scope, expected_release)
    old = Release.objects.filter(scope=scope, number=number).first() if number < 2**31 else None
    if old is None or head is None:
        raise NotFound(f"{scope} has no release {number}.", fields={"release": "No such release."})
    return _publish(
        scope, head, old.entries, message=message or f"Roll back to r{number}", who=who, now=now,
        restores=number,
    )  # fmt: skip


def _publish(
    scope: Scope, head: Release | None, entries: Entries, *, message: str, who: Actor,
    now: datetime, restores: int | None = None, is_draft: bool = False,
) -> Published:  # fmt: skip
    """`is_draft`: what is published is the whole draft, which is empty then."""
    if len(message) > MAX_MESSAGE_CHARS or "\x00" in message:
        sentence = f"Write at most {MAX_MESSAGE_CHARS:,} characters, without NUL."
        raise BadEntries(f"The reason cannot be kept. {sentence}", fields={"message": sentence})
    if head is None and not entries:
        raise NothingToPublish(
            f"{scope} has no key yet, so there is nothing to publish. Set one in its draft first."
        )
    changes = diff(head.entries if head is not None else {}, entries)
    if head is not None and not changes:
        head.scope = scope
        return Published(head, created=False)
    release = releases.freeze(
        scope, entries, message=message, who=who, now=now, parent=head, restores=restores
    )
    Publication.objects.create(release=release, created_at=now, next_try_at=now)
    data = {
        "release": release.number,
        "message": message,
        "author": who.name,
        "created_at": now.isoformat(),
        "checksum": release.checksum,
    }
    if not rings_by_itself():
        wake.after_commit(RELAY)  # before the event, whose own bell would be sent first
    keys = None if is_draft else [change.key for change in changes]
    settled = releases.settle_draft(scope, keys=keys, who=who, now=now)
    events.record_all([("release.published", scope.stream, data), settled], now=now)
    return Published(release, created=True)


def _some(keys: Collection[str]) -> str:
    named = sorted(keys)[:3]
    more = len(keys) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
