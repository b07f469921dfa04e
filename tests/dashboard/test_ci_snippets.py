"""Every line of the snippets for CI runs in the shell that its system uses, against a real web process."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

from confhub.access import trusts
from confhub.access.issuers import issuers
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Reach
from confhub.releases.models import Release
from dashboard.ci_snippets import snippets
from tests.dashboard.test_pages import an_instance
from tests.parts.factories import ANN, NOON, a_person, a_release, a_scope, a_token
from tests.parts.issuer import Issuer, github, gitlab
from tests.parts.receiver import Receiver
from tests.parts.web import WebThread

DOCS = Path(__file__).parents[2] / "docs" / "ci"
TOKEN = "a-token-of-admin-for-pipelines"
INSTALL = "pip install confhub"  # a pipeline's machine has no command yet; this one has
GITHUB_SHELL = ["bash", "-e", "-c"]  # what a step without `shell:` gets
GITLAB_SHELL = ["bash", "-eo", "pipefail", "-c"]
JENKINS_SHELL = ["sh", "-xe", "-c"]
SHA = "b8962f4eaff8e14fc646cb22c596c81e67d71362"


@dataclass
class Place:
    web: WebThread
    home: Path
    scope: Scope
    forge: Issuer
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> dict[str, str]:
        found = snippets(url=self.web.url, service="checkout", environment="prod")
        return {each.name: each.text for each in found}

    def run(
        self, shell: list[str], script: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        here = Path(sys.executable).parent
        held = {
            "PATH": f"{here}:{os.environ['PATH']}", "HOME": str(self.home), "LC_ALL": "C.UTF-8",
            "CONFHUB_RETRY_S": "0", **self.environment, **variables,
        }  # fmt: skip
        return subprocess.run(
            [*shell, script], capture_output=True, text=True, cwd=self.home, check=False, env=held,
            timeout=90,
        )  # fmt: skip

    @property
    def tags(self) -> list[Any]:
        rows = Release.objects.filter(scope=self.scope).order_by("number")
        return [each.entries.get("TAG", {}).get("value") for each in rows]


@pytest.fixture
def place(transactional_db: None, settings: Any, tmp_path: Path) -> Iterator[Place]:
    settings.STATIC_ROOT = tmp_path
    issuers.forget()
    forge, web = Issuer(), WebThread()
    settings.CONFHUB_OUTGOING_ALLOW = [forge.host]
    scope = a_scope("checkout", "prod")
    a_release(scope, {"TAG": "1.8"})
    a_token(TOKEN)
    a_person()
    web.start()
    try:
        yield Place(web, tmp_path, scope, forge)
    finally:
        web.stop()
        forge.stop()
        issuers.forget()


def trusting(place: Place, *names: str, **claims: str) -> None:
    for name in names:
        terms = trusts.Terms(
            issuer=place.forge.url, audience=place.web.url, claims=claims, person="admin",
            reaches=[Reach(frozenset({"see", "publish"}), "checkout", "prod")],
        )  # fmt: skip
        trusts.make_trust(name, terms, who=ANN, now=NOON)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, (done.args, done.stdout, done.stderr)
    return done.stdout


# --- the pages of docs ---------------------------------------------------------------------------


def test_the_docs_have_the_same_texts() -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    found = snippets(url="https://confhub.example.com", service="checkout", environment="prod")

    assert [each.name for each in found if each.text not in pages] == []


def test_the_page_of_a_service_shows_them_with_its_own_address(admin: Client, scope: Scope) -> None:
    page = admin.get("/services/billing/dev/releases/").content.decode()

    assert "Use it in CI" in page
    assert "CONFHUB_PLACE: billing@dev" in page
    assert "http://testserver/api/v1/services/billing/environments/dev" in page


# --- GitHub Actions ------------------------------------------------------------------------------


def github_steps(place: Place, job: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    workflow = yaml.safe_load(place.texts["github-actions"])
    assert workflow["permissions"]["id-token"] == "write"
    steps = workflow["jobs"][job]["steps"]
    assert not any("uses" in step for step in steps)
    return workflow["env"], [step for step in steps if step["run"] != INSTALL]


def at_github(place: Place, receiver: Receiver) -> dict[str, str]:
    """What GitHub sets for a job; the identity comes from a server, as there."""
    claims = github(place.forge.url, now=clock.now(), aud=place.web.url)
    place.forge.answers[f"/identity?v=1&audience={_quoted(place.web.url)}"] = (
        200, json.dumps({"value": place.forge.token(claims)}).encode(),
    )  # fmt: skip
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{place.forge.url}/identity?v=1",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner", "GITHUB_SHA": SHA, "GITHUB_RUN_ID": "42",
        "GITHUB_RUN_ATTEMPT": "1", "GITHUB_API_URL": receiver.url.removesuffix("/hook"),
        "GITHUB_REPOSITORY": "acme/shop",
    }  # fmt: skip


def _quoted(url: str) -> str:
    from urllib.parse import quote

    return quote(url, safe="")


def test_a_push_at_github_publishes_and_waits(place: Place) -> None:
    trusting(place, "deploy", repository="acme/shop")
    an_instance(place.scope, release=2)  # confirmed what is about to be published
    env, steps = github_steps(place, "deploy")
    with Receiver() as receiver:
        variables = {**at_github(place, receiver), **env}
        said = [succeeded(place.run(GITHUB_SHELL, step["run"], **variables)) for step in steps]
        again = succeeded(place.run(GITHUB_SHELL, steps[-1]["run"], **variables))

    assert "checkout@prod r2 is published" in said[-1]
    assert place.tags == ["1.8", SHA]
    assert "r2" in again  # the same run, so nothing was published again
    assert Release.objects.get(scope=place.scope, number=2).author.startswith("token:")


def test_a_pull_request_at_github_gets_a_comment_and_publishes_nothing(place: Place) -> None:
    trusting(place, "preview", repository="acme/shop")
    env, steps = github_steps(place, "preview")
    with Receiver() as receiver:
        variables = {**at_github(place, receiver), **env}
        for step in steps:
            variables |= {
                name: "7" if name == "PULL_REQUEST" else "t" for name in step.get("env", {})
            }
            succeeded(place.run(GITHUB_SHELL, step["run"], **variables))

    [got] = receiver.got
    assert got.path == "/repos/acme/shop/issues/7/comments"
    assert got.headers["authorization"] == "Bearer t"
    assert "TAG" in got.json["body"]
    assert SHA in got.json["body"]
    assert "|" in got.json["body"]
    assert place.tags == ["1.8"]


def test_a_job_of_another_repository_is_refused(place: Place) -> None:
    trusting(place, "deploy", repository="acme/other")
    env, steps = github_steps(place, "deploy")
    with Receiver() as receiver:
        done = place.run(GITHUB_SHELL, steps[0]["run"], **at_github(place, receiver), **env)

    assert done.returncode == 1
    assert place.tags == ["1.8"]


# --- GitLab CI -----------------------------------------------------------------------------------


def gitlab_script(place: Place, job: str) -> tuple[dict[str, str], str]:
    document = yaml.safe_load(place.texts["gitlab-ci"])
    assert document["default"]["id_tokens"]["CONFHUB_ID_TOKEN"]["aud"] == place.web.url
    assert document["default"]["before_script"] == [INSTALL]
    claims = gitlab(place.forge.url, now=clock.now(), aud=place.web.url)
    variables = {
        **document["variables"], "CONFHUB_ID_TOKEN": place.forge.token(claims),
        "CI_COMMIT_SHA": SHA, "CI_JOB_ID": "99", "CI_PROJECT_ID": "5",
        "CI_MERGE_REQUEST_IID": "7", "GITLAB_TOKEN": "glpat",
    }  # fmt: skip
    return variables, "\n".join(document[job]["script"])


def test_the_default_branch_at_gitlab_publishes_and_waits(place: Place) -> None:
    trusting(place, "deploy", project_path="acme/shop")
    variables, script = gitlab_script(place, "deploy")

    said = succeeded(place.run(GITLAB_SHELL, script, **variables))

    assert "checkout@prod r2 is published" in said
    assert place.tags == ["1.8", SHA]


def test_a_merge_request_at_gitlab_gets_a_note(place: Place) -> None:
    trusting(place, "preview", project_path="acme/shop")
    variables, script = gitlab_script(place, "preview")
    with Receiver() as receiver:
        api = receiver.url.removesuffix("/hook")
        succeeded(place.run(GITLAB_SHELL, script, **variables, CI_API_V4_URL=api))

    [got] = receiver.got
    assert got.path == "/projects/5/merge_requests/7/notes"
    assert got.headers["private-token"] == "glpat"
    assert SHA.encode() in got.body
    assert place.tags == ["1.8"]


# --- Jenkins -------------------------------------------------------------------------------------


def jenkins_steps(place: Place) -> tuple[dict[str, str], list[str]]:
    text = place.texts["jenkins"]
    names = dict(re.findall(r"^    (\w+) = '(.*)'$", text, re.MULTILINE))
    bodies = re.findall(r"sh '''\n(.*?)'''", text, re.DOTALL)
    assert f"sh '{INSTALL}'" in text
    assert "credentials('confhub-token')" in text
    assert len(re.findall(r"[{}]", text)) % 2 == 0
    return {**names, "CONFHUB_TOKEN": TOKEN}, bodies


def test_jenkins_says_what_would_change_and_publishes(place: Place) -> None:
    names, [preview, deploy] = jenkins_steps(place)
    variables = {**names, "GIT_COMMIT": SHA, "CHANGE_ID": "7", "BUILD_TAG": "jenkins-shop-42"}

    said = succeeded(place.run(JENKINS_SHELL, preview, **variables))
    assert SHA in said
    assert place.tags == ["1.8"]
    said = succeeded(place.run(JENKINS_SHELL, deploy, **variables))

    assert "checkout@prod r2 is published" in said
    assert place.tags == ["1.8", SHA]


# --- a shell -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code"), [("confirmed", 0), ("failed", 1)], ids=["confirmed", "failed"]
)
def test_curl_alone_publishes_and_waits(place: Place, state: str, code: int) -> None:
    held = an_instance(place.scope, release=2)
    held.receipt = {**held.receipt, "state": state, "stage": "check", "reason": "r"}
    held.running = 2 if state == "confirmed" else 1
    held.save(update_fields=["receipt", "running"])

    done = place.run(["sh", "-c"], place.texts["shell"], CONFHUB_TOKEN=TOKEN, TAG='1.9-"x"')

    assert done.returncode == code, (done.stdout, done.stderr)
    assert f"r2: {state}" in done.stdout
    assert "TAG" in done.stdout.partition("r2:")[0]  # the Markdown of the dry run
    assert place.tags == ["1.8", '1.9-"x"']


def test_curl_alone_fails_where_it_is_refused(place: Place) -> None:
    done = place.run(["sh", "-c"], place.texts["shell"], CONFHUB_TOKEN="nobody's", TAG="1.9")

    assert done.returncode not in (0, 3)
    assert "not_signed_in" in done.stdout
    assert place.tags == ["1.8"]


def test_a_signed_hook_publishes_without_a_token(place: Place) -> None:
    body = {
        "name": "checkout-release", "kind": "confhub", "service": "checkout", "environment": "prod",
        "mapping": {"set": {"TAG": {"pointer": "/tag"}}, "message": {"template": "deploy {/tag}"}},
    }  # fmt: skip
    made = Client().post(
        "/api/v1/deploy-hooks", body, content_type="application/json",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )  # fmt: skip
    assert made.status_code == 201, made.content
    script, secret = place.texts["signed-hook"], made.json()["secret"]

    said = succeeded(place.run(["sh", "-c"], script, TAG="1.9", CONFHUB_HOOK_SECRET=secret))
    wrong = place.run(["sh", "-c"], script, TAG="2.0", CONFHUB_HOOK_SECRET="another")

    assert json.loads(said)["release"] == 2
    assert wrong.returncode != 0
    assert place.tags == ["1.8", "1.9"]
