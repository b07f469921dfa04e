"""A person who may publish, hooks of theirs, and requests signed here by hand, not by the code under test."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from confhub.access import grants
from confhub.access.queries import actor_of_user
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.deploys import actions, receiving
from confhub.deploys.carrying import Done
from confhub.deploys.models import DeployHook
from confhub.deploys.receiving import Came
from confhub.deploys.senders import Sent
from tests.parts import factories
from tests.parts.factories import ANN, NOON

TAG = {"set": {"TAG": {"pointer": "/tag"}}}
DIGEST = "sha256:" + "a1" * 32


@dataclass(frozen=True)
class Made:
    hook: DeployHook
    secret: str


def mac(secret: str | bytes, told: bytes) -> bytes:
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.new(key, told, hashlib.sha256).digest()


def own(secret: str, body: bytes, *, at: datetime = NOON) -> Sent:
    """Signed in our own form."""
    stamp = int(at.timestamp())
    digest = mac(secret, f"{stamp}.".encode() + body).hex()
    return Sent(body, {"x-confhub-signature": f"t={stamp},v1={digest}"}, {})


def github(
    secret: str, body: bytes, *, event: str = "push", id: str = "guid-1", form: bool = False
) -> Sent:
    headers = {
        "x-hub-signature-256": f"sha256={mac(secret, body).hex()}",
        "x-github-event": event,
        "x-github-delivery": id,
        "content-type": "application/x-www-form-urlencoded" if form else "application/json",
    }
    return Sent(body, headers, {})


def gitlab_token(secret: str, body: bytes, *, event: str = "Push Hook", **headers: str) -> Sent:
    named = {name.replace("_", "-"): held for name, held in headers.items()}
    return Sent(body, {"x-gitlab-token": secret, "x-gitlab-event": event, **named}, {})


def gitlab_signed(
    secret: str, body: bytes, *, id: str = "msg-1", event: str = "Push Hook", at: datetime = NOON
) -> Sent:
    stamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(mac(key, f"{id}.{stamp}.".encode() + body)).decode()
    headers = {
        "webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": f"v1,{digest}",
        "x-gitlab-event": event,
    }  # fmt: skip
    return Sent(body, headers, {})


def dockerhub(secret: str, body: bytes) -> Sent:
    return Sent(body, {}, {"key": secret})


def a_body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def receive(
    made: Made, sent: Sent, *, now: datetime = NOON, dry_run: bool = False, **came: str
) -> Done:
    return receiving.receive(made.hook.name, Came(sent, **came), dry_run=dry_run, now=now)


@pytest.fixture
def scope(db: None) -> Scope:
    made = factories.a_scope("shop", "dev")
    factories.a_release(made, {"TAG": "1.0", "PORT": 80})
    made.refresh_from_db()
    return made


@pytest.fixture
def mia(scope: Scope) -> Actor:
    """A publisher of shop in dev, and nothing else."""
    person = factories.a_person("mia")
    person.is_superuser = False
    person.save(update_fields=["is_superuser"])
    grants.grant(
        person, "publisher", service=scope.service, environment=scope.environment, who=ANN, now=NOON
    )
    return actor_of_user(person, "test")


@pytest.fixture
def make(scope: Scope, mia: Actor) -> Callable[..., Made]:
    """make("github", mapping=…) makes a hook that acts as mia."""

    def made(kind: str = "confhub", name: str = "ship", **wanted: Any) -> Made:
        wanted.setdefault("mapping", TAG)
        hook, secret = actions.make_hook(scope, name=name, kind=kind, who=mia, now=NOON, **wanted)
        return Made(hook, secret)

    return made
