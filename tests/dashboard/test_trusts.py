"""The pages of CI identity: made, changed and removed by forms, and the pipelines that they show."""

import html
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.test import Client

from confhub.access import actions as access
from confhub.access import grants, trusts
from confhub.access.issuers import issuers
from confhub.access.models import Token, Trust
from confhub.access.queries import token_digest
from confhub.access.trusts import Terms
from confhub.core import clock
from confhub.core.actors import Reach
from tests.parts.factories import ANN, a_scope
from tests.parts.issuer import Issuer, github

GITHUB = "https://token.actions.githubusercontent.com"
FORM = {
    "name": "deploy", "issuer": GITHUB, "audience": "https://confhub.example", "person": "ann",
    "claims": "repository = acme/shop\n\nref=refs/heads/*\n", "minutes": "10", "jwks_url": "",
    "reach-0-verbs": ["publish"], "reach-0-service": "billing", "reach-0-environment": "prod",
}  # fmt: skip
STOOD = {"repository": "acme/shop"}


@pytest.fixture(autouse=True)
def static_root(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def ann(db: None) -> User:
    a_scope()
    return access.ensure_person("ann", password="a-password-of-ann", now=clock.now())


@pytest.fixture
def browser(ann: User) -> Client:
    client = Client()
    client.force_login(ann)
    return client


def a_trust(name: str = "deploy", *, issuer: str = GITHUB, reaches: int = 1) -> Trust:
    terms = Terms(
        issuer=issuer, audience="https://confhub.example", claims=STOOD, person="ann",
        reaches=[Reach(frozenset({"publish"}), "billing", "prod")] * reaches,
    )  # fmt: skip
    return trusts.make_trust(name, terms, who=ANN, now=clock.now())


def test_a_trust_is_made_and_its_pipeline_is_shown(browser: Client) -> None:
    answer = browser.post("/trusts/", FORM, follow=True)

    assert answer.redirect_chain == [("/trusts/deploy/", 302)]
    [held] = trusts.trusts_for(ANN, now=clock.now())
    assert held.row.claims == {"repository": "acme/shop", "ref": "refs/heads/*"}
    assert (held.person, held.row.lifetime_s) == ("ann", 600)
    [reach] = held.reach
    assert (reach.verbs, reach.place) == (["see", "publish"], "for billing@prod")
    text = answer.content.decode()
    assert text.index("GitHub Actions") < text.index("GitLab CI")
    assert "id-token: write" in text
    listed = browser.get("/trusts/").content.decode()
    assert "ref = refs/heads/*" in listed
    assert "none yet" in listed


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"claims": "repository acme/shop"}, "write it as name = value"),
        ({"claims": "ref = a\nref = b"}, "stands there twice"),
        ({"claims": "ref = refs/heads/main"}, "Everybody may have jobs"),
        ({"issuer": "http://forge.example"}, "https://"),
        ({"name": "Deploy"}, "is not a name"),
        ({"reach-0-verbs": []}, "1 to 50 places"),
        ({"reach-0-service": "nothing"}, "Select a valid choice"),
        ({"minutes": "61"}, "less than or equal to 60"),
        ({"person": "nobody"}, "Select a valid choice"),
    ],
    ids=["line", "twice", "everybody", "clear", "name", "verbs", "service", "minutes", "person"],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    browser: Client, other: dict[str, Any], says: str
) -> None:
    answer = browser.post("/trusts/", FORM | other)

    assert answer.status_code == 422
    text = html.unescape(answer.content.decode())
    assert says in text
    assert "https://confhub.example" in text
    assert not Trust.objects.exists()


def test_a_change_ends_what_it_gave_and_keeps_every_place(browser: Client, ann: User) -> None:
    held = a_trust(reaches=5)
    access.set_token("ci.deploy.1", token="given", user=ann, now=clock.now())
    Token.objects.filter(name="ci.deploy.1").update(made_by="trust:deploy", source="x")
    page = browser.get("/trusts/deploy/").content.decode()
    assert "Place 5" in page
    places = {f"reach-{at}-{name}": value for at in range(5) for name, value in
              (("verbs", ["see"]), ("service", ""), ("environment", "prod"))}  # fmt: skip

    answer = browser.post("/trusts/deploy/", FORM | places)

    assert answer.status_code == 302
    assert not Token.objects.filter(name="ci.deploy.1").exists()
    [found] = trusts.trusts_for(ANN, now=clock.now())
    assert [each.place for each in found.reach] == ["for every service in prod"] * 5
    assert found.row.pk == held.pk


def test_a_refused_change_changes_nothing(browser: Client) -> None:
    held = a_trust()

    answer = browser.post("/trusts/deploy/", FORM | {"claims": "repository = *"})

    assert answer.status_code == 422
    held.refresh_from_db()
    assert held.claims == STOOD


def test_it_is_removed(browser: Client) -> None:
    a_trust()

    assert browser.get("/trusts/deploy/remove/").status_code == 405
    answer = browser.post("/trusts/deploy/remove/", follow=True)

    assert "trusted no longer" in answer.content.decode()
    assert not Trust.objects.exists()
    assert browser.get("/trusts/deploy/").status_code == 404


def test_whoever_administers_only_a_part_is_refused(browser: Client) -> None:
    mia = access.make_person("mia", password="a sentence of mia", who=ANN, now=clock.now())
    grants.grant(mia, "admin", service=a_scope().service, who=ANN, now=clock.now())
    a_trust()
    browser.force_login(mia)

    for answer in (
        browser.get("/trusts/"),
        browser.post("/trusts/", FORM | {"name": "mine"}),
        browser.get("/trusts/deploy/"),
        browser.post("/trusts/deploy/", FORM),
        browser.post("/trusts/deploy/remove/"),
    ):
        assert answer.status_code == 403
    assert list(Trust.objects.values_list("name", "claims")) == [("deploy", STOOD)]


def test_the_list_asks_no_more_often_for_more(
    browser: Client, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    a_trust("a")
    with CaptureQueriesContext(connection) as one:
        browser.get("/trusts/")
    for name in ("b", "c", "d"):
        a_trust(name)
    with django_assert_num_queries(len(one)):
        browser.get("/trusts/")


# --- the pipelines, run as they stand there -------------------------------------------------------


@pytest.fixture
def forge(settings: Any) -> Iterator[Issuer]:
    issuers.forget()
    server = Issuer()
    settings.CONFHUB_OUTGOING_ALLOW = [server.host]
    yield server
    server.stop()
    issuers.forget()


def _shown(browser: Client, address: str, title: str) -> Any:
    """The YAML under the heading `title` of the page."""
    text = browser.get("/trusts/deploy/", headers={"Host": address}).content.decode()
    part = text[text.index(f">{title}</h3>") :]
    code = re.search(r"<code>(.*?)</code>", part, re.DOTALL)
    assert code is not None
    return yaml.safe_load(html.unescape(code[1]))


def _run(script: str, folder: Path, **environment: str) -> str:
    """What a runner's shell says; `confhub` is a stand-in that shows with what it was called."""
    stand_in = folder / "confhub"
    stand_in.write_text('#!/bin/sh\necho "$CONFHUB_URL $CONFHUB_TOKEN $*"\n')
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    ran = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], capture_output=True, text=True, timeout=30,
        check=False, env={"PATH": f"{folder}:{os.environ['PATH']}", "NO_PROXY": "*", **environment},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.django_db(transaction=True)
def test_the_github_pipeline_signs_in_as_it_stands_there(
    live_server: Any, browser: Client, forge: Issuer, tmp_path: Path
) -> None:
    a_trust(issuer=forge.url)
    identity = forge.token(github(forge.url, now=clock.now()))
    forge.answers["/token?api-version=2.0&audience=https%3A%2F%2Fconfhub.example"] = (
        200, json.dumps({"value": identity}).encode(),
    )  # fmt: skip

    pipeline = _shown(browser, live_server.url.removeprefix("http://"), "GitHub Actions")
    sign_in, publish = pipeline["jobs"]["deploy"]["steps"]
    handed_on = tmp_path / "github_env"
    said = _run(
        sign_in["run"], tmp_path, GITHUB_ENV=str(handed_on), **pipeline["env"],
        ACTIONS_ID_TOKEN_REQUEST_TOKEN="the-runners-own",
        ACTIONS_ID_TOKEN_REQUEST_URL=f"{forge.url}/token?api-version=2.0",
    )  # fmt: skip

    token = handed_on.read_text().strip().removeprefix("CONFHUB_TOKEN=")
    assert said == f"::add-mask::{token}\n"
    assert pipeline["permissions"]["id-token"] == "write"
    assert Token.objects.get(digest=token_digest(token)).made_by == "trust:deploy"
    called = _run(publish["run"], tmp_path, CONFHUB_TOKEN=token, GITHUB_SHA="b8962f4", **pipeline["env"])  # fmt: skip
    assert called == f"{live_server.url} {token} publish billing@prod -m deploy b8962f4 --set TAG=b8962f4 --wait\n"  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_the_gitlab_pipeline_signs_in_as_it_stands_there(
    live_server: Any, browser: Client, forge: Issuer, tmp_path: Path
) -> None:
    a_trust(issuer=forge.url)
    job = _shown(browser, live_server.url.removeprefix("http://"), "GitLab CI")["deploy"]
    identity = forge.token(
        github(forge.url, now=clock.now(), aud=job["id_tokens"]["CONFHUB_ID_TOKEN"]["aud"])
    )

    said = _run(
        "\n".join(job["script"]), tmp_path, CONFHUB_ID_TOKEN=identity, CI_COMMIT_SHA="714a629",
        **job["variables"],
    )  # fmt: skip

    url, token, rest = said.split(" ", 2)
    assert url == live_server.url
    assert Token.objects.get(digest=token_digest(token)).made_by == "trust:deploy"
    assert rest == "publish billing@prod -m deploy 714a629 --set TAG=714a629 --wait\n"
