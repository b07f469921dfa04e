"""The search box and what it finds."""

import re
from typing import Any

import pytest
from django.test import Client

from confhub.access import grants
from confhub.access import layers as doors
from confhub.core.actors import Actor, Granted
from confhub.publishing import layers
from confhub.releases import actions as releases
from tests.parts.factories import ANN, NOON, a_person, a_release, a_scope
from watchers.wire.sealing import SealingKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client) -> Client:
    client.force_login(a_person())
    return client


def text(answer: Any) -> str:
    return str(answer.content.decode())


def links(drawn: str) -> list[str]:
    return [
        each.replace("&amp;", "&")
        for each in re.findall(r'<li class="found-line"><a[^>]*href="([^"]+)"', drawn)
    ]


def a_global(**values: Any) -> None:
    layer = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(layer, set=values, expected=None, who=ANN, now=NOON)
    layers.publish_layer(layer, message="m", targets="all", who=ANN, now=NOON)


def test_every_page_has_the_box(page: Client) -> None:
    drawn = text(page.get("/services/"))

    assert (
        '<form class="top-search" method="get" action="/search/" role="search" aria-label="Everything">'
        in drawn
    )
    assert '<label class="visually-hidden" for="search-all">' in drawn


def test_a_hit_leads_to_its_page_and_names_the_layer(page: Client) -> None:
    a_release(a_scope("shop", "prod"), {"URL": "db-7"})
    a_global(HOST="db-7")

    drawn = text(page.get("/search/?q=DB-7"))

    assert links(drawn) == [
        "/layers/global/key/?key=HOST",
        "/services/shop/prod/config/key/?key=HOST",
        "/services/shop/prod/config/key/?key=URL",
    ]
    assert 'set by <a href="/layers/global/">global</a>' in drawn
    for link in links(drawn):
        assert page.get(link).status_code == 200


def test_all_kinds_of_hits_lead_somewhere(page: Client) -> None:
    a_person("prod-mia")
    scope = a_scope("prod-shop", "prod")
    a_release(scope, {"PROD_KEY": "prod value"}, message="to prod")
    a_global(PROD="x")

    drawn = text(page.get("/search/?q=prod"))

    for kind in ("keys", "values", "services", "environments", "layers", "releases", "people"):
        assert f'id="found-{kind}"' in drawn
    assert len(set(links(drawn))) >= 7
    for link in links(drawn):
        assert page.get(link).status_code == 200, link
    releases_found = links(text(page.get("/search/?q=r1&kind=releases")))
    assert sorted(releases_found) == [
        "/layers/global/releases/", "/services/prod-shop/prod/releases/1/",
    ]  # fmt: skip


def test_more_of_one_kind_is_a_link_away(page: Client) -> None:
    a_release(a_scope("shop", "prod"), {f"KEY_{at}": at for at in range(15)})

    first, alone = text(page.get("/search/?q=key_")), text(page.get("/search/?q=key_&kind=keys"))

    assert len(links(first)) == 10
    assert 'href="/search/?q=key_&amp;kind=keys"' in first
    assert len(links(alone)) == 15


def test_nothing_found_and_nothing_asked(page: Client) -> None:
    assert "Nothing holds “zebra”" in text(page.get("/search/?q=zebra"))
    assert page.get("/search/?q=zebra").status_code == 200
    assert "Nothing holds" not in text(page.get("/search/"))
    assert page.get(f"/search/?q={'x' * 300}").status_code == 422
    assert page.get("/search/?q=a%00b").status_code == 422


def test_what_is_looked_for_is_text_and_no_markup(page: Client) -> None:
    a_release(a_scope("shop", "prod"), {"A": "<script>x</script>"})

    drawn = text(page.get("/search/?q=<script>"))

    assert "&lt;script&gt;x" in drawn
    assert "<script>x" not in drawn


def test_a_secret_is_drawn_as_its_fingerprint(page: Client, settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = SealingKey.generate("test").to_text()
    entry = a_release(a_scope("shop", "prod"), {"PASS": {"$secret": "canary-4711"}}).entries["PASS"]

    drawn = text(page.get("/search/?q=pass"))

    assert f"secret {entry['fingerprint']}" in drawn
    assert "canary" not in drawn
    assert entry["ciphertext"] not in drawn
    assert "Nothing holds" in text(page.get("/search/?q=canary-4711"))


def test_one_finds_what_one_may_see(client: Client) -> None:
    for service in ("shop", "mail"):
        a_release(a_scope(service, "prod"), {"HOST": "db-7"})
    a_global(LEVEL="db-7")
    mia = a_person("mia")
    type(mia).objects.filter(pk=mia.pk).update(is_superuser=False)
    root = Actor("root", None, active=True, grants=(Granted("admin"),))
    grants.grant(mia, "viewer", service=a_scope("shop", "prod").service, who=root, now=NOON)
    client.force_login(mia)

    drawn = text(client.get("/search/?q=db-7"))

    assert links(drawn) == [
        "/services/shop/prod/config/key/?key=HOST", "/services/shop/prod/config/key/?key=LEVEL",
    ]  # fmt: skip
    assert "set by global" in drawn, "its name, without a link to what may not be seen"
