"""One service in all its environments: what differs, what is missing, one key set in several."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from confhub.access import grants
from confhub.access import layers as doors
from confhub.catalog.models import Scope
from confhub.core.actors import Actor, Granted
from confhub.publishing import layers
from confhub.releases import actions as releases
from confhub.releases.models import DraftChange
from confhub.releases.queries import draft_of
from tests.parts.factories import ANN, BEN, NOON, a_person, a_release, a_scope
from watchers.wire.sealing import SealingKey

pytestmark = pytest.mark.django_db
ALL = "/services/billing/all/"
KEY = f"{ALL}key/"


@pytest.fixture
def scopes(db: None) -> dict[str, Scope]:
    """billing in dev and prod with keys, in staging with nothing."""
    made = {name: a_scope("billing", name) for name in ("dev", "prod", "staging")}
    a_release(made["dev"], {"POOL": 10, "HOST": "db", "DEBUG": True})
    a_release(made["prod"], {"POOL": 200, "HOST": "db"})
    return made


@pytest.fixture
def page(client: Client) -> Client:
    client.force_login(a_person())
    return client


def text(answer: Any) -> str:
    return str(answer.content.decode())


def row(drawn: str, key: str) -> str:
    found = re.search(rf'<tr data-key="{key}".*?</tr>', drawn, re.DOTALL)
    assert found, f"{key} is not drawn"
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0])).strip()


def form_of(drawn: str) -> dict[str, str]:
    """What a browser would send of the key's form, untouched."""
    sent = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', drawn))
    for name, value in re.findall(
        r'<textarea[^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', drawn, re.DOTALL
    ):
        sent[name] = value.replace("\n", "\r\n")
    for name, options in re.findall(r'<select id="kind[^>]*name="([^"]+)">(.*?)</select>', drawn):
        sent[name] = re.findall(r'value="([^"]+)" selected', options)[0]
    return sent


def drafts(scopes: dict[str, Scope]) -> dict[str, Any]:
    return {name: draft_of(scope).set for name, scope in scopes.items() if draft_of(scope).set}


def test_each_key_has_a_cell_for_each_environment(page: Client, scopes: dict[str, Scope]) -> None:
    releases.change_draft(scopes["prod"], set={"POOL": 250}, expected=None, who=BEN, now=NOON)

    drawn = text(page.get(ALL))

    assert row(drawn, "POOL") == "POOL missing somewhere 10 250 Drafted Missing"
    assert row(drawn, "DEBUG") == "DEBUG missing somewhere true Missing Missing"


def test_it_is_narrowed_by_what_differs_what_is_missing_and_by_text(page: Client) -> None:
    for name, pool in (("dev", 10), ("prod", 200)):
        a_release(a_scope("billing", name), {"POOL": pool, "HOST": "Db-7", name.upper(): 1})

    def keys(query: str) -> list[str]:
        return re.findall(r'<tr data-key="([^"]+)"', text(page.get(f"{ALL}?{query}")))

    assert keys("") == ["DEV", "HOST", "POOL", "PROD"]
    assert keys("show=differs") == ["DEV", "POOL", "PROD"]
    assert keys("show=missing") == ["DEV", "PROD"]
    assert keys("q=db-7") == ["HOST"]
    assert keys("q=poo&show=differs") == ["POOL"]
    assert keys("show=nonsense&q=nothing") == []


def test_a_layers_value_says_so_and_a_secret_shows_its_fingerprint(
    page: Client, scopes: dict[str, Scope], settings: Any
) -> None:
    settings.CONFHUB_MASTER_KEYS = SealingKey.generate("test").to_text()
    layer = doors.layer_for(ANN, "publish", "global")
    releases.change_draft(layer, set={"LEVEL": "info"}, expected=None, who=ANN, now=NOON)
    layers.publish_layer(layer, message="m", targets="all", who=ANN, now=NOON)
    entry = a_release(scopes["dev"], {"PASS": {"$secret": "canary-4711"}}).entries["PASS"]

    drawn = text(page.get(ALL))
    form = text(page.get(f"{KEY}?key=PASS"))

    assert "info from global" in row(drawn, "LEVEL")
    assert f"secret {entry['fingerprint']}" in row(drawn, "PASS")
    assert "value.dev" not in form, "a mask is no field, so that it cannot be saved"
    for held in (drawn, form):
        assert "canary" not in held
        assert entry["ciphertext"] not in held


def test_one_key_goes_into_three_environments_with_one_form(
    page: Client, scopes: dict[str, Scope]
) -> None:
    sent = form_of(text(page.get(ALL)).partition("<table")[0])
    sent |= {"key": "LIMIT", "value.dev": "1", "value.staging": "two", "value.prod": '["3"]'}
    sent |= {"kind.dev": "number", "kind.prod": "json"}

    answer = page.post(KEY, sent)

    assert answer["Location"] == f"{ALL}?q=LIMIT"
    assert drafts(scopes) == {
        "dev": {"LIMIT": 1}, "staging": {"LIMIT": "two"}, "prod": {"LIMIT": ["3"]},
    }  # fmt: skip


def test_an_empty_field_sets_nothing_and_an_empty_text_is_a_kind(
    page: Client, scopes: dict[str, Scope]
) -> None:
    sent = form_of(text(page.get(f"{KEY}?key=NEW"))) | {"key": "NEW", "kind.prod": "empty"}

    page.post(KEY, sent)

    assert drafts(scopes) == {"prod": {"NEW": ""}}


@pytest.mark.parametrize(
    "value",
    ["\nfirst line empty\r\nwindows", "", " spaces ", 10, 1.0, None, True, {"b": 1, "a": [2]}, "2"],
)
def test_a_form_sent_back_untouched_changes_nothing(page: Client, value: Any) -> None:
    scope = a_scope("billing", "dev")
    a_release(scope, {"KEY": value})
    before = list(DraftChange.objects.values())
    drawn = text(page.get(f"{KEY}?key=KEY"))
    sent = {
        name: held.replace("&quot;", '"').replace("&#x27;", "'")
        for name, held in form_of(drawn).items()
    }

    answer = page.post(KEY, sent)

    assert answer.status_code == 302
    assert list(DraftChange.objects.values()) == before


def test_who_was_slower_sees_both_and_the_others_are_saved(
    page: Client, scopes: dict[str, Scope]
) -> None:
    sent = form_of(text(page.get(f"{KEY}?key=POOL")))
    releases.change_draft(scopes["prod"], set={"POOL": 777}, expected=None, who=BEN, now=NOON)

    answer = page.post(KEY, sent | {"value.dev": "11", "value.prod": "201"})
    drawn = text(answer)

    assert answer.status_code == 422
    assert drafts(scopes) == {"dev": {"POOL": 11}, "prod": {"POOL": 777}}
    assert "Not saved in prod" in drawn
    assert "Saved in dev" in drawn
    assert "ben changed it here after you looked" in drawn
    assert ">777</pre>" in drawn
    again = form_of(drawn)
    assert (again["value.dev"], again["value.prod"]) == ("11", "201"), "nothing typed is lost"
    page.post(KEY, again)
    assert drafts(scopes) == {"dev": {"POOL": 11}, "prod": {"POOL": 201}}


def test_an_untouched_field_leaves_its_environment_alone_though_it_moved(
    page: Client, scopes: dict[str, Scope]
) -> None:
    sent = form_of(text(page.get(f"{KEY}?key=POOL")))
    releases.change_draft(scopes["prod"], set={"POOL": 777}, expected=None, who=BEN, now=NOON)

    answer = page.post(KEY, sent | {"value.dev": "11"})

    assert answer.status_code == 302
    assert drafts(scopes) == {"dev": {"POOL": 11}, "prod": {"POOL": 777}}


def test_what_is_no_value_is_said_at_its_environment_and_the_others_are_saved(
    page: Client, scopes: dict[str, Scope]
) -> None:
    sent = form_of(text(page.get(f"{KEY}?key=POOL")))

    answer = page.post(KEY, sent | {"value.dev": "eleven", "value.prod": "201"})

    assert answer.status_code == 422
    assert drafts(scopes) == {"prod": {"POOL": 201}}
    assert "is not a number" in text(answer)
    assert form_of(text(answer))["value.dev"] == "eleven"


@pytest.mark.parametrize("key", ["", "1ST", "WITH SPACE", "K" * 129])
def test_what_is_no_key_saves_nothing_anywhere(
    page: Client, scopes: dict[str, Scope], key: str
) -> None:
    sent = form_of(text(page.get(f"{KEY}?key=NEW"))) | {"key": key, "value.dev": "x"}

    answer = page.post(KEY, sent)

    assert answer.status_code == 422
    assert 'id="key-problem"' in text(answer)
    assert ">\nx</textarea>" in text(answer)
    assert drafts(scopes) == {}


def test_a_key_is_removed_where_it_is_ticked(page: Client, scopes: dict[str, Scope]) -> None:
    sent = form_of(text(page.get(f"{KEY}?key=POOL")))

    page.post(KEY, sent | {"remove.dev": "1"})

    assert draft_of(scopes["dev"]).unset == ["POOL"]
    assert draft_of(scopes["prod"]).changes == []


def test_a_version_that_is_missing_saves_nothing(page: Client, scopes: dict[str, Scope]) -> None:
    answer = page.post(KEY, {"key": "POOL", "value.dev": "1", "kind.dev": "number"})

    assert answer.status_code == 422
    assert "The page was incomplete" in text(answer)
    assert drafts(scopes) == {}


def test_one_saves_where_one_may_and_is_told_where_one_may_not(
    scopes: dict[str, Scope], client: Client
) -> None:
    mia = a_person("mia")
    type(mia).objects.filter(pk=mia.pk).update(is_superuser=False)
    root = Actor("root", None, active=True, grants=(Granted("admin"),))
    for role, scope in (("editor", scopes["dev"]), ("viewer", scopes["prod"])):
        grants.grant(
            mia, role, service=scope.service, environment=scope.environment, who=root, now=NOON
        )
    client.force_login(mia)
    drawn = text(client.get(f"{KEY}?key=POOL"))
    sent = form_of(drawn)

    client.post(
        KEY,
        sent | {"value.dev": "11", "value.prod": "201", "kind.prod": "number", "version.prod": "0"},
    )

    assert "You may look at prod, but not edit it." in drawn
    assert "staging" not in drawn
    assert drafts(scopes) == {"dev": {"POOL": 11}}
    assert client.get("/services/shop/all/").status_code == 404


def test_many_keys_come_in_parts(page: Client) -> None:
    for name in ("dev", "prod"):
        a_release(a_scope("billing", name), {f"KEY_{at:03}": at for at in range(130)})

    first, last = text(page.get(f"{ALL}?q=key")), text(page.get(f"{ALL}?q=key&page=99"))

    assert first.count("<tr data-key=") == 100
    assert "1 to 100 of 130" in first
    assert "?q=key&amp;page=2" in first
    assert last.count("<tr data-key=") == 30


def test_it_takes_as_many_queries_for_six_environments_as_for_two(page: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as sent:
            page.get(ALL)
        return len(sent)

    for name in ("dev", "prod"):
        a_release(a_scope("billing", name), {"POOL": 1})
        releases.change_draft(
            a_scope("billing", name), set={"A": 1}, expected=None, who=ANN, now=NOON
        )
    few = queries()
    for name in ("qa", "staging", "demo", "load"):
        a_release(a_scope("billing", name), {"POOL": 1})

    assert queries() == few
