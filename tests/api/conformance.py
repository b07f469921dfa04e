"""Is an answer one that the OpenAPI document has? Asked of every answer that the tests get."""

import re
from functools import cache
from typing import Any

from confhub.api.interface import api

PREFIX = "/api/v1"


@cache
def _templates() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Longer ones first, and those with fewer names, as the server takes them."""
    paths: dict[str, Any] = api.get_openapi_schema()["paths"]
    ordered = sorted(paths, key=lambda path: (path.count("{"), -len(path)))
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), paths[path]) for path in ordered]  # fmt: skip


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The document's operation behind an address without its query; None where there is none."""
    asked = "get" if method == "HEAD" else method.lower()
    for template, methods in _templates():
        if template.fullmatch(path) and asked in methods:
            found: dict[str, Any] = methods[asked]
            return found
    return None


def codes_of(answer: dict[str, Any]) -> set[str] | None:
    """The problem codes that a documented answer may have; None where it is no problem."""
    content = resolved(answer).get("content", {}).get("application/problem+json")
    if content is None:
        return None
    return set(content["schema"]["allOf"][1]["properties"]["code"]["enum"])


def resolved(answer: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in answer:
        return answer
    found: dict[str, Any] = api.get_openapi_schema()["components"]["responses"][
        answer["$ref"].rsplit("/", 1)[-1]
    ]
    return found


def undocumented(method: str, path: str, answer: Any) -> str:
    """What of the answer is not in the document, as a sentence; "" where all of it is.

    A fault of the server's own is no call's answer, and is looked for elsewhere.
    """
    operation = operation_of(method, path.partition("?")[0])
    if operation is None or answer.status_code in (405, 500):
        return ""
    known = operation["responses"].get(answer.status_code)
    told = f"{method} {path.partition('?')[0]}: {answer.status_code}"
    if known is None:
        return f"{told} {answer.content[:300]!r} is not documented (confhub/api/refusals.py)"
    codes = codes_of(known)
    if codes is not None and answer.json()["code"] not in codes:
        return f"{told} {answer.json()['code']} is not documented (confhub/api/refusals.py)"
    return ""
