"""What comes to a deploy hook: prove who sent it, keep it, then carry it out.

A delivery is committed before anything is done with it, so that one on which ConfHub died stands in
the log as received, and is carried out when its sender tries again, or by hand. The same delivery is
never carried out twice: docs/decisions/0026-deploy-hooks-answer-after-verifying.md.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

import structlog
from django.db import transaction
from django.db.models import Q

from confhub.core.errors import ConfHubError
from confhub.deploys import carrying, payloads
from confhub.deploys.actions import secret_name
from confhub.deploys.carrying import Done
from confhub.deploys.models import Delivery, DeployHook
from confhub.deploys.queries import SHOWN, hook_named, payload_name
from confhub.deploys.senders import SENDERS, Proof, Sent
from confhub.deploys.senders.base import TOLERANCE_S, digest
from confhub.releases.keyring import KeyIsSealed, Keys, NoMasterKey
from watchers.wire.canonical import canonical

log = structlog.get_logger("deploys")

REMEMBERED = 10_000  # deliveries of a hook that are told from new ones
DECOY = "no deploy hook"


class NotVerified(ConfHubError):
    """No such deploy hook, or not made with its secret: the two look the same from outside."""

    code: ClassVar[str] = "deploy_hook.not_verified"
    status: ClassVar[int] = 401


class TooLate(ConfHubError):
    """Signed with the hook's secret, but too long ago."""

    code: ClassVar[str] = "deploy_hook.too_late"
    status: ClassVar[int] = 401


class BodyChanged(ConfHubError):
    """A delivery of this id came before, with another body."""

    code: ClassVar[str] = "deploy_hook.body_changed"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Came:
    """One request, and where it came from."""

    sent: Sent
    address: str = ""
    request_id: str = ""


def receive(name: str, came: Came, *, dry_run: bool = False, now: datetime) -> Done:
    """Verify, keep and carry out what came to the hook `name`. `now` is an aware UTC time.

    A refusal of the publish itself stands in the answer (`Done.error`), because the delivery is kept.
    Raises NotVerified, TooLate, BadPayload, BodyChanged; then nothing was kept.
    """
    began = time.monotonic()
    hook, proof = _verified(name, came.sent, now)
    text = SENDERS[hook.kind].text(came.sent)
    payload = payloads.read(text)
    delivery, is_new = _keep(hook, proof, came, payload, now)
    done = carrying.carry_out(delivery, proof, payload, dry_run=dry_run, now=now)
    if is_new:
        took_ms = int((time.monotonic() - began) * 1000)
        Delivery.objects.filter(pk=delivery.pk).update(took_ms=took_ms)
    return done


def _verified(name: str, sent: Sent, now: datetime) -> tuple[DeployHook, Proof]:
    """Raises NotVerified, TooLate. A hook that is not there costs what one with a wrong secret does."""
    hook = hook_named(name)
    secret = _secret_of(hook)
    sender = SENDERS[hook.kind if hook is not None else "confhub"]
    proof = sender.proof(sent, secret, now=now)
    if hook is None or not secret or proof is None:
        log.info("deploy_hook.not_verified", hook=name[:80])
        raise NotVerified(
            "There is no deploy hook of this name, or what was sent was not made with its secret. "
            "Look at both on the hook's page in ConfHub."
        )
    if proof.is_late:
        raise TooLate(
            f"It was signed more than {TOLERANCE_S // 60} minutes ago, or by a clock that is as far "
            "ahead. Nothing was done. Sign it anew right before it is sent, and look at the clock."
        )
    return hook, proof


def _secret_of(hook: DeployHook | None) -> str:
    """ "" where it cannot be opened, which the log says."""
    try:
        if hook is None:
            return Keys().open_text(_decoy(), name=DECOY)
        return Keys().open_text(hook.secret, name=secret_name(hook.pk))
    except (KeyIsSealed, NoMasterKey) as error:
        if hook is not None:
            log.error("deploy_hook.secret_is_sealed", hook=hook.name, error=error.detail)
        return ""


@lru_cache(maxsize=1)
def _decoy() -> str:
    """Something sealed to be opened in place of a secret that is not there."""
    return Keys().seal_text(SENDERS["confhub"].new_secret(), name=DECOY)


@transaction.atomic
def _keep(
    hook: DeployHook, proof: Proof, came: Came, payload: dict[str, Any], now: datetime
) -> tuple[Delivery, bool]:
    """(its row, is it new). Raises BodyChanged, NotVerified (the hook was removed meanwhile)."""
    if not DeployHook.objects.select_for_update().filter(pk=hook.pk).exists():
        raise NotVerified("There is no deploy hook of this name any more.")
    body = digest(came.sent.body)
    known = Q(sender_id=proof.delivery_id)
    if not proof.covers_id:  # whoever repeats it can give it another id
        known |= Q(digest=body)
    held = Delivery.objects.filter(known, hook=hook).order_by("pk").defer("payload").first()
    if held is not None:
        if held.digest != body:
            raise BodyChanged(
                f"Delivery {proof.delivery_id[:80]} came before with another body. Nothing was "
                "done. Send another payload under another id."
            )
        return held, False
    made = Delivery.objects.create(
        hook=hook, sender_id=proof.delivery_id, event=proof.event, digest=body,
        payload=_sealed(hook, payload), outcome=Delivery.Outcome.RECEIVED, received_at=now,
        came_from=came.address[:45], request_id=came.request_id[:100],
    )  # fmt: skip
    _thin_out(hook)
    return made, True


def _sealed(hook: DeployHook, payload: dict[str, Any]) -> str | None:
    text = canonical(payload).decode()
    if len(text.encode()) > payloads.KEPT_BYTES:
        return None
    return Keys().seal_text(text, name=payload_name(hook.pk))


def _thin_out(hook: DeployHook) -> None:
    """Keep the newest hundred whole, and of older ones what tells a repetition."""
    rows = Delivery.objects.filter(hook=hook).order_by("-pk")
    oldest_whole = rows.values_list("pk", flat=True)[SHOWN - 1 : SHOWN].first()
    if oldest_whole is None:
        return
    older = rows.filter(pk__lt=oldest_whole)
    older.filter(payload__isnull=False).update(payload=None)
    last = older.values_list("pk", flat=True)[REMEMBERED - 1 : REMEMBERED].first()
    if last is not None:
        older.filter(pk__lt=last).delete()
