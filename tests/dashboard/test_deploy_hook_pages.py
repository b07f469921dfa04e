"""Deploy hooks on pages, without scripts."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from confhub.access import grants
from confhub.access.queries import actor_of_user
from confhub.catalog.models import Scope
from confhub.deploys import actions, rules
from confhub.deploys.models import Delivery, DeployHook
from confhub.publishing.actions import publish_changes, roll_back
from confhub.publishing.gates import Consent
from confhub.releases.models import Release
from tests.deploys.conftest import DIGEST, Made, a_body, own, receive
from tests.parts import factories
from tests.parts.factories import ANN, NOON

RULES = rules.EXAMPLES["confhub"]["A job that sends the tag and the image that it built"]
BODY = {"tag": "1.9", "image": {"name": "ghcr.io/acme/shop", "digest": DIGEST}}
LIMIT = 22  # queries


def said(answer: Any) -> str:
    """The text of a page without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


@pytest.fixture
def hook(admin: Client, scope: Scope) -> Made:
    who = actor_of_user(User.objects.get(username="admin"))
    mapping, filters = rules.read(RULES)
    made, secret = actions.make_hook(
        scope, name="ship", kind="confhub", mapping=mapping, filters=filters, who=who, now=NOON
    )
    return Made(made, secret)


def test_a_hook_is_made_and_its_secret_shown_once(admin: Client, scope: Scope) -> None:
    assert "No deploy hook" in said(admin.get("/deploy-hooks/"))

    made = admin.post(
        "/deploy-hooks/",
        {"name": "ship", "kind": "confhub", "place": "billing@dev", "rules": RULES, "wait_s": "5"},
    )

    row = DeployHook.objects.get()
    assert (row.name, row.wait_s, row.user.username) == ("ship", 5, "admin")
    [secret] = re.findall(r"<code>([0-9a-f]{64})</code>", made.content.decode())
    done = receive(Made(row, secret), own(secret, json.dumps(BODY).encode()))
    assert done.acted.outcome == "published"
    page = admin.get("/deploy-hooks/ship/")
    assert secret not in page.content.decode()
    assert "http://testserver/api/v1/hooks/deploy/ship" in page.content.decode()
    assert "published" in said(admin.get("/deploy-hooks/"))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("rules", "set: [1\n", "Line 2"),
        ("rules", "set: {TAG: {pointer: tag}}", "begins with"),
        ("rules", "sett: {}", "no part of a mapping"),
        ("name", "Not A Name", "is not a name for a deploy hook"),
        ("wait_s", "61", "60"),
    ],
    ids=["unreadable", "bad pointer", "unknown part", "bad name", "long wait"],
)
def test_what_cannot_be_kept_is_told_at_its_field(
    admin: Client, scope: Scope, field: str, value: str, sentence: str
) -> None:
    wanted = {"name": "ship", "kind": "confhub", "place": "billing@dev", "rules": RULES, "wait_s": "0"}  # fmt: skip

    answer = admin.post("/deploy-hooks/", wanted | {field: value})

    assert answer.status_code == 422
    assert sentence in said(answer)
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not DeployHook.objects.exists()


def test_rules_are_tried_before_they_are_saved(admin: Client, hook: Made) -> None:
    fresh = 'set: {TAG: {template: "v{/tag}"}}'
    before = DeployHook.objects.get().mapping

    answer = admin.post(
        "/deploy-hooks/ship/",
        {"act": "preview", "rules": fresh, "wait_s": "0", "sample": json.dumps(BODY)},
    )

    page = said(answer)
    assert "would be published" in page
    assert "v1.9 from v{/tag}" in page
    assert DeployHook.objects.get().mapping == before
    assert Release.objects.count() == 2
    assert not Delivery.objects.exists()
    admin.post("/deploy-hooks/ship/", {"act": "save", "rules": fresh, "wait_s": "7"})
    row = DeployHook.objects.get()
    assert (row.mapping, row.wait_s) == ({"set": {"TAG": {"template": "v{/tag}"}}}, 7)


def test_a_preview_says_what_is_missing(admin: Client, hook: Made) -> None:
    answer = admin.post(
        "/deploy-hooks/ship/",
        {"act": "preview", "rules": RULES, "wait_s": "0", "sample": '{"tga": "1"}'},
    )

    assert "/tag is not there: the payload is an object with tga." in said(answer)


def test_a_preview_without_any_payload_says_so(admin: Client, hook: Made) -> None:
    answer = admin.post(
        "/deploy-hooks/ship/",
        {"act": "preview", "rules": RULES, "wait_s": "0", "sample": ""},
        follow=True,
    )

    assert "has not kept a payload yet" in said(answer)


def test_firing_is_dry_unless_ticked(admin: Client, hook: Made) -> None:
    fire = {"act": "fire", "sample": json.dumps(BODY)}

    dry = admin.post("/deploy-hooks/ship/", fire, follow=True)
    assert "rehearsed" in said(dry)
    assert Release.objects.count() == 2
    real = admin.post("/deploy-hooks/ship/", {**fire, "publish": "yes"}, follow=True)

    assert "r3 is published" in said(real)
    release = Release.objects.get(number=3)
    assert (release.author, release.image) == ("hook:ship", BODY["image"])
    assert [row.outcome for row in Delivery.objects.order_by("pk")] == ["rehearsed", "published"]


def test_a_delivery_is_shown_with_its_payload_masked_and_retried(admin: Client, hook: Made) -> None:
    body = a_body(**BODY, password="canary-4711")
    receive(hook, own(hook.secret, body), address="192.0.2.9", request_id="req-9")
    row = Delivery.objects.get()
    address = f"/deploy-hooks/ship/deliveries/{row.pk}/"

    page = admin.get(address).content.decode()

    assert "canary-4711" not in page
    assert "•••" in page
    assert "192.0.2.9" in page
    assert "req-9" in page
    again = admin.post(address, follow=True)
    assert "Nothing would change; r3 stays." in said(again)
    row.refresh_from_db()
    assert (row.outcome, row.tries) == ("unchanged", 2)


def test_one_that_was_received_and_no_more_says_why(admin: Client, hook: Made) -> None:
    row = Delivery.objects.create(
        hook=hook.hook, sender_id="x", outcome="received", received_at=NOON
    )

    page = said(admin.get(f"/deploy-hooks/ship/deliveries/{row.pk}/"))

    assert "received, and not carried out" in page


def test_switching_taking_over_and_another_secret(admin: Client, hook: Made) -> None:
    person = factories.a_person("mia")
    hook.hook.user = person
    hook.hook.save(update_fields=["user"])

    admin.post("/deploy-hooks/ship/", {"act": "switch"})
    admin.post("/deploy-hooks/ship/", {"act": "take-over"})
    shown = admin.post("/deploy-hooks/ship/", {"act": "secret"})

    row = DeployHook.objects.get()
    assert not row.is_on
    assert row.user.username == "admin"
    [fresh] = re.findall(r"<code>([0-9a-f]{64})</code>", shown.content.decode())
    assert fresh != hook.secret


def test_removing_asks_for_the_name(admin: Client, hook: Made) -> None:
    kept = admin.post("/deploy-hooks/ship/", {"act": "remove", "confirm": "shop"}, follow=True)
    assert "Type ship to remove it" in said(kept)
    assert DeployHook.objects.exists()

    gone = admin.post("/deploy-hooks/ship/", {"act": "remove", "confirm": "ship"}, follow=True)

    assert "ship is removed" in said(gone)
    assert not DeployHook.objects.exists()


def test_an_act_that_is_none_changes_nothing(admin: Client, hook: Made) -> None:
    before = list(DeployHook.objects.values())

    answer = admin.post("/deploy-hooks/ship/", {"act": "drop"}, follow=True)

    assert "Nothing was changed" in said(answer)
    assert list(DeployHook.objects.values()) == before


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("publisher", 200)], ids=["viewer", "publisher"])  # fmt: skip
def test_only_whoever_publishes_there_sees_a_hook(
    hook: Made, scope: Scope, role: str, status: int
) -> None:
    person = User.objects.create_user("kim")
    grants.grant(person, role, service=scope.service, who=ANN, now=NOON)
    client = Client()
    client.force_login(person)

    assert client.get("/deploy-hooks/ship/").status_code == status
    listed = said(client.get("/deploy-hooks/"))
    assert ("ship" in listed) == (status == 200)
    assert ("New deploy hook" in listed) == (status == 200)
    place = {"name": "n", "kind": "confhub", "place": "billing@dev", "rules": RULES, "wait_s": "0"}
    made = client.post("/deploy-hooks/", place)
    assert made.status_code == status


def test_the_page_says_when_its_person_may_not_publish_any_more(admin: Client, hook: Made) -> None:
    hook.hook.user = User.objects.create_user("left")
    hook.hook.save(update_fields=["user"])

    assert "may not publish there any more" in said(admin.get("/deploy-hooks/ship/"))


@pytest.mark.parametrize("kind", ["github", "gitlab", "dockerhub"])
def test_each_sender_is_told_what_to_type(admin: Client, scope: Scope, kind: str) -> None:
    text = next(iter(rules.EXAMPLES[kind].values()))

    page = said(
        admin.post(
            "/deploy-hooks/",
            {"name": "ship", "kind": kind, "place": "billing@dev", "rules": text, "wait_s": "0"},
        )
    )

    assert "http://testserver/api/v1/hooks/deploy/ship" in page
    if kind == "dockerhub":
        assert "?key=SECRET" not in page
        assert "?key=" in page
        assert "?key=SECRET" in said(admin.get("/deploy-hooks/ship/"))


def test_the_queries_of_the_pages_do_not_grow(
    admin: Client, hook: Made, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(8):
        receive(hook, own(hook.secret, a_body(**{**BODY, "tag": f"1.{n}"})))
    who = actor_of_user(User.objects.get(username="admin"))
    for n in range(5):
        actions.make_hook(
            hook.hook.scope, name=f"ship-{n}", kind="github", mapping={"unset": ["A"]}, who=who,
            now=NOON,
        )  # fmt: skip

    with django_assert_max_num_queries(LIMIT):
        admin.get("/deploy-hooks/")
    with django_assert_max_num_queries(LIMIT):
        admin.get("/deploy-hooks/ship/")


def a_release_for(scope: Scope, digest: str, pool: int) -> Release:
    image = {"name": "ghcr.io/acme/shop", "digest": digest}
    return publish_changes(
        scope, set={"POOL": pool}, unset=[], message="m", consent=Consent(image=image), who=ANN,
        now=NOON,
    ).release  # fmt: skip


def test_releases_show_their_image_and_what_goes_with_a_step_back(
    admin: Client, scope: Scope
) -> None:
    other = "sha256:" + "b2" * 32
    a_release_for(scope, DIGEST, 3)
    a_release_for(scope, other, 4)
    place = "/services/billing/dev/releases"

    assert f"ghcr.io/acme/shop@{DIGEST}" in said(admin.get(f"{place}/3/"))
    assert "takes the application back to this image" in said(admin.get(f"{place}/3/"))
    assert "goes with it" not in said(admin.get(f"{place}/4/")).lower()
    assert f"shop@{DIGEST[7:19]}" in said(admin.get(f"{place}/"))
    rollback = said(admin.get(f"{place}/3/rollback/"))
    assert f"r3 was made for the image ghcr.io/acme/shop@{DIGEST}" in rollback
    assert other in rollback
    roll_back(scope, number=3, message="", who=ANN, now=NOON)
    assert "take the application back to this image" in said(admin.get(f"{place}/5/"))
    a_release_for(scope, other, 9)
    page = admin.get(f"{place}/6/").content.decode()
    assert f'href="{place}/4/rollback/"' in page
    assert "This image ran with another configuration before" in page
