"""A repeated call with the same Idempotency-Key does nothing and answers the same.

A deploy job whose connection broke cannot know whether it published. The answer is kept in the
transaction of the act, so there is no moment at which one stands without the other. Refusals are
not kept: they did nothing, and a repetition may well succeed.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac
from ninja import Status

from confhub.api.bodies import BadHeader
from confhub.api.models import Answer
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.core.rehearsal import is_rehearsal

KEPT = timedelta(hours=24)
MAY_REPEAT = {
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "required": False,
            "schema": {"type": "string", "maxLength": 200},
            "description": "Sent again within a day, the call does nothing and answers the same.",
        }
    ]
}
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class KeyUsedOtherwise(ConfHubError):
    """The Idempotency-Key was used for another call or another body."""

    code: ClassVar[str] = "idempotency.mismatch"
    status: ClassVar[int] = 422


class NotRepeatable(ConfHubError):
    """The call takes no Idempotency-Key: its answer holds a secret, which is kept nowhere."""

    code: ClassVar[str] = "idempotency.impossible"
    status: ClassVar[int] = 422


def refuse_key(request: HttpRequest) -> None:
    """Raise NotRepeatable where a key came with a call whose answer is shown once."""
    if "Idempotency-Key" in request.headers:
        sentence = "Leave it out: this answer holds a secret that is shown once and kept nowhere."
        raise NotRepeatable(f"Idempotency-Key: {sentence}", fields={"Idempotency-Key": sentence})


def once(
    request: HttpRequest, response: HttpResponse, act: Callable[[], Status[Any]], *, who: Actor,
    now: datetime,
) -> Status[Any] | HttpResponse:  # fmt: skip
    """The result of `act`, or what it answered when this key was sent first.

    `response` is ninja's, with the headers that `act` sets. Two that come at the same moment: the
    second waits in the database for the first. Raises BadHeader, KeyUsedOtherwise.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return act()
    if not _KEY.fullmatch(key):
        sentence = "Send 1 to 200 printable ASCII characters without spaces, such as a UUID."
        raise BadHeader(f"Idempotency-Key: {sentence}", fields={"Idempotency-Key": sentence})
    if is_rehearsal():  # nothing of it would stay
        return act()
    with transaction.atomic():
        Answer.objects.filter(at__lt=now - KEPT).delete()
        fingerprint = _fingerprint(request)
        held, made = Answer.objects.get_or_create(
            caller=who.name, key=key, defaults={"fingerprint": fingerprint, "at": now}
        )
        if not made:
            return _again(held, fingerprint)
        result = act()
        held.status, held.body = result.status_code, result.value.model_dump_json()
        held.location = response.get("Location", "")
        held.save(update_fields=["status", "body", "location"])
    return result


def _again(held: Answer, fingerprint: str) -> HttpResponse:
    if held.fingerprint != fingerprint:
        sentence = "Use a new key for each call, and the same one only to repeat it unchanged."
        raise KeyUsedOtherwise(
            f"This Idempotency-Key was sent with another call or body before. {sentence}",
            fields={"Idempotency-Key": sentence},
        )
    again = HttpResponse(
        held.body, status=held.status, content_type="application/json; charset=utf-8"
    )
    again["Location"] = held.location
    again["Idempotent-Replayed"] = "true"
    return again


def _fingerprint(request: HttpRequest) -> str:
    told = f"{request.method} {request.path}\n".encode() + request.body
    # With a key, because the body may hold a secret and a bare hash would let one try guesses.
    return salted_hmac("confhub.api.idempotency", told, algorithm="sha256").hexdigest()
