"""Take chosen keys from one environment of a service into the draft of another. Never a publish."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction

from confhub.access.policies import may, require
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.events import actions as events
from confhub.releases import actions
from confhub.releases.diff import Change, diff
from confhub.releases.draft_rows import open_draft
from confhub.releases.entries import Entries, masked
from confhub.releases.layering import layer_releases_of
from confhub.releases.queries import DraftView, head_of, resolve_draft
from confhub.releases.secrets import reseal
from confhub.releases.side_by_side import side_by_side
from confhub.releases.writing import Writing


class CannotPromote(ConfHubError):
    """There is nothing to take, or not from there to there."""

    code: ClassVar[str] = "promote.refused"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Offer:
    """A key that the source has and the target has not, or otherwise."""

    change: Change  # from the target's draft to the source
    refused: str  # why it cannot be taken; "" where it can
    layer: str  # the source's layer that sets it; "" where the source itself does

    @property
    def key(self) -> str:
        return self.change.key

    @property
    def is_new(self) -> bool:
        return self.change.kind == "added"


@dataclass(frozen=True)
class Plan:
    """What could be promoted, and what it was read from, for the compare-and-set."""

    source: Scope
    target: Scope
    source_release: int
    target_version: int  # of the target's draft
    offers: list[Offer]

    def chosen(self, keys: Collection[str]) -> list[Offer]:
        return [offer for offer in self.offers if offer.key in keys]


@dataclass(frozen=True)
class Promoted:
    """What was, or in a dry run would be, written into the target's draft."""

    changes: list[Change]
    problems: Mapping[str, str]  # references that would have no target there, by key
    draft: DraftView | None  # None: a dry run


def plan(source: Scope, target: Scope, *, only_new: bool = False, who: Actor) -> Plan:
    """Every key of the source's newest release that the target's draft has not, or otherwise.

    References are taken as people wrote them, so that they point to the target's own services.
    Raises CannotPromote.
    """
    _check_ends(source, target)
    table = side_by_side([source, target])
    after = table.columns[1]
    written, layers = _published(source)
    offers = [
        Offer(
            change,
            _refusal(source, change.key, written[change.key], who),
            layers.get(change.key, ""),
        )
        for change in diff(masked(after.entries), masked(written))
        if change.kind != "removed" and not (only_new and change.kind != "added")
    ]
    return Plan(source, target, source.head, after.version, offers)


@transaction.atomic
def promote(
    source: Scope, target: Scope, keys: Collection[str], *, only_new: bool = False,
    expected_source: int | None, expected: int | None, is_dry_run: bool, who: Actor, now: datetime,
) -> Promoted:  # fmt: skip
    """Set `keys` in the target's draft as the source's newest release has them; all of them or none.

    `expected_source` is the source's release and `expected` the target's draft version that the
    caller saw; None does not compare. A dry run checks all of it and writes nothing. Raises
    CannotPromote, ReleaseIsStale, DraftIsStale, BadEntries, and what `reseal` raises.
    """
    require(who, "see", source)
    require(who, "edit", target)
    target = actions.lock(target)
    source.refresh_from_db(fields=["head"])
    actions.check_newest(source, expected_source)
    offers = _chosen(plan(source, target, only_new=only_new, who=who), keys)
    chosen = [offer.key for offer in offers]
    entries, _ = _published(source)
    taken = {key: entries[key] for key in chosen}
    with transaction.atomic():  # a dry run takes back what it wrote, with everything that it told
        draft = _write(source, target, taken, expected=expected, who=who, now=now)
        problems = _problems(target, chosen)
        if is_dry_run:
            transaction.set_rollback(True)
    if not is_dry_run:
        events.audit(
            "draft.promoted", who=who, target=str(target), now=now,
            data={
                "from": str(source), "release": source.head, "keys": sorted(chosen),
                "secrets": sorted(key for key in chosen if taken[key].get("secret")),
            },
        )  # fmt: skip
    changes = [offer.change for offer in offers]
    return Promoted(changes, problems, None if is_dry_run else draft)


def _check_ends(source: Scope, target: Scope) -> None:
    if source.service_id != target.service_id or source.pk == target.pk:
        raise CannotPromote(
            f"Keys go from one environment of a service to another of the same service, not from "
            f"{source} to {target}."
        )
    if not source.head:
        raise CannotPromote(
            f"{source} has no release yet, so nothing of it can be promoted. Publish it first, or "
            "promote from another environment."
        )


def _published(source: Scope) -> tuple[Entries, dict[str, str]]:
    """(what the source's newest release has, references as written; {KEY: the layer that sets it})."""
    head = head_of(source)
    if head is None:
        return {}, {}
    below: Entries = {}
    layers: dict[str, str] = {}
    for release in layer_releases_of(head):
        below.update(release.entries)
        layers.update(dict.fromkeys(release.entries, str(release.layer)))
    own = head.own_entries
    # Secrets as they were sealed for the source itself, whichever layer they come from.
    secrets = {key: entry for key, entry in head.entries.items() if entry.get("secret")}
    return {**below, **own, **secrets}, {
        key: name for key, name in layers.items() if key not in own
    }


def _refusal(source: Scope, key: str, entry: Mapping[str, Any], who: Actor) -> str:
    """Whoever may reveal a secret in the target could read what they may not read in the source."""
    if entry.get("secret") and not may(who, "reveal", source):
        return (
            f"{key} is a secret. To take it elsewhere needs the right to reveal it in {source}, "
            "which the role publisher gives. Ask an administrator, or set it there by hand."
        )
    return ""


def _chosen(held: Plan, keys: Collection[str]) -> list[Offer]:
    """Raises CannotPromote, naming every key that cannot be taken."""
    if not keys:
        sentence = "Tick at least one key."
        raise CannotPromote(sentence, fields={"keys": sentence})
    offers = {offer.key: offer for offer in held.offers}
    fields = {}
    for key in keys:
        if key not in offers:
            fields[key[:140]] = (
                f"{key[:140]} of {held.source} is not there, or {held.target} has it so already."
            )
        elif offers[key].refused:
            fields[key] = offers[key].refused
    if fields:
        more = f" ({len(fields) - 1} more refused.)" if len(fields) > 1 else ""
        raise CannotPromote(next(iter(fields.values())) + more, fields=fields)
    return held.chosen(keys)


def _write(
    source: Scope, target: Scope, taken: Entries, *, expected: int | None, who: Actor, now: datetime
) -> DraftView:
    """`taken` into the draft. A secret is sealed anew for the target, as its next version there."""
    head = head_of(target)
    held = open_draft(target, head, keys=set(taken), who=who, now=now)
    drafted = {key: row.entry for key, row in held.rows.items() if row.entry}
    writing = Writing(target, head, drafted, now)
    plain = {key: entry["value"] for key, entry in taken.items() if not entry.get("secret")}
    entries = writing.entries_for(plain)
    there = head.entries if head is not None else {}
    for key, entry in taken.items():
        if entry.get("secret"):
            sealed = reseal(entry, key, source=source, target=target, now=now, keys=writing.keys)
            version = int(there.get(key, {}).get("version", 0)) + 1
            entries[key] = {**sealed, "version": version}
    held.refuse_moved(taken, expected=expected, yours=entries)
    for key in taken:
        held.put(key, entries[key])
    held.check_sum()
    return held.finish("edit")


def _problems(target: Scope, keys: Collection[str]) -> dict[str, str]:
    found = resolve_draft(target).problems
    return {key: found[key] for key in keys if key in found}
