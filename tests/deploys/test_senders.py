"""Each sender's own form: payloads of the shape that it documents, signatures made by hand."""

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from confhub.deploys import mapping, rules
from confhub.deploys.models import Delivery
from confhub.deploys.payloads import BadPayload
from confhub.deploys.receiving import BodyChanged, NotVerified, TooLate
from confhub.deploys.senders import SENDERS, Sent
from confhub.releases.models import Release
from tests.deploys.conftest import (
    DIGEST,
    Made,
    a_body,
    dockerhub,
    github,
    gitlab_signed,
    gitlab_token,
    mac,
    own,
    receive,
)
from tests.parts.factories import NOON, later

pytestmark = pytest.mark.django_db
Make = Callable[..., Made]

# The fields that the senders document, with values made up here.
GITHUB_RELEASE = {
    "action": "published",
    "release": {"id": 7, "tag_name": "v1.9.0", "target_commitish": "main", "draft": False},
    "repository": {"id": 1, "full_name": "acme/shop"},
    "sender": {"login": "mia"},
}
GITHUB_PACKAGE = {
    "action": "published",
    "registry_package": {
        "name": "shop",
        "package_type": "CONTAINER",
        "package_version": {
            "version": DIGEST,
            "container_metadata": {"tag": {"name": "1.9.0", "digest": DIGEST}},
        },
    },
    "repository": {"full_name": "acme/shop"},
}
GITHUB_PUSH = {
    "ref": "refs/heads/main", "before": "1" * 40, "after": "2" * 40, "created": False,
    "deleted": False, "forced": False, "repository": {"full_name": "acme/shop"},
}  # fmt: skip
GITHUB_DEPLOYMENT = {
    "action": "created",
    "deployment": {"id": 5, "ref": "v1.9.0", "sha": "2" * 40, "environment": "production"},
    "repository": {"full_name": "acme/shop"},
}
GITLAB_RELEASE = {
    "object_kind": "release", "action": "create", "tag": "v1.9.0", "name": "1.9",
    "project": {"path_with_namespace": "acme/shop"},
}  # fmt: skip
GITLAB_TAG = {
    "object_kind": "tag_push", "ref": "refs/tags/v1.9.0", "checkout_sha": "2" * 40,
    "project": {"path_with_namespace": "acme/shop"},
}  # fmt: skip
DOCKER = {
    "callback_url": "https://registry.hub.docker.com/u/acme/shop/hook/21/",
    "push_data": {"pushed_at": 1795550400, "pusher": "mia", "tag": "v1.9.0"},
    "repository": {"repo_name": "acme/shop", "name": "shop", "namespace": "acme"},
}
OWN = {"tag": "1.9.0", "image": {"name": "ghcr.io/acme/shop", "digest": DIGEST}}
EXAMPLES = {
    ("confhub", "A job that sends the tag and the image that it built"): ("deploy", OWN, {"TAG": "1.9.0"}),
    ("github", "A release is published"): ("release", GITHUB_RELEASE, {"TAG": "v1.9.0"}),
    ("github", "A container image reaches ghcr.io"): ("registry_package", GITHUB_PACKAGE, {"TAG": "1.9.0"}),
    ("github", "Somebody pushes to main"): ("push", GITHUB_PUSH, {"COMMIT": "2" * 40}),
    ("gitlab", "A release is made"): ("Release Hook", GITLAB_RELEASE, {"TAG": "v1.9.0"}),
    ("gitlab", "A tag is pushed"): ("Tag Push Hook", GITLAB_TAG, {"COMMIT": "2" * 40}),
    ("dockerhub", "A tag is pushed"): ("push", DOCKER, {"IMAGE": "acme/shop:v1.9.0"}),
}  # fmt: skip


def sent_by(kind: str, secret: str, body: bytes, event: str) -> Sent:
    match kind:
        case "github":
            return github(secret, body, event=event)
        case "gitlab":
            return gitlab_token(secret, body, event=event)
        case "dockerhub":
            return dockerhub(secret, body)
    return own(secret, body)


def test_every_example_of_rules_is_tried_here() -> None:
    assert {(kind, what) for kind, held in rules.EXAMPLES.items() for what in held} == {*EXAMPLES}


@pytest.mark.parametrize(("kind", "what"), EXAMPLES, ids=lambda each: each)
def test_an_example_works_on_what_its_sender_sends(make: Make, kind: str, what: str) -> None:
    event, payload, keys = EXAMPLES[kind, what]
    held, filters = rules.read(rules.EXAMPLES[kind][what])
    made = make(kind, mapping=held, filters=filters)

    done = receive(made, sent_by(kind, made.secret, json.dumps(payload).encode(), event))

    assert done.error is None
    assert done.acted.outcome == "published", done.acted.detail
    release = Release.objects.get(number=2)
    assert {key: release.entries[key]["value"] for key in keys} == keys
    assert release.message.startswith("deploy ")
    if "image" in held:
        assert release.image is not None
        assert release.image["digest"] == DIGEST


@pytest.mark.parametrize(
    ("event", "payload", "pointer", "value"),
    [
        ("deployment", GITHUB_DEPLOYMENT, "/deployment/ref", "v1.9.0"),
        ("package", {**GITHUB_PACKAGE, "package": {"name": "shop"}}, "/package/name", "shop"),
    ],
    ids=["deployment", "package"],
)
def test_github_has_more_events(
    make: Make, event: str, payload: dict[str, Any], pointer: str, value: str
) -> None:
    made = make("github", mapping={"set": {"TAG": {"pointer": pointer}}})

    receive(made, github(made.secret, json.dumps(payload).encode(), event=event))

    assert Release.objects.get(number=2).entries["TAG"] == {"value": value}


def test_a_form_of_github_is_signed_as_it_was_sent(make: Make) -> None:
    made = make("github")
    body = urlencode({"payload": json.dumps({"tag": "1.9 + ü&="})}).encode()

    done = receive(made, github(made.secret, body, form=True))

    assert done.acted.outcome == "published"
    assert Release.objects.get(number=2).entries["TAG"] == {"value": "1.9 + ü&="}


@pytest.mark.parametrize("body", [b"", b"a=1", b"payload=1&payload=2", b"payload=%ff", b"{}"], ids=repr)  # fmt: skip
def test_a_form_without_a_payload_is_refused(make: Make, body: bytes) -> None:
    made = make("github")

    with pytest.raises(BadPayload):
        receive(made, github(made.secret, body, form=True))

    assert not Delivery.objects.exists()


def test_the_signature_is_what_openssl_makes_of_it(make: Make) -> None:
    made = make()
    body = a_body(tag="1.9")
    stamp = int(NOON.timestamp())
    told = f"{stamp}.".encode() + body
    made_by = ["openssl", "dgst", "-sha256", "-hmac", made.secret]
    out = subprocess.run(made_by, input=told, capture_output=True, check=True).stdout.decode()
    digest = out.strip().rpartition("= ")[2]

    done = receive(made, Sent(body, {"x-confhub-signature": f"t={stamp},v1={digest}"}, {}))

    assert done.acted.outcome == "published"


def test_one_of_several_signatures_is_enough(make: Make) -> None:
    made = make()
    sent = own(made.secret, a_body(tag="1.9"))
    stamp, _, good = sent.headers["x-confhub-signature"].partition(",")
    both = {"x-confhub-signature": f"{stamp}, v1={'0' * 64} ,{good}"}

    assert receive(made, replace(sent, headers=both)).acted.outcome == "published"


def test_gitlab_signs_as_standard_webhooks(make: Make) -> None:
    made = make("gitlab")
    sent = gitlab_signed(made.secret, a_body(tag="1.9"))

    first, again = receive(made, sent), receive(made, sent)

    assert first.acted.outcome == "published"
    assert again.is_repeated
    with pytest.raises(TooLate):
        receive(made, sent, now=later(301))
    with pytest.raises(BodyChanged):
        receive(made, gitlab_signed(made.secret, a_body(tag="2.0")))
    assert Release.objects.count() == 2


def test_a_wrong_signature_of_gitlab_is_not_helped_by_a_token(make: Make) -> None:
    made = make("gitlab")
    good = gitlab_signed(made.secret, a_body(tag="1.9"))
    for name, held in (
        ("webhook-signature", "v1," + base64.b64encode(bytes(32)).decode()),
        ("webhook-signature", ""),
        ("webhook-id", "another"),
        ("webhook-id", ""),
        ("webhook-timestamp", str(int(NOON.timestamp()) + 1)),
        ("webhook-timestamp", "9" * 12),
        ("webhook-timestamp", "soon"),
    ):
        headers = {**good.headers, name: held, "x-gitlab-token": made.secret}
        with pytest.raises(NotVerified):
            receive(made, Sent(good.body, headers, {}))

    assert not Delivery.objects.exists()


def test_a_gitlab_token_of_ones_own_has_no_signed_form(make: Make) -> None:
    made = make("gitlab", secret="a token that was made before".replace(" ", "-"))
    sent = Sent(
        a_body(tag="1.9"),
        {"webhook-signature": "v1,x", "webhook-id": "1", "webhook-timestamp": "1"},
        {},
    )

    with pytest.raises(NotVerified):
        receive(made, sent)

    assert receive(made, gitlab_token(made.secret, a_body(tag="1.9"))).acted.outcome == "published"


def test_gitlab_tells_its_deliveries_apart(make: Make) -> None:
    made = make("gitlab")
    body, other = a_body(tag="1.9"), a_body(tag="2.0")
    key = gitlab_token(made.secret, body, idempotency_key="key-1")
    receive(made, key)

    assert receive(made, key).is_repeated
    with pytest.raises(BodyChanged):
        receive(made, gitlab_token(made.secret, other, idempotency_key="key-1"))
    assert not receive(made, gitlab_token(made.secret, body, idempotency_key="key-2")).is_repeated
    shared = [gitlab_token(made.secret, each, x_gitlab_event_uuid="uuid") for each in (body, other)]
    assert [receive(made, each).is_repeated for each in (*shared, *shared)] == [False, False, True, True]  # fmt: skip


def test_docker_hub_proves_itself_by_its_address_alone(make: Make) -> None:
    made = make("dockerhub", mapping={"set": {"TAG": {"pointer": "/push_data/tag"}}})
    body = json.dumps(DOCKER).encode()
    for query in ({}, {"key": ""}, {"key": made.secret[:-1]}, {"key": made.secret + "x"}):
        with pytest.raises(NotVerified):
            receive(made, Sent(body, {}, query))
    assert not Delivery.objects.exists()

    first, again = receive(made, dockerhub(made.secret, body)), receive(made, dockerhub(made.secret, body))  # fmt: skip

    assert first.acted.outcome == "published"
    assert again.is_repeated


@pytest.mark.parametrize("kind", SENDERS)
def test_a_form_of_another_sender_proves_nothing(make: Make, kind: str) -> None:
    made = make(kind)
    body = a_body(tag="1.9")
    others = {
        "confhub": own, "github": github, "gitlab": gitlab_token, "dockerhub": dockerhub,
    }  # fmt: skip
    for other, form in others.items():
        if other != kind:
            with pytest.raises(NotVerified):
                receive(made, form(made.secret, body))

    assert not Delivery.objects.exists()


@pytest.mark.parametrize("kind", SENDERS)
def test_another_secret_and_another_body_are_refused(make: Make, kind: str) -> None:
    made = make(kind)
    with pytest.raises(NotVerified):
        receive(made, sent_by(kind, "another-secret-of-somebody", a_body(tag="1.9"), "push"))
    if kind in ("confhub", "github"):
        sent = sent_by(kind, made.secret, a_body(tag="1.9"), "push")
        with pytest.raises(NotVerified):
            receive(made, replace(sent, body=a_body(tag="6.6")))

    assert not Delivery.objects.exists()
    assert Release.objects.count() == 1


@pytest.mark.parametrize("kind", SENDERS)
def test_strange_headers_break_nothing(make: Make, kind: str) -> None:
    made = make(kind)
    body = a_body(tag="1.9")
    strange = ("é", "\udcff", "x" * 100_000, "t=1,v1=" * 1000, "sha256=é")
    names = (
        "x-confhub-signature", "x-hub-signature-256", "x-gitlab-token", "webhook-signature",
        "webhook-id", "webhook-timestamp", "x-github-delivery", "x-github-event",
    )  # fmt: skip
    for text in strange:
        with pytest.raises(NotVerified):
            receive(made, Sent(body, dict.fromkeys(names, text), {"key": text}))

    assert not Delivery.objects.exists()


def test_long_and_strange_ids_are_kept_by_their_digest(make: Make) -> None:
    made = make("github")
    sent = github(made.secret, a_body(tag="1.9"), id="é" * 5000, event="push\x01")

    receive(made, sent)

    row = Delivery.objects.get()
    assert len(row.sender_id) == 64
    assert row.event == ""


def test_an_upper_case_digest_is_not_githubs(make: Make) -> None:
    made = make("github")
    body = a_body(tag="1.9")
    for signature in (mac(made.secret, body).hex(), f"sha1={mac(made.secret, body).hex()}", f"sha256={mac(made.secret, body).hex().upper()}"):  # fmt: skip
        with pytest.raises(NotVerified):
            receive(made, Sent(body, {"x-hub-signature-256": signature}, {}))

    assert not Delivery.objects.exists()


def test_examples_have_no_problems() -> None:
    for held in rules.EXAMPLES.values():
        for text in held.values():
            assert mapping.problems(rules.read(text)[0]) == []
            assert rules.read(rules.written(*rules.read(text))) == rules.read(text)
