"""The OpenAPI document and its page."""

from html.parser import HTMLParser
from typing import Any

from django.contrib.staticfiles import finders
from django.test import Client

from confhub.api import problems
from tests.api import snapshot


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
    schemas = document["components"]["schemas"]
    assert {name.rsplit("/", 1)[-1] for name in references(document)} == set(schemas)


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
