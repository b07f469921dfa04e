"""The OpenAPI document, completed: every status that a call can answer, its codes and its headers.

ninja writes what a call takes and what it answers where all is well. What may be refused follows
from the call's shape (a body can be no JSON) and from confhub.api.refusals.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from confhub.access.policies import NotAllowed, NotFound, NotSignedIn
from confhub.access.queries import TokenEnded
from confhub.api import problems, refusals
from confhub.api.auth import CsrfFailed
from confhub.api.bodies import BadCursor, BadHeader, BadJson, PreconditionMissing
from confhub.api.idempotency import KeyUsedOtherwise, NotRepeatable
from confhub.api.limits import RateLimited
from confhub.api.rehearsals import JSON, MARKDOWN, NEVER, SAFE, TELLING, DryRunOut, NoDryRun
from confhub.core.errors import ConfHubError

PREFIX = "/api/v1"
PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "A problem document (RFC 9457). Some codes add facts of their own.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened to what, and the way out."},
        "code": {"type": "string", "description": "Permanent; for programs."},
        "request_id": {"type": "string", "description": "The same as in the log."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "A sentence for each input that was refused.",
        },
    },
}
DRY_RUN = {
    "in": "query",
    "name": "dry_run",
    "required": False,
    "schema": {"type": "string", "enum": ["0", "1", "false", "true"], "default": "0"},
    "description": "1: do it, answer 200 with what it would answer and change, and take it back. "
    "With `Accept: text/markdown` as a comment for a pull request.",
}
HEADERS: dict[str, Any] = {
    "X-Request-Id": {
        "description": "The caller's, or one made here; the same as in the log.",
        "required": True,
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "The version of what is answered, for `If-Match`.",
        "schema": {"type": "string", "pattern": '^"[^"]+"$'},
    },
    "Location": {
        "description": "The address of what was made.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "The answer is the one that was given to this key first.",
        "schema": {"type": "string", "const": "true"},
    },
}
OF_STATUS = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}
_TAGGED = re.compile(r"(GET|PATCH|DELETE|PUT|POST) .*/draft(/.*)?|(GET|PATCH) /(services|environments)/\{\w+\}")  # fmt: skip
_SHARED = 3  # codes; an answer with more stands in its call


def complete(document: dict[str, Any]) -> None:
    """Add to ninja's document, in place, what it does not know."""
    components = document["components"]
    components["schemas"]["Problem"] = PROBLEM
    shape = DryRunOut.model_json_schema(
        ref_template="#/components/schemas/{model}", mode="serialization"
    )
    components["schemas"] |= shape.pop("$defs") | {"DryRunOut": shape}
    components["headers"] = HEADERS
    components["responses"] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete(method.upper(), path.removeprefix(PREFIX), operation, components["responses"])
    components["responses"] = dict(sorted(components["responses"].items()))


def _complete(method: str, path: str, operation: dict[str, Any], shared: dict[str, Any]) -> None:
    names = {each["name"] for each in operation["parameters"]}
    has_own_dry_run = "dry_run" in names
    if method not in SAFE and not has_own_dry_run and operation["operationId"] not in NEVER:
        operation["parameters"].append(DRY_RUN)
        _add_dry_run(operation)
    operation.setdefault("security", [])
    operation["responses"].pop("default", None)
    for status, answer in operation["responses"].items():
        headers = answer.setdefault("headers", {})
        headers |= _ref_headers(_headers_of(method, path, int(status), names))
    by_status: dict[int, set[type[ConfHubError]]] = {}
    for kind in kinds_of(method, path, operation):
        by_status.setdefault(kind.status, set()).add(kind)
    for status, kinds in by_status.items():
        operation["responses"][status] = _refused(status, kinds, shared)
    operation["responses"] = dict(sorted(operation["responses"].items(), key=lambda each: int(each[0])))  # fmt: skip


def kinds_of(method: str, path: str, operation: dict[str, Any]) -> set[type[ConfHubError]]:
    """Everything that the call may be refused with. `path` is below /api/v1."""
    kinds = refusals.of_call(method, path) | {problems.DatabaseAway, RateLimited}
    places = {each["in"] for each in operation["parameters"]}
    names = {each["name"] for each in operation["parameters"]}
    if operation.get("security"):
        kinds |= {NotSignedIn, TokenEnded, NotAllowed}
        kinds |= {CsrfFailed} if method not in SAFE else set()
    if "path" in places:
        kinds |= {NotFound, problems.NoSuchCall}
    if "/layers/global" in path:
        kinds |= {NotFound}
    if "requestBody" in operation or any(map(_is_read, operation["parameters"])):
        kinds |= {problems.BadRequest}
    if "after" in names:
        kinds |= {BadCursor}
    if "requestBody" in operation:
        kinds |= {BadJson, problems.BodyTooLarge}
    if method not in SAFE:
        kinds |= {problems.LengthRequired}
    if "If-Match" in names:
        kinds |= {BadHeader}
        kinds |= {PreconditionMissing} if method != "PATCH" or "/draft" in path else set()
    if "Idempotency-Key" in names:
        kinds |= {BadHeader, KeyUsedOtherwise}
    if "Last-Event-ID" in names:
        kinds |= {BadHeader}
    if operation["operationId"] in TELLING:
        kinds |= {NotRepeatable}
    if operation["operationId"] in NEVER:
        kinds |= {NoDryRun}
    return kinds


def _is_read(parameter: dict[str, Any]) -> bool:
    """Is it a part of the address that is more than any text?"""
    shapes = parameter["schema"].get("anyOf", [parameter["schema"]])
    return parameter["in"] != "header" and any(
        each.get("type") not in ("string", "null")
        or {"enum", "const", "maxLength", "pattern"} & set(each)
        for each in shapes
    )


def _headers_of(method: str, path: str, status: int, names: set[str]) -> Iterable[str]:
    yield "X-Request-Id"
    if status == HTTPStatus.OK and _TAGGED.fullmatch(f"{method} {path}"):
        yield "ETag"
    if status == HTTPStatus.CREATED:
        yield "Location"
    if status in (200, 201) and "Idempotency-Key" in names:
        yield "Idempotent-Replayed"


def _ref_headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _add_dry_run(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    dry = {"$ref": "#/components/schemas/DryRunOut"}
    there = answers.setdefault(200, {"description": "With `dry_run=1`: what it would come to."})
    content = there.setdefault("content", {})
    real = content.get(JSON, {}).get("schema")
    content[JSON] = {"schema": {"anyOf": [real, dry]} if real else dry}
    content[MARKDOWN] = {"schema": {"type": "string"}}


def _refused(status: int, kinds: set[type[ConfHubError]], shared: dict[str, Any]) -> dict[str, Any]:
    """The answer, or a reference to the same one of other calls."""
    known = sorted(kinds, key=lambda kind: kind.code)
    codes = [kind.code for kind in known]
    words = " ".join(f"`{kind.code}`: {_first_sentence(kind)}" for kind in known)
    made = {
        "description": words,
        "headers": _ref_headers(["X-Request-Id", *OF_STATUS.get(status, [])]),
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"type": "object", "properties": {"code": {"enum": codes}}},
                    ]
                }
            }
        },
    }
    if len(codes) > _SHARED:
        return made
    name = f"{status}-{'-'.join(codes)}"
    shared[name] = made
    return {"$ref": f"#/components/responses/{name}"}


def _first_sentence(kind: type[ConfHubError]) -> str:
    text = " ".join((kind.__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".") + "."
