"""`GET …/convergence`: a deploy gate that holds neither a thread nor a connection while it waits."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from django.http import HttpResponse
from pydantic import Field, TypeAdapter, ValidationError

from confhub.access.standing import Credential
from confhub.api.interface import api
from confhub.api.lanes import hops
from confhub.api.lanes.board import board
from confhub.api.lanes.looks import End, Outcome, Seat
from confhub.api.lanes.requests import Receive, Scope, request_of, sign_in, until_gone
from confhub.api.problems import DatabaseAway, ServerLeaves
from confhub.api.routes.instances import MAX_WAIT_S, target_of
from confhub.core.errors import ConfHubError

ANSWER_LIMIT_S = 5.0  # beyond the wait, for a database that does not answer

# The same bounds as the route's, which says what is wrong with a value that does not fit.
_wait: TypeAdapter[float] = TypeAdapter(Annotated[float, Field(ge=0, le=MAX_WAIT_S)])
_release: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=1, le=2**31 - 1)])


@dataclass(frozen=True)
class _Asked:
    """A gate that may wait: for what, and how long."""

    credential: Credential
    scope_id: int
    release: int
    wait_s: float


async def answer(
    scope: Scope, receive: Receive, service: str, environment: str, request_id: str
) -> HttpResponse | None:
    """The whole answer; None where Django shall answer. Raises ClientGone."""
    asked = await hops.sign_ins.run(_begin, scope, service, environment, request_id)
    if not isinstance(asked, _Asked):
        return asked
    try:
        body = await _outcome(asked, receive, service, environment)
    except ConfHubError as error:
        return api.on_exception(request_of(scope, request_id), error)
    if body is None:  # it may not be seen any more, or is gone: the ordinary way says which
        return await hops.sign_ins.run(_refusal, scope, service, environment, request_id)
    response = HttpResponse(body, content_type=api.get_content_type())
    if asked.credential.kind == "session":
        response["Vary"] = "Cookie"
    return response


class ClientGone(Exception):
    """Nobody is there any more who could be answered."""


def _begin(
    scope: Scope, service: str, environment: str, request_id: str
) -> _Asked | HttpResponse | None:
    request = request_of(scope, request_id)
    try:
        wait_s = _wait.validate_python(request.GET.get("wait", "0"))
        release = request.GET.get("release")
        number = None if release is None else _release.validate_python(release)
    except ValidationError:
        return None
    try:
        who, credential = sign_in(request)
        place, found = target_of(who, service, environment, number)
    except Exception as error:  # noqa: BLE001  # as ninja does with whatever a route raises
        return api.on_exception(request, error)
    return _Asked(credential, place.pk, found, wait_s)


def _refusal(scope: Scope, service: str, environment: str, request_id: str) -> HttpResponse | None:
    begun = _begin(scope, service, environment, request_id)
    # None: a right that was back before anybody could say that it had gone; Django looks once more.
    return None if isinstance(begun, _Asked) else begun


async def _outcome(asked: _Asked, receive: Receive, service: str, environment: str) -> bytes | None:
    """The answer as JSON, None where the right ended. Raises ServerLeaves, TooManyWait, DatabaseAway."""
    loop, held = asyncio.get_running_loop(), board()
    seat = Seat(asked.credential, asked.scope_id, service, environment, asked.release)

    def is_due() -> None:
        seat.is_due = True
        held.ring()

    with held.seat(seat):
        gone = asyncio.create_task(until_gone(receive))
        gone.add_done_callback(lambda _: seat.rung.set())
        due = loop.call_later(asked.wait_s, is_due)
        try:
            async with asyncio.timeout(asked.wait_s + ANSWER_LIMIT_S):
                await seat.rung.wait()
        except TimeoutError:
            raise _away() from None
        finally:
            due.cancel()
            gone.cancel()
        if gone.done() and not gone.cancelled() and seat.news is None:
            raise ClientGone
    match seat.take():
        case Outcome(body):
            return body
        case End("leaving"):
            raise ServerLeaves("This server is stopping, so the wait ended. Ask again.")
        case End("database"):
            raise _away()
    return None


def _away() -> DatabaseAway:
    return DatabaseAway("The database did not answer. Nothing was changed. Try again in a second.")
