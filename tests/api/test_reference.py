"""The OpenAPI document and its page."""

from html.parser import HTMLParser
from typing import Any

from django.contrib.staticfiles import finders
from django.test import Client
from pydantic import BaseModel

from confhub.api import problems
from tests.api import conformance, snapshot


def test_the_document_is_the_one_that_was_reviewed(client: Client) -> None:
    """Where the change is wanted: python -m tests.api.snapshot"""
    assert client.get("/api/v1/openapi.json").json() == snapshot.reviewed()


def test_every_reference_of_the_document_leads_somewhere(client: Client) -> None:
    document = client.get("/api/v1/openapi.json").json()

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if "$ref" in node else set()
            return own.union(*(references(each) for each in node.values()))
        if isinstance(node, list):
            return set().union(*(references(each) for each in node))
        return set()

    assert document["openapi"].startswith("3.1")
    components = document["components"]
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses", "headers")
        for name in components[kind]
    }
    assert references(document) == there


def test_no_two_shapes_have_one_name() -> None:
    """In the document the last one would stand for both."""
    homes: dict[str, set[str]] = {}
    left: list[type[BaseModel]] = [BaseModel]
    while left:
        shape = left.pop()
        left += shape.__subclasses__()
        if shape.__module__.startswith("confhub.api") and "[" not in shape.__name__:
            homes.setdefault(shape.__name__, set()).add(shape.__module__)
    assert {name: home for name, home in homes.items() if len(home) > 1} == {}


def test_every_refusal_has_its_codes(client: Client) -> None:
    """No call has a `default` that would stand for whatever it answers."""
    for path, methods in client.get("/api/v1/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            told = f"{method} {path}"
            statuses = {int(status) for status in operation["responses"]}
            assert {429, 503} <= statuses, told
            assert 401 in statuses or operation["security"] == [], told
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert conformance.codes_of(answer), (told, status)


def test_no_code_of_a_problem_is_documented_nowhere(client: Client) -> None:
    told: set[str] = set()
    for methods in client.get("/api/v1/openapi.json").json()["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                told |= conformance.codes_of(answer) or set()
    # A method that an address does not have, a fault, what only says whom a publish would ask.
    elsewhere = {"method.not_allowed", "server.error", "hook.not_asked"}
    # Of workers, and known here only where a test before this one has loaded them.
    elsewhere_or_not = {"host.no_duty"}
    assert {kind.code for kind in problems.every_kind()} - told - elsewhere_or_not == elsewhere


def test_the_page_shows_every_call_and_every_problem(client: Client) -> None:
    document = client.get("/api/v1/openapi.json").json()

    page = client.get("/api/v1/docs")

    text = page.content.decode()
    for path in document["paths"]:
        assert path in text
    for kind in problems.every_kind():
        if kind.code != "error":
            assert f'id="{kind.code}"' in text  # where a problem's `type` points to


def test_the_page_loads_nothing_that_our_policy_forbids(client: Client) -> None:
    page = client.get("/api/v1/docs")
    found = Assets()
    found.feed(page.content.decode())

    assert found.inline == []
    assert found.addresses == ["/static/api/reference.css"]
    assert "default-src 'none'" in page["Content-Security-Policy"]
    assert finders.find("api/reference.css")


def test_every_link_of_the_page_leads_somewhere(client: Client) -> None:
    found = Assets()
    found.feed(client.get("/api/v1/docs").content.decode())

    inner = {link.removeprefix("#") for link in found.links if link.startswith("#")}
    assert inner <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


class Assets(HTMLParser):
    """What a page loads, links to and does in place."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if tag in ("script", "style") or any(
            name == "style" or name.startswith("on") for name in held
        ):
            self.inline.append(tag)
        if tag in ("link", "script", "img") and (held.get("href") or held.get("src")):
            self.addresses.append(str(held.get("href") or held.get("src")))
        if tag == "a" and held.get("href"):
            self.links.append(str(held["href"]))
        if held.get("id"):
            self.ids.append(str(held["id"]))
