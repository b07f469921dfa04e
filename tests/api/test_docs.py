"""docs/rest.md and the pages below docs/rest promise what really happens: every example is run, in
order, and every call has one."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from django.test import Client
from django.urls import Resolver404, resolve

from confhub.api.interface import api as interface
from tests.api.conformance import undocumented
from tests.api.conftest import TOKEN, Caller

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "rest.md", *sorted((DOCS / "rest").glob("*.md"))]
SITE = "http://127.0.0.1:8000"


class Example(NamedTuple):
    method: str
    address: str
    headers: dict[str, str]
    body: bytes
    status: int


def examples() -> list[Example]:
    """The curl commands of the pages, in order, each with the status in the comment under it."""
    text = text_of_pages().replace("\\\n", " ")
    return [
        example(command, int(status))
        for command, status in re.findall(r"^(curl .*)\n# (\d{3})$", text, re.MULTILINE)
    ]


def text_of_pages() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def example(command: str, status: int) -> Example:
    command = command.replace("$API", f"{SITE}/api/v1")
    command = command.replace("$AUTH", f"Authorization: Bearer {TOKEN}")
    words = iter(shlex.split(command)[1:])
    method, address, headers, body = "", "", {}, b""
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, held = next(words).partition(": ")
            headers[name] = held
        elif word == "-d":
            body = next(words).encode()
        else:
            assert word.startswith(SITE), command
            address = word.removeprefix(SITE)
    return Example(method or ("POST" if body else "GET"), address, headers, body, status)


def test_every_example_answers_what_it_says(api: Caller, transactional_db: None) -> None:
    last_id = ""
    for each in examples():
        answer = Client().generic(
            each.method, each.address.replace("$ID", last_id), each.body,
            content_type="application/x-www-form-urlencoded",  # what curl -d says
            headers=each.headers,
        )  # fmt: skip
        assert answer.status_code == each.status, (each, answer.content)
        assert not (problem := undocumented(each.method, each.address, answer)), problem
        if (
            answer["Content-Type"] == "application/json; charset=utf-8"
            and b'"id"' in answer.content
        ):
            last_id = str(answer.json().get("id", last_id))


def test_every_call_has_an_example() -> None:
    shown = {(each.method, name_of(each.address)) for each in examples()}

    wanted = {
        (method.upper(), operation["operationId"])
        for methods in interface.get_openapi_schema()["paths"].values()
        for method, operation in methods.items()
    }
    assert {operation for _, operation in wanted} <= {
        operation_of(method, address) for method, address in shown
    }
    assert ("GET", "healthz") in shown
    assert ("GET", "readyz") in shown


def test_every_command_is_followed_by_its_status() -> None:
    text = text_of_pages()

    assert len(examples()) == len(re.findall(r"^curl ", text, re.MULTILINE))


def name_of(address: str) -> str:
    address = address.replace("$ID", "1")
    return address.partition("?")[0] if address.startswith("/api") else address.strip("/")


def operation_of(method: str, address: str) -> str:
    """The operation id behind an address, found as a template of the OpenAPI document."""
    for path, methods in interface.get_openapi_schema()["paths"].items():
        template = re.sub(r"\{\w+\}", "[^/]+", path)
        if re.fullmatch(template, address) and method.lower() in methods:
            return str(methods[method.lower()]["operationId"])
    return ""


def test_every_address_is_one() -> None:
    for each in examples():
        try:
            resolve(each.address.partition("?")[0].replace("$ID", "1"))
        except Resolver404 as error:
            raise AssertionError(each.address) from error
