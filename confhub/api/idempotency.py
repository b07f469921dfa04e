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

KEPT = timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class KeyUsedOtherwise(ConfHubError):
    """The Idempotency-Key was used for another call or another body."""

    code: ClassVar[str] = "idempotency.mismatch"
    status: ClassVar[int] = 422


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
