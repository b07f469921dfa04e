"""Every list goes on where its page ended."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from confhub.access import actions as access
from confhub.access import grants
from confhub.catalog.models import Environment, Scope, Service
from confhub.core import clock
from confhub.core.actors import Actor
from tests.api.conftest import PROD, Caller, problem


def every(api: Caller, path: str, key: str) -> list[Any]:
    """Of each page of one item its key, until there is no next one."""
    found, after = [], ""
    sign = "&" if "?" in path else "?"
    for _ in range(20):
        page = api.get(f"{path}{sign}limit=1{after}").json()
        found += [item[key] for item in page["items"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"
    raise AssertionError(f"{path} has no end")


@pytest.fixture
def several(api: Caller, checkout_prod: Scope, who: Actor) -> None:
    """Two requests, two freezes, three grants."""
    for place in (PROD, PROD.replace("prod", "dev")):
        api.patch(f"{place}/draft", {"set": {"A": 1}}, If_Match="*")
        assert api.post(f"{place}/requests", {"message": "m"}).status_code == 201
    for year in (2032, 2031):
        body = {
            "starts_at": f"{year}-01-01T00:00Z",
            "ends_at": f"{year}-01-02T00:00Z",
            "reason": "r",
        }
        assert api.post("/environments/prod/freezes", body).status_code == 201
    vic = access.make_person("vic", password="a-password-of-vic", who=who, now=clock.now())
    service, environment = Service.objects.get(), Environment.objects.get(slug="dev")
    for place in ((None, None), (service, None), (None, environment)):
        grants.grant(
            vic, "viewer", service=place[0], environment=place[1], who=who, now=clock.now()
        )


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/requests", "id"), ("/environments/prod/freezes", "starts_at"),
        ("/people/vic/grants", "id"), ("/layers", "slug"), ("/people", "name"),
        ("/environments", "slug"),
    ],
    ids=["requests", "freezes", "grants", "layers", "people", "environments"],
)  # fmt: skip
def test_a_list_is_read_page_by_page(api: Caller, several: None, path: str, key: str) -> None:
    whole = [item[key] for item in api.get(path).json()["items"]]
    assert every(api, path, key) == whole
    assert len(whole) > 1
    problem(api.get(f"{path}?after=~~"), 422, "cursor.bad")
    problem(api.get(f"{path}?limit=0"), 422, "request.bad")


def test_what_waits_for_oneself_is_paged(api: Caller, several: None, who: Actor) -> None:
    vic = User.objects.get(username="vic")
    grants.grant(vic, "approver", service=None, environment=None, who=who, now=clock.now())
    access.set_token("vic", token="token-of-vic-long-enough", user=vic, now=clock.now())
    whole = [item["id"] for item in api.get("/requests").json()["items"]]
    assert every(Caller("token-of-vic-long-enough"), "/requests?mine=true", "id") == whole
    assert every(api, "/requests?mine=true", "id") == []  # one's own request waits for others
