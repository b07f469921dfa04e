"""`POST /hooks/deploy/{hook}`: what CI, forges and registries send.

Nobody signs in here: the body is signed, or the address holds a secret. A call that waits for
convergence sleeps on the event loop and holds neither a thread nor a database connection meanwhile.
"""

import random
import time
from asyncio import sleep
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest
from ninja import Query, Router, Status

from confhub.api import limits
from confhub.api.deploy_schemas import DeliveryAnswer
from confhub.api.rehearsals import as_markdown, wants_markdown
from confhub.api.routes.releases import image_out, offers_out
from confhub.api.schemas import ChangeOut
from confhub.core import clock
from confhub.core.errors import ConfHubError
from confhub.deploys import receiving
from confhub.deploys.actions import MAX_WAIT_S
from confhub.deploys.receiving import Came
from confhub.deploys.senders import Sent
from confhub.fleet import queries as fleet
from confhub.releases import markdown
from confhub.releases.diff import Change

if TYPE_CHECKING:
    from confhub.deploys.carrying import Done
    from confhub.fleet.queries import Convergence

router = Router(tags=["deploy hooks"])

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 1.0
MOST_WAITING = 200  # in one process; one more is answered without waiting
_waiting = 0
_HEADERS = {
    "X-Confhub-Signature": "t=UNIX,v1=HEX: HMAC-SHA256 over t, a full stop and the body.",
    "X-Hub-Signature-256": "GitHub's.",
    "X-GitHub-Event": "GitHub's.",
    "X-GitHub-Delivery": "GitHub's.",
    "X-Gitlab-Token": "GitLab's secret token.",
    "X-Gitlab-Event": "GitLab's.",
    "webhook-signature": "GitLab's signing token (Standard Webhooks).",
}
_AS_SENT = {
    "parameters": [
        {
            "in": "header",
            "name": name,
            "required": False,
            "schema": {"type": "string"},
            "description": text,
        }
        for name, text in _HEADERS.items()
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": {"payload": {"type": "string"}}}
            },
        },
    },
}
Wait = Annotated[
    float | None,
    Query(None, ge=0, le=MAX_WAIT_S, description="Seconds to wait; left out, as the hook says."),
]
DryRun = Annotated[
    bool, Query(False, description="Answer what would change. What is signed is used up by it.")
]
AddressKey = Annotated[
    str | None, Query(None, max_length=400, description="Docker Hub's: the hook's secret.")
]


@router.post(
    "/hooks/deploy/{hook}",
    auth=limits.by_address,
    response={200: DeliveryAnswer, 201: DeliveryAnswer},
    openapi_extra=_AS_SENT,
)
async def receive_deploy(
    request: HttpRequest, hook: str, wait: Wait, dry_run: DryRun, key: AddressKey
) -> Any:
    """Set the keys that the hook maps, publish, wait for convergence, and answer.

    201 with a new release; 200 where nothing would change, the event is none of the hook's, it came
    before (`repeated`), or with `dry_run`. The refusal of a gate is answered with its own code.
    """
    deadline = time.monotonic()
    came = Came(
        Sent(
            body=request.body,
            headers={name.lower(): value for name, value in request.headers.items()},
            query={"key": key} if key else {},
        ),
        address=str(request.META.get("REMOTE_ADDR") or ""),
        request_id=str(getattr(request, "request_id", "")),
    )
    done = await _briefly(lambda: receiving.receive(hook, came, dry_run=dry_run, now=clock.now()))
    if done.error is not None:
        raise refusal_of(done.error, done)
    answer: DeliveryAnswer = await _briefly(lambda: answer_of(done))
    if dry_run and wants_markdown(request):
        return as_markdown(_markdown(answer))
    wait_s = done.delivery.hook.wait_s if wait is None else wait
    if answer.release is not None and not dry_run:
        found = await _converged(done, answer.release, deadline + min(wait_s, MAX_WAIT_S))
        answer.state, answer.counts = found.state, found.counts
    return Status(201 if answer.outcome == "published" and not answer.repeated else 200, answer)


def refusal_of(error: ConfHubError, done: "Done") -> ConfHubError:
    """The problem that a refused delivery is answered with: the gate's own, and which delivery it was."""
    error.extra |= {"delivery": done.delivery.pk, "repeated": done.is_repeated}
    return error


def answer_of(done: "Done") -> DeliveryAnswer:
    """What became of a delivery, without a look at the instances."""
    row, acted = done.delivery, done.acted
    scope = row.hook.scope
    release = acted.release
    image = release.image if release is not None else acted.mapped.image if acted.mapped else None
    is_rehearsed = str(acted.outcome) == "rehearsed"
    return DeliveryAnswer(
        delivery=row.pk,
        outcome=str(acted.outcome),  # type: ignore[arg-type]  # one of the choices
        detail=acted.detail,
        service=scope.service.slug,
        environment=scope.environment.slug,
        release=release.number if release is not None else None,
        state=None,
        repeated=done.is_repeated,
        image=image_out(image),
        offers=offers_out(scope, done.offers),
        changes=changes_out(acted.changes) if is_rehearsed else None,
    )


def changes_out(changes: Sequence[Change]) -> list[ChangeOut]:
    return [ChangeOut(key=each.key, kind=each.kind, old=each.old, new=each.new) for each in changes]


async def _converged(done: "Done", release: int, deadline: float) -> "Convergence":
    """How far the release is at `deadline`, or before it where the end is known."""
    global _waiting  # how many of this process's calls sleep here
    scope, pause_s = done.delivery.hook.scope, FIRST_PAUSE_S
    may_wait = _waiting < MOST_WAITING
    _waiting += 1
    try:
        while True:
            found: Convergence = await _briefly(lambda: fleet.convergence(scope, release))
            left_s = deadline - time.monotonic()
            if found.state in ("confirmed", "failed") or left_s <= 0 or not may_wait:
                return found
            spread = random.uniform(0.8, 1.2)  # noqa: S311  # deploys of many services begin together
            await sleep(min(pause_s * spread, left_s))
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    finally:
        _waiting -= 1


async def _briefly(look: Callable[[], Any]) -> Any:
    """The result of `look` in a thread, with its database connection given back."""

    def look_and_let_go() -> Any:
        try:
            return look()
        finally:
            for connection in connections.all(initialized_only=True):
                if not connection.in_atomic_block:  # a transaction would end with it
                    connection.close()

    return await sync_to_async(look_and_let_go)()


def _markdown(answer: DeliveryAnswer) -> str:
    """A comment for a pull request."""
    place = markdown.code(f"{answer.service}@{answer.environment}")
    changes = markdown.section(f"{place}: release", answer.changes or [])
    return markdown.document("Deploy hook, dry run", [markdown.code(answer.detail), changes])
