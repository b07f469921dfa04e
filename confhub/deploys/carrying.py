"""Carry a delivery out: map its payload to keys, publish them as the hook, note what became of it."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction

from confhub.access.policies import NotAllowed, NotFound, may, require
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.core.rehearsal import rehearsing
from confhub.deploys import filters, mapping, payloads, refusals
from confhub.deploys.mapping import DoesNotMap, Mapped
from confhub.deploys.models import Delivery, DeployHook
from confhub.deploys.queries import actor_of, payload_name, payload_of
from confhub.deploys.senders import SENDERS, Proof
from confhub.events import actions as events
from confhub.publishing.actions import publish_changes
from confhub.publishing.consulting import (
    HookRefused,
    HookSilent,
    HooksOvertaken,
    NotAsked,
    with_hooks,
)
from confhub.publishing.gates import Consent
from confhub.releases import images
from confhub.releases import queries as releases
from confhub.releases.diff import Change
from confhub.releases.images import BadImage
from confhub.releases.keyring import Keys
from confhub.releases.models import Release
from watchers.wire.canonical import canonical

Outcome = Delivery.Outcome
HOOKS_SAID_NO = (HookRefused, HookSilent, HooksOvertaken)


class HookIsOff(ConfHubError):
    """The deploy hook is switched off."""

    code: ClassVar[str] = "deploy_hook.off"
    status: ClassVar[int] = 409


class Rehearsed(ConfHubError):
    """This very delivery was a dry run, so it cannot be used to publish."""

    code: ClassVar[str] = "deploy_hook.rehearsed"
    status: ClassVar[int] = 409


class PayloadNotKept(ConfHubError):
    """There is no payload to carry out once more, or to try a mapping with."""

    code: ClassVar[str] = "deploy_hook.no_payload"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Acted:
    """What a payload came to: a release, the one that is there already, or nothing at all."""

    outcome: Delivery.Outcome
    detail: str
    release: Release | None = None
    mapped: Mapped | None = None
    changes: list[Change] = field(default_factory=list)  # of a rehearsal


@dataclass(frozen=True)
class Done:
    """What became of a delivery. `error` is its refusal, to be answered after all was kept."""

    delivery: Delivery
    acted: Acted
    error: ConfHubError | None = None
    is_repeated: bool = False

    @property
    def offers(self) -> images.Offers:
        release = self.acted.release
        is_new = self.acted.outcome == Outcome.PUBLISHED and release is not None
        return images.offers(release) if is_new and release is not None else images.Offers()


def carry_out(
    delivery: Delivery, proof: Proof, payload: dict[str, Any], *, dry_run: bool, now: datetime
) -> Done:
    """Do what the delivery asks, once. One that was carried out before answers what it came to then.

    The delivery's row stays locked meanwhile, so of two at the same moment one acts and the other
    finds what became of it. Safe to be killed half-way: it is as received, and begins anew.
    """

    def act(consent: Consent) -> Done:
        with transaction.atomic():
            row = _locked(delivery)
            outcome = Outcome(row.outcome)
            if outcome != Outcome.RECEIVED and not (outcome == Outcome.REHEARSED and dry_run):
                return _as_before(row, outcome)
            who = actor_of(row.hook, row.request_id)
            tried = rehearsed if dry_run else _tried
            acted, error = tried(row.hook, proof, payload, who, consent, now)
            if dry_run:
                detail = "Dry run: " + acted.detail
                acted = replace(acted, outcome=Outcome.REHEARSED, detail=detail, release=None)
            return _note(row, acted, error)

    try:
        return with_hooks(act, Consent())
    except HOOKS_SAID_NO as error:
        with transaction.atomic():
            row = _locked(delivery)
            if row.outcome != Outcome.RECEIVED:  # another one of the same was quicker
                return _as_before(row, Outcome(row.outcome))
            return _note(row, Acted(Outcome.REFUSED, error.detail), error)


def retry(
    delivery: Delivery, *, confirmed: Collection[str] = (), who: Actor, now: datetime
) -> Done:
    """Carry out a kept payload once more, by the hook's mapping of today, as whoever asks for it.

    Raises NotAllowed, PayloadNotKept; a refusal of the publish itself stands in `Done.error`.
    """
    require(who, "publish", delivery.hook.scope)
    payload = kept_payload(delivery)

    def act(consent: Consent) -> Done:
        with transaction.atomic():
            row = _locked(delivery)
            proof = Proof(row.sender_id, row.event)
            acted, error = _tried(row.hook, proof, payload, who, consent, now)
            return _note_again(row, acted, error, who=who, now=now)

    try:
        return with_hooks(act, Consent(confirmed=confirmed))
    except HOOKS_SAID_NO as error:
        with transaction.atomic():
            acted = Acted(Outcome.REFUSED, error.detail)
            return _note_again(_locked(delivery), acted, error, who=who, now=now)


def fire(
    hook: DeployHook, payload: dict[str, Any], *, dry_run: bool, address: str = "", who: Actor,
    now: datetime,
) -> Done:  # fmt: skip
    """A delivery made by hand, with the hook's own rights: whether all is well from its mapping on.

    Raises NotAllowed, BadPayload.
    """
    require(who, "publish", hook.scope)
    text = canonical(payload).decode()
    sealed = Keys().seal_text(text, name=payload_name(hook.pk))
    proof = Proof(f"test/{uuid.uuid4()}", (hook.filters.get("events") or SENDERS[hook.kind].usual or ("deploy",))[0])  # fmt: skip
    row = Delivery.objects.create(
        hook=hook, sender_id=proof.delivery_id, event=proof.event,
        payload=sealed if len(text) <= payloads.KEPT_BYTES else None, outcome=Outcome.RECEIVED,
        received_at=now, came_from=address, request_id=who.request_id,
    )  # fmt: skip
    events.audit(
        "deploy_hook.fired", who=who, target=str(hook.scope),
        data={"hook": hook.name, "delivery": row.pk, "dry_run": dry_run}, now=now,
    )  # fmt: skip
    return carry_out(row, proof, payload, dry_run=dry_run, now=now)


def _note(row: Delivery, acted: Acted, error: ConfHubError | None) -> Done:
    """Write down what it came to. The caller holds the row's lock."""
    row.outcome, row.detail = acted.outcome, acted.detail
    row.release = acted.release.number if acted.release else None
    row.problem = refusals.kept(error) if error else None
    row.save(update_fields=["outcome", "detail", "release", "problem", "tries"])
    return Done(row, acted, error)


def _note_again(
    row: Delivery, acted: Acted, error: ConfHubError | None, *, who: Actor, now: datetime
) -> Done:
    row.tries += 1
    done = _note(row, acted, error)
    events.audit(
        "deploy_hook.retried", who=who, target=str(row.hook.scope),
        data={"hook": row.hook.name, "delivery": row.pk, "outcome": str(acted.outcome)}, now=now,
    )  # fmt: skip
    return done


def _tried(
    hook: DeployHook, proof: Proof, payload: dict[str, Any], who: Actor, consent: Consent,
    now: datetime,
) -> tuple[Acted, ConfHubError | None]:  # fmt: skip
    """What it came to; where it was refused, nothing of it stays. Raises NotAsked."""
    try:
        with transaction.atomic():
            return _published(hook, proof, payload, who, consent, now), None
    except NotAsked:  # for with_hooks, which asks outside of every transaction
        raise
    except (DoesNotMap, BadImage) as error:
        return Acted(Outcome.FAILED, error.detail), error
    except ConfHubError as error:
        return Acted(Outcome.REFUSED, error.detail), error


def rehearsed(
    hook: DeployHook, proof: Proof, payload: dict[str, Any], who: Actor, consent: Consent,
    now: datetime,
) -> tuple[Acted, ConfHubError | None]:  # fmt: skip
    """The same, and all of it taken back; with what would have changed."""
    with rehearsing() as seen:
        acted, error = _tried(hook, proof, payload, who, consent, now)
    if error is not None:
        return replace(acted, mapped=_mapped_or_none(hook, payload)), error
    changes = [each for note in seen.notes for each in note.data.get("changes", [])]
    return replace(acted, changes=changes), None


def _mapped_or_none(hook: DeployHook, payload: dict[str, Any]) -> Mapped | None:
    try:
        return mapping.applied(hook.mapping, payload)
    except ConfHubError:
        return None


def _published(
    hook: DeployHook, proof: Proof, payload: dict[str, Any], who: Actor, consent: Consent,
    now: datetime,
) -> Acted:  # fmt: skip
    if not hook.is_on:
        raise HookIsOff(f"The deploy hook {hook.name} is switched off. Nothing was published.")
    if proof.is_greeting:
        return Acted(Outcome.SKIPPED, "The sender tried the address; all is well.")
    usual = SENDERS[hook.kind].usual
    if reason := filters.why_not(hook.filters, proof.event, payload, usual=usual):
        return Acted(Outcome.SKIPPED, reason)
    _check_person(hook, who)
    mapped = mapping.applied(hook.mapping, payload)
    head = releases.head_of(hook.scope)
    there = head.own_entries if head else {}
    published = publish_changes(
        hook.scope,
        set=mapped.set,
        unset=[key for key in mapped.unset if key in there],
        message=mapped.message.strip()
        or f"{proof.event or 'deploy'} by the deploy hook {hook.name}",
        consent=replace(consent, image=mapped.image),
        who=who,
        now=now,
    )
    release = published.release
    if published.created:
        return Acted(Outcome.PUBLISHED, f"r{release.number} is published.", release, mapped)
    detail = f"Nothing would change; r{release.number} stays."
    return Acted(Outcome.UNCHANGED, detail, release, mapped)


def _check_person(hook: DeployHook, who: Actor) -> None:
    """Raises NotAllowed; of a hook in its own words, because its sender cannot know whose it is."""
    if not may(who, "publish", hook.scope):
        raise NotAllowed(
            f"{who.name} may not publish {hook.scope}: a deploy hook has the rights of its person, "
            f"{hook.user.get_username()}, who may not any more. Nothing was published. Let somebody "
            "who may take it over on its page."
        )


def _as_before(row: Delivery, outcome: Delivery.Outcome) -> Done:
    """What the delivery came to when it was carried out."""
    release = None
    if row.release is not None:
        release = Release.objects.filter(scope=row.hook.scope, number=row.release).first()
    error = refusals.again(row) if row.problem else None
    if outcome == Outcome.REHEARSED:
        error = Rehearsed(
            f"Delivery {row.pk} was a dry run, and what is signed is used once. Nothing was "
            "published. Sign it anew, or try delivery again on the hook's page."
        )
    return Done(row, Acted(outcome, row.detail, release), error, is_repeated=True)


def _locked(delivery: Delivery) -> Delivery:
    """Raises NotFound where its hook was removed meanwhile."""
    rows = Delivery.objects.select_for_update(of=("self",)).select_related(
        "hook__scope__service", "hook__scope__environment", "hook__user"
    )
    row = rows.filter(pk=delivery.pk).first()
    if row is None:
        raise NotFound("The deploy hook was removed meanwhile. Nothing was published.")
    return row


def kept_payload(delivery: Delivery) -> dict[str, Any]:
    """Raises PayloadNotKept."""
    payload = payload_of(delivery)
    if not isinstance(payload, dict):
        raise PayloadNotKept(
            f"The payload of delivery {delivery.pk} is not kept, because it is large or old, or its "
            "key is gone. Let the sender send it again."
        )
    return payload
