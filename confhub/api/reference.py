"""The OpenAPI document, and a page that shows it.

ninja's own page loads Swagger from another host and runs a script in the page; our
Content-Security-Policy forbids both, and a reference needs neither.
"""

import json
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from confhub.api import problems
from confhub.api.interface import api


@require_safe
def document(request: HttpRequest) -> HttpResponse:
    """OpenAPI 3.1. Open to everybody, as it holds nothing but this program's own shape."""
    return JsonResponse(api.get_openapi_schema(), json_dumps_params={"indent": 1})


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The same for people: each call with its parameters, its body and its answers."""
    return HttpResponse(_page())


@cache
def _page() -> str:
    schema = api.get_openapi_schema()
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["other"])[0]
            groups.setdefault(tag, []).append(_call(path, method.upper(), operation))
    schemas = [
        {"name": name, "about": _words(shape), "fields": _fields(shape)}
        for name, shape in sorted(schema["components"]["schemas"].items())
    ]
    kinds = [
        {
            "code": kind.code,
            "status": kind.status,
            "title": problems.title_of(kind),
            "about": _words({"description": kind.__doc__}),
        }
        for kind in problems.every_kind()
        if kind.code != "error"
    ]
    context = {
        "about": _words(schema["info"]),
        "groups": list(groups.items()),
        "schemas": schemas,
        "problems": kinds,
    }
    return render_to_string("api/reference.html", context)


def _call(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    return {
        "id": operation["operationId"],
        "method": method,
        "path": path,
        "about": operation.get("description", operation["summary"]).replace("`", ""),
        "parameters": [
            {
                "name": each["name"],
                "place": each["in"],
                "required": each["required"],
                "kind": _kind(each["schema"]),
                "about": _words(each),
            }
            for each in operation["parameters"]
        ],
        "body": [_kind(each["schema"]) for each in content.values()],
        "answers": [_answer(status, answer) for status, answer in operation["responses"].items()],
    }


def _answer(status: int, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer; of a refusal its codes, each with a link to what it says."""
    name = answer.get("$ref", "").rsplit("/", 1)[-1]
    if name:
        answer = api.get_openapi_schema()["components"]["responses"][name]
    content = answer.get("content", {})
    if problems.MEDIA_TYPE in content:
        codes = content[problems.MEDIA_TYPE]["schema"]["allOf"][1]["properties"]["code"]["enum"]
        kinds = [{"text": code, "link": "", "problem": code} for code in codes]
        return {"status": status, "about": "", "kinds": kinds}
    kinds = [_kind(each["schema"]) for each in content.values()]
    return {"status": status, "about": _words(answer), "kinds": kinds}


def _fields(shape: dict[str, Any]) -> list[dict[str, Any]]:
    required = shape.get("required", [])
    return [
        {
            "name": name,
            "kind": _kind(field),
            "required": name in required,
            "about": _words(field),
        }
        for name, field in shape.get("properties", {}).items()
    ]


def _kind(shape: dict[str, Any]) -> dict[str, str]:
    """{"text": "a list of ServiceOut", "link": "ServiceOut"} of a JSON schema."""
    if "$ref" in shape:
        name = shape["$ref"].rsplit("/", 1)[-1]
        return {"text": name, "link": name}
    for several in ("anyOf", "allOf", "oneOf"):
        if several in shape:
            kinds = [_kind(each) for each in shape[several]]
            return {
                "text": " or ".join(kind["text"] for kind in kinds),
                "link": next((kind["link"] for kind in kinds if kind["link"]), ""),
            }
    if shape.get("type") == "array":
        inner = _kind(shape.get("items", {}))
        return {"text": f"list of {inner['text']}", "link": inner["link"]}
    if "enum" in shape:
        return {"text": " | ".join(json.dumps(each) for each in shape["enum"]), "link": ""}
    if "const" in shape:
        return {"text": json.dumps(shape["const"]), "link": ""}
    return {"text": str(shape.get("type", "any JSON value")), "link": ""}


def _words(shape: dict[str, Any]) -> str:
    """Its description as one line of plain text."""
    return " ".join(str(shape.get("description", "")).replace("`", "").split())
