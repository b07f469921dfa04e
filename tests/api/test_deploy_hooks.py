"""Deploy hooks over REST, and what a sender is answered over HTTP."""

import hashlib
import hmac
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.deploys import actions as deploys
from confhub.deploys.models import Delivery, DeployHook
from confhub.events.models import AuditEntry
from confhub.releases.models import Release
from dashboard import deploy_snippets
from tests.api.conftest import PROD, Caller, problem, rows, untouched
from tests.api.test_instances import tell

DIGEST, OTHER = "sha256:" + "a1" * 32, "sha256:" + "b2" * 32
DEV = "/services/checkout/environments/dev"
NEW = {
    "name": "ship", "kind": "confhub", "service": "checkout", "environment": "prod",
    "mapping": {"set": {"TAG": {"pointer": "/tag"}}, "message": {"template": "deploy {/tag}"}},
}  # fmt: skip


@pytest.fixture
def ship(api: Caller, publish: Callable[..., int]) -> str:
    """The secret of the hook `ship`, for checkout in prod, which is at r1."""
    publish(TAG="1.0")
    return str(api.post("/deploy-hooks", NEW).json()["secret"])


def send(
    secret: str, *, hook: str = "ship", query: str = "", body: bytes | None = None, at: int = 0,
    accept: str = "*/*", **fields: Any,
) -> Any:  # fmt: skip
    """Signed here by hand, and sent without a token."""
    data = json.dumps(fields).encode() if body is None else body
    stamp = int(clock.now().timestamp()) + at
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + data, hashlib.sha256).hexdigest()
    return Client().post(
        f"/api/v1/hooks/deploy/{hook}{query}", data, content_type="application/json",
        headers={"X-Confhub-Signature": f"t={stamp},v1={digest}", "Accept": accept},
    )  # fmt: skip


def test_a_hook_is_made_read_changed_and_removed(api: Caller, checkout_prod: Scope) -> None:
    made = api.post("/deploy-hooks", {**NEW, "filters": {"match": {"/tag": "v*"}}, "wait_s": 5})
    assert made.status_code == 201
    assert made["Location"] == "/api/v1/deploy-hooks/ship"
    assert made["Cache-Control"] == "no-store"
    document = made.json()
    secret = document.pop("secret")
    assert len(secret) == 64
    assert document["person"] == "ann"
    assert document["address"] == "/api/v1/hooks/deploy/ship"

    assert api.get("/deploy-hooks/ship").json() == document
    assert api.get("/deploy-hooks").json() == {"items": [document], "next": None}
    changed = api.patch("/deploy-hooks/ship", {"on": False, "mapping": {"unset": ["A"]}}).json()
    assert (changed["on"], changed["mapping"], changed["wait_s"]) == (False, {"unset": ["A"]}, 5)
    assert api.delete("/deploy-hooks/ship").status_code == 204
    problem(api.get("/deploy-hooks/ship"), 404, "not_found")
    done = [*AuditEntry.objects.order_by("pk").values_list("action", flat=True)]
    assert [each for each in done if each.startswith("deploy_hook")] == [
        "deploy_hook.made", "deploy_hook.changed", "deploy_hook.removed",
    ]  # fmt: skip
    assert secret not in json.dumps([*AuditEntry.objects.values("data", "target")])


BAD = {
    "name": ({"name": "No Name"}, "name"), "kind": ({"kind": "jenkins"}, "kind"),
    "mapping": ({"mapping": {"set": {"A": {"pointer": "a"}}}}, "mapping"),
    "nothing": ({"mapping": {}}, "mapping"), "filters": ({"filters": {"event": []}}, "filters"),
    "wait": ({"wait_s": 61}, "wait_s"), "negative": ({"wait_s": -1}, "wait_s"),
    "short secret": ({"secret": "short"}, "secret"), "secret": ({"secret": "é" * 30}, "secret"),
    "NUL": ({"mapping": {"unset": ["A\x00"]}}, "mapping"), "unknown": ({"sceret": "x"}, "sceret"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_kept_is_refused(api: Caller, checkout_prod: Scope, name: str) -> None:
    fields, named = BAD[name]
    before = DeployHook.objects.count()

    with untouched():
        answer = api.post("/deploy-hooks", {**NEW, **fields})

    assert answer.status_code == 422
    assert named in answer.json()["fields"]
    assert DeployHook.objects.count() == before


def test_a_name_is_used_once(api: Caller, ship: str) -> None:
    with untouched():
        problem(api.post("/deploy-hooks", NEW), 409, "deploy_hook.taken")


def test_a_delivery_is_answered(api: Caller, ship: str) -> None:
    answer = send(ship, tag="1.9")

    assert answer.status_code == 201
    document = answer.json()
    assert document["outcome"] == "published"
    assert (document["release"], document["state"]) == (2, "nobody")
    assert (document["service"], document["environment"]) == ("checkout", "prod")
    assert document["repeated"] is False
    release = Release.objects.get(number=2)
    assert (release.author, release.message) == ("hook:ship", "deploy 1.9")
    assert release.request_id == answer["X-Request-Id"]
    again = send(ship, tag="1.9", at=1)
    assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")


@pytest.mark.parametrize("query", ["?wait=5", ""], ids=["as the call says", "as the hook says"])
def test_it_waits_until_the_outcome_is_known(api: Caller, ship: str, query: str) -> None:
    if not query:
        api.patch("/deploy-hooks/ship", {"wait_s": 5})
    tell("one", release=2, state="confirmed")

    document = send(ship, query=query, tag="1.9").json()

    assert document["state"] == "confirmed"
    assert document["counts"]["confirmed"] == 1


def test_a_failed_instance_ends_the_wait(api: Caller, ship: str) -> None:
    tell("one", release=2, state="failed")

    answer = send(ship, query="?wait=60", tag="1.9")

    assert (answer.status_code, answer.json()["state"]) == (201, "failed")


def test_what_is_not_confirmed_in_time_is_pending(api: Caller, ship: str) -> None:
    tell("one", release=1, state="confirmed")

    assert send(ship, query="?wait=0.1", tag="1.9").json()["state"] == "pending"


@pytest.mark.parametrize("wait", ["61", "-1", "soon"], ids=str)
def test_a_wait_that_cannot_be_is_refused(api: Caller, ship: str, wait: str) -> None:
    with untouched():
        problem(send(ship, query=f"?wait={wait}", tag="1.9"), 422, "request.bad")

    assert not Delivery.objects.exists()


def test_unknown_hooks_and_wrong_secrets_are_one_answer(api: Caller, ship: str) -> None:
    found = []
    with untouched():
        for hook in ("ship", "nothing"):
            answer = problem(send("x" * 64, hook=hook, tag="1"), 401, "deploy_hook.not_verified")
            found.append({**answer, "request_id": ""})

    assert found[0] == found[1]
    assert not Delivery.objects.exists()


def test_an_old_signature_is_refused(api: Caller, ship: str) -> None:
    with untouched():
        problem(send(ship, tag="1.9", at=-400), 401, "deploy_hook.too_late")

    assert not Delivery.objects.exists()


@pytest.mark.parametrize("body", [b"", b"no", b"[1]", b'{"a": NaN}', b"[" * 50_000], ids=["empty", "no JSON", "a list", "NaN", "deep"])  # fmt: skip
def test_what_is_no_payload_is_refused(api: Caller, ship: str, body: bytes) -> None:
    with untouched():
        problem(send(ship, body=body), 400, "deploy_hook.payload")

    assert not Delivery.objects.exists()


def test_a_huge_body_is_refused_before_it_is_read(api: Caller, ship: str, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    with untouched():
        problem(send(ship, tag="x" * 2000), 413, "body.too_large")

    assert not Delivery.objects.exists()


def test_a_refusal_has_the_gates_own_code(api: Caller, ship: str) -> None:
    api.patch("/environments/prod", {"approvals": 1})

    document = problem(send(ship, tag="1.9"), 409, "release.needs_approval")

    row = Delivery.objects.get()
    assert (document["delivery"], document["repeated"]) == (row.pk, False)
    assert (row.outcome, row.problem["code"]) == ("refused", "release.needs_approval")
    assert Release.objects.count() == 1


def test_a_dry_run_is_answered_as_json_or_markdown(api: Caller, ship: str) -> None:
    before = rows()
    told = send(ship, query="?dry_run=1", tag="1.9")
    comment = send(ship, query="?dry_run=1", tag="1|9`x`", at=1, accept="text/markdown")
    after = rows()
    log = "deploys.Delivery"  # in which a dry run stands, because it uses the signature up
    assert {**after, log: []} == {**before, log: []}

    document = told.json()
    assert (told.status_code, document["outcome"]) == (200, "rehearsed")
    assert document["changes"] == [{"key": "TAG", "kind": "changed", "old": "1.0", "new": "1.9"}]
    assert comment["Content-Type"].startswith("text/markdown")
    text = comment.content.decode()
    assert "checkout@prod" in text
    assert "| `TAG` | changed |" in text
    assert Release.objects.count() == 1


def test_a_preview_writes_nothing(api: Caller, ship: str) -> None:
    problem(api.post("/deploy-hooks/ship/preview"), 409, "deploy_hook.no_payload")
    with untouched():
        seen = api.post(
            "/deploy-hooks/ship/preview",
            {"payload": {"v": "2"}, "mapping": {"set": {"TAG": {"pointer": "/v"}}}},
        ).json()
        lost = api.post("/deploy-hooks/ship/preview", {"payload": {"v": "2"}}).json()

    assert (seen["outcome"], seen["source"], seen["set"]) == (
        "published",
        "the sample",
        {"TAG": "2"},
    )
    assert seen["changes"] == [{"key": "TAG", "kind": "changed", "old": "1.0", "new": "2"}]
    assert lost["outcome"] == "failed"
    assert lost["refusal"]["code"] == "deploy_hook.does_not_map"
    assert "TAG" in lost["refusal"]["fields"]
    send(ship, tag="1.9")
    [row] = Delivery.objects.all()
    assert api.post("/deploy-hooks/ship/preview").json()["source"] == f"delivery {row.pk}"
    problem(
        api.post("/deploy-hooks/ship/preview", {"payload": {}, "mapping": {"set": 7}}), 422,
        "deploy_hook.bad",
    )  # fmt: skip


def test_deliveries_are_listed_read_and_retried(api: Caller, ship: str) -> None:
    send(ship, tag="1.9", password="canary-1")
    send(ship, tga="2.0")
    page = api.get("/deploy-hooks/ship/deliveries?limit=1").json()
    [failed] = page["items"]
    assert (failed["outcome"], failed["code"]) == ("failed", "deploy_hook.does_not_map")
    rest = api.get(f"/deploy-hooks/ship/deliveries?after={page['next']}").json()
    [fine] = rest["items"]
    assert (fine["outcome"], fine["release"], rest["next"]) == ("published", 2, None)
    held = api.get(f"/deploy-hooks/ship/deliveries/{fine['id']}")
    assert b"canary-1" not in held.content
    assert held.json()["payload"]["tag"] == "1.9"

    problem(
        api.post(f"/deploy-hooks/ship/deliveries/{failed['id']}/retry"), 422,
        "deploy_hook.does_not_map",
    )  # fmt: skip
    api.patch("/deploy-hooks/ship", {"mapping": {"set": {"TAG": {"pointer": "/tga"}}}})
    again = api.post(f"/deploy-hooks/ship/deliveries/{failed['id']}/retry")

    assert (again.status_code, again.json()["release"]) == (201, 3)
    assert Release.objects.get(number=3).author == "token:ann"
    assert Delivery.objects.get(pk=failed["id"]).tries == 3
    for number in (0, 2**40, 2**80):
        address = f"/deploy-hooks/ship/deliveries/{number}"
        problem(api.get(address), 404, "not_found")
        problem(api.post(f"{address}/retry"), 404, "not_found")


def test_another_secret_is_shown_once(api: Caller, ship: str) -> None:
    answer = api.post("/deploy-hooks/ship/secret")
    fresh = answer.json()["secret"]

    assert answer["Cache-Control"] == "no-store"
    problem(send(ship, tag="1.9"), 401, "deploy_hook.not_verified")
    assert send(fresh, tag="1.9").status_code == 201
    given = {"secret": "one-that-the-sender-has-made"}
    assert api.post("/deploy-hooks/ship/secret", given).json() == given
    assert send(given["secret"], tag="2.0").status_code == 201
    problem(api.post("/deploy-hooks/ship/secret", {"secret": "short"}), 422, "deploy_hook.bad")


def test_a_token_with_a_reach_makes_no_lasting_secret(api: Caller, ship: str) -> None:
    asked = {
        "name": "ci", "expires_in_days": 1,
        "reach": [{"verbs": ["see", "edit", "publish"], "service": "checkout"}],
    }  # fmt: skip
    made = api.post("/tokens", asked)
    assert made.status_code == 201, made.content
    ci = Caller(token=made.json()["token"])

    assert ci.get("/deploy-hooks/ship").status_code == 200
    for path, body in (("", {**NEW, "name": "another"}), ("/ship/secret", {})):
        problem(ci.post(f"/deploy-hooks{path}", body), 403, "not_allowed")
    problem(ci.patch("/deploy-hooks/ship", {"take_over": True}), 403, "not_allowed")
    assert DeployHook.objects.count() == 1


def test_somebody_else_takes_a_hook_over(api: Caller, ship: str) -> None:
    left = User.objects.create_user("left")
    DeployHook.objects.update(user=left)
    problem(send(ship, tag="1.9"), 403, "not_allowed")
    assert Release.objects.count() == 1

    assert api.patch("/deploy-hooks/ship", {"take_over": True}).json()["person"] == "ann"

    assert send(ship, tag="2.0").status_code == 201


def test_a_release_remembers_its_image_and_offers_the_other_half(
    api: Caller, checkout_prod: Scope
) -> None:
    old, new = ({"name": "acme/shop", "digest": each} for each in (DIGEST, OTHER))

    def publish(image: Any, value: int) -> Any:
        return api.post(f"{DEV}/releases", {"message": "m", "set": {"A": value}, "image": image})

    assert publish(old, 1).json()["image"] == old
    assert publish(new, 2).json()["offers"] is None
    older = api.get(f"{DEV}/releases/1").json()
    assert older["offers"]["image"] == old
    back = api.post(f"{DEV}/releases/1/rollback").json()
    assert (back["image"], back["offers"]["image"], back["offers"]["release"]) == (old, old, None)
    again = publish(new, 9).json()
    assert again["offers"]["release"] == 2
    assert again["offers"]["rollback"] == f"/api/v1{DEV}/releases/2/rollback"
    assert api.get(f"{DEV}/releases/4").json()["offers"] == again["offers"]
    listed = api.get(f"{DEV}/releases").json()["items"]
    assert [each["image"]["digest"] for each in listed] == [OTHER, DIGEST, OTHER, DIGEST]
    with untouched():
        problem(publish({"name": "acme/shop", "digest": "latest"}, 10), 422, "image.bad")


def test_a_delivery_offers_the_configuration_that_its_image_had(api: Caller, ship: str) -> None:
    image = {"name": {"template": "acme/shop"}, "digest": {"pointer": "/digest"}}
    api.patch("/deploy-hooks/ship", {"mapping": {"set": {"TAG": {"pointer": "/tag"}}, "image": image}})  # fmt: skip
    send(ship, tag="1", digest=DIGEST)
    api.post(f"{PROD}/releases", {"message": "tuned", "set": {"MAX": 9}})
    send(ship, tag="2", digest=OTHER)

    back = send(ship, tag="1", digest=DIGEST, n=2).json()
    bad = send(ship, tag="1", digest="latest")

    assert back["image"] == {"name": "acme/shop", "digest": DIGEST}
    assert back["offers"] is None  # the tuning was kept, so it is the very same configuration
    problem(bad, 422, "image.bad")
    api.post(f"{PROD}/releases", {"message": "tuned more", "set": {"MAX": 10}})
    send(ship, tag="2", digest=OTHER, n=3)
    api.post(f"{PROD}/releases", {"message": "tuned again", "set": {"MAX": 11}})
    assert send(ship, tag="1", digest=DIGEST, n=4).json()["offers"]["release"] == 6


@pytest.mark.django_db(transaction=True)
def test_the_call_on_the_page_works_as_it_stands(live_server: LiveServer, api: Caller) -> None:
    """What people copy, run by a real shell with openssl and curl."""
    if not shutil.which("curl") or not shutil.which("openssl"):
        pytest.skip("curl and openssl are not here")
    api.post("/environments", {"slug": "dev"})
    api.post("/services", {"slug": "checkout"})
    asked = {**NEW, "environment": "dev"}
    secret = api.post("/deploy-hooks", asked).json()["secret"]
    script = deploy_snippets.call(f"{live_server.url}/api/v1/hooks/deploy/ship")

    done = subprocess.run(
        ["sh", "-eu"], input=script.replace("wait=60", "wait=0"), text=True, capture_output=True,
        check=False, timeout=60, env={"CONFHUB_HOOK_SECRET": secret, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "published"
    assert Release.objects.get().entries == {"TAG": {"value": "1.9.0"}}


def test_the_documented_call_is_the_one_on_the_page() -> None:
    text = deploy_snippets.call("https://confhub.example/api/v1/hooks/deploy/shop-release")
    with open("docs/deploy-hooks.md", encoding="utf-8") as page:  # noqa: PTH123  # one line
        assert text in page.read()


def test_there_is_a_limit_for_each_place(api: Caller, ship: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(deploys, "MAX_HOOKS", 1)

    with untouched():
        problem(api.post("/deploy-hooks", {**NEW, "name": "another"}), 422, "deploy_hook.bad")
