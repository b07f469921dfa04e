"""Every failure as a problem document (RFC 9457), whoever raised it.

    {"type": "/api/v1/docs#draft.stale", "title": "Draft is stale", "status": 412,
     "detail": "mia changed MAX …", "code": "draft.stale", "request_id": "5f1c…",
     "fields": {"MAX": "Changed by mia meanwhile."}, "version": 8, …}

`code` is permanent and for programs, `detail` is a sentence for people and may be reworded.
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.responses import NinjaJSONEncoder

from confhub.access.people import whom_to_ask
from confhub.access.policies import NotAllowed, NotSignedIn
from confhub.api import limits
from confhub.api.bodies import BadJson, max_body_bytes
from confhub.core.errors import ConfHubError

log = structlog.get_logger("api")

MEDIA_TYPE = "application/problem+json"
DOCS = "/api/v1/docs"
_OWN = frozenset({"type", "title", "status", "detail", "code", "request_id", "fields"})


class BadRequest(ConfHubError):
    """The parameters or the body have another form than the call asks for."""

    code: ClassVar[str] = "request.bad"
    status: ClassVar[int] = 422


class NoSuchCall(ConfHubError):
    """There is no call at this address."""

    code: ClassVar[str] = "call.unknown"
    status: ClassVar[int] = 404


class NothingPublished(ConfHubError):
    """The service has no release in the environment yet, so there is nothing to answer with."""

    code: ClassVar[str] = "release.none"
    status: ClassVar[int] = 404


class MethodNotAllowed(ConfHubError):
    """The address is right, the method is not; `Allow` names those that are."""

    code: ClassVar[str] = "method.not_allowed"
    status: ClassVar[int] = 405


class BodyTooLarge(ConfHubError):
    """The body has more bytes than any release could have."""

    code: ClassVar[str] = "body.too_large"
    status: ClassVar[int] = 413


class LengthRequired(ConfHubError):
    """The body came without a Content-Length, so its size cannot be bounded before it is read."""

    code: ClassVar[str] = "body.length_required"
    status: ClassVar[int] = 411


class DatabaseAway(ConfHubError):
    """The database did not answer or stayed locked. Nothing was changed; try again."""

    code: ClassVar[str] = "database.away"
    status: ClassVar[int] = 503


class TooManyWait(ConfHubError):
    """As many requests as one web process lets wait are waiting already. Ask again in a moment."""

    code: ClassVar[str] = "waiting.full"
    status: ClassVar[int] = 503


class ServerLeaves(ConfHubError):
    """This web process stops, so what waited there was ended. Ask again; another one answers."""

    code: ClassVar[str] = "server.leaves"
    status: ClassVar[int] = 503


class Broken(ConfHubError):
    """A fault of ConfHub's own. The log has it under the request id."""

    code: ClassVar[str] = "server.error"
    status: ClassVar[int] = 500


def every_kind() -> list[type[ConfHubError]]:
    """All problems there are, by code, for the reference page."""
    return sorted(_below(ConfHubError), key=lambda kind: (kind.code, kind.status))


def title_of(kind: type[ConfHubError]) -> str:
    """DraftIsStale → "Draft is stale"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).capitalize()


def answer(request: HttpRequest, error: ConfHubError) -> HttpResponse:
    """The problem document of `error`, with the headers that its status asks for."""
    document: dict[str, Any] = {
        "type": f"{DOCS}#{error.code}",
        "title": title_of(type(error)),
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": getattr(request, "request_id", ""),
    }
    if error.fields:
        document["fields"] = error.fields
    document.update({name: held for name, held in error.extra.items() if name not in _OWN})
    response = HttpResponse(
        NinjaJSONEncoder(separators=(",", ":")).encode(document),
        status=error.status,
        content_type=MEDIA_TYPE,
    )
    if error.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="confhub"'
    if error.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        response["Retry-After"] = str(error.extra.get("retry_after_s", 1))
    response["Cache-Control"] = "no-store"
    # Django would write a second line of its own for each 4xx and 5xx.
    response._has_been_logged = True  # type: ignore[attr-defined]  # read by django.utils.log
    return response


def install(api: NinjaAPI) -> None:
    """Give `api` one handler for each family of exceptions."""
    api.add_exception_handler(ConfHubError, _refused)
    api.add_exception_handler(ValidationError, _not_valid)
    api.add_exception_handler(HttpError, _from_ninja)
    api.add_exception_handler(Http404, _not_found)
    api.add_exception_handler(RequestDataTooBig, _too_big)
    api.add_exception_handler(OperationalError, _database_away)
    api.add_exception_handler(InterfaceError, _database_away)
    api.add_exception_handler(Exception, _broken)


def _refused(request: HttpRequest, error: Any) -> HttpResponse:
    if isinstance(error, NotAllowed):
        error.detail = whom_to_ask(error)
    log.info("request.refused", code=error.code, method=request.method, path=request.path[:200])
    return answer(request, error)


def _not_valid(request: HttpRequest, error: Any) -> HttpResponse:
    fields = dict(_sentences(error.errors))
    name, sentence = next(iter(fields.items()))
    more = f" ({len(fields) - 1} more.)" if len(fields) > 1 else ""
    return _refused(request, BadRequest(f"{name}: {sentence}{more}", fields=fields))


def _from_ninja(request: HttpRequest, error: Any) -> HttpResponse:
    """What ninja raises itself: nobody signed in, or a body that is no JSON."""
    if isinstance(error, AuthenticationError):
        try:
            limits.by_address(request)
        except limits.RateLimited as too_many:
            return _refused(request, too_many)
        return _refused(
            request,
            NotSignedIn("Sign in, or send 'Authorization: Bearer' with a token of ConfHub's."),
        )
    cause = error.__cause__
    if isinstance(cause, RecursionError):
        return _refused(request, BadJson("The body nests too deeply."))
    if isinstance(cause, ValueError):
        return _refused(request, BadJson(f"The body is not JSON: {_printable(str(cause))}."))
    return _refused(request, cause if isinstance(cause, ConfHubError) else BadRequest(str(error)))


def _not_found(request: HttpRequest, _: Any) -> HttpResponse:
    return no_such_call(request)


def no_such_call(request: HttpRequest) -> HttpResponse:
    """The answer at an address below /api that is no call's."""
    way_out = "The calls are listed at /api/v1/docs."
    if request.path.endswith("/"):
        way_out = f"No address ends with a slash. {way_out}"
    path = _printable(request.path[:200])
    return _refused(request, NoSuchCall(f"There is no call at {path}. {way_out}"))


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """The answer to a method that an address does not have; `allowed` as in the Allow header."""
    methods = ", ".join(sorted(allowed.replace(" ", "").split(",")))
    response = _refused(
        request,
        MethodNotAllowed(f"{request.method} is not possible at {request.path}. Use {methods}."),
    )
    response["Allow"] = methods
    return response


def length_required(request: HttpRequest) -> HttpResponse:
    """The answer to a body of unknown length."""
    return _refused(
        request, LengthRequired("Send the body with a Content-Length header, not in chunks.")
    )


def _too_big(request: HttpRequest, _: Any) -> HttpResponse:
    sentence = (
        f"The body has more than {max_body_bytes():,} bytes. A value has 256 KiB at most; put "
        "large data into the image or a volume, and its address here."
    )
    return _refused(request, BodyTooLarge(sentence))


def _database_away(request: HttpRequest, error: Any) -> HttpResponse:
    log.error("database.away", error=type(error).__name__, exc_info=error)
    return answer(
        request,
        DatabaseAway("The database did not answer, so nothing was changed. Try again in a second."),
    )


def _broken(request: HttpRequest, error: Any) -> HttpResponse:
    log.error("request.broke", exc_info=error, method=request.method, path=request.path[:200])
    request_id = getattr(request, "request_id", "")
    return answer(
        request,
        Broken(f"ConfHub failed at this request. An operator finds why under {request_id}."),
    )


def _sentences(errors: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """("set.MAX", "Input should be …") for each of pydantic's findings.

    The first two parts of a place say where it was found (body, query …) and the argument's name.
    """
    for error in errors:
        place = [str(part) for part in error["loc"]]
        names = place[2:] if place[0] == "body" and len(place) > 2 else place[1:]
        yield _printable(".".join(names) or "body")[:200], _sentence(error)


def _sentence(error: Mapping[str, Any]) -> str:
    words = _WORDS.get(error["type"])
    if words is not None:
        return words.format(**error.get("ctx", {}))
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if message.endswith(".") else f"{message}."


# pydantic's findings in the words of this house; another one keeps pydantic's own.
_WORDS = {
    "missing": "It is missing. Write it.",
    "extra_forbidden": "There is no field of this name. Leave it out, or correct its name.",
    "string_type": "Write a string.",
    "string_too_long": "Write at most {max_length} characters.",
    "int_type": "Write a whole number.",
    "int_parsing": "Write a whole number.",
    "int_parsing_size": "Write a smaller number.",
    "int_from_float": "Write a whole number.",
    "float_parsing": "Write a number.",
    "finite_number": "Write a number.",
    "bool_type": "Write true or false.",
    "dict_type": "Write an object.",
    "list_type": "Write a list.",
    "model_type": "Write an object.",
    "model_attributes_type": "Write an object.",
    "greater_than_equal": "Write {ge} or more.",
    "less_than_equal": "Write {le} or less.",
}


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def _below(kind: type[ConfHubError]) -> set[type[ConfHubError]]:
    direct = set(kind.__subclasses__())
    return direct.union(*(_below(child) for child in direct))
