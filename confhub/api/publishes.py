"""A call that publishes: once for its Idempotency-Key, with publish hooks asked outside of both.

The hooks are asked after the transaction in which `once` keeps the answer was rolled back, so a
repetition is answered from there before any hook would be met.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Status

from confhub.api.idempotency import once
from confhub.core.actors import Actor
from confhub.publishing.consulting import with_hooks
from confhub.publishing.gates import Consent


def published_once(
    request: HttpRequest, response: HttpResponse, act: Callable[[Consent], Status[Any]],
    consent: Consent, *, who: Actor, now: datetime,
) -> Status[Any] | HttpResponse:  # fmt: skip
    """The result of `act(consent)`, or what it answered when its key was sent first."""
    return with_hooks(
        lambda given: once(request, response, lambda: act(given), who=who, now=now), consent
    )
