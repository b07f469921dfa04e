"""One cast for every test: ann, who may do everything, and her token."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client

from confhub.access import actions as access
from confhub.access.queries import actor_of_user, scope_for
from confhub.catalog import actions as catalog
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.core.actors import Actor
from tests.api.conformance import undocumented

TOKEN = "a-token-of-ann-with-enough-letters"
PROD = "/api/v1/services/checkout/environments/prod"


@dataclass
class Caller:
    """A program that calls REST with a token (or without one)."""

    token: str | None = TOKEN
    client: Client = field(default_factory=Client)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """`body` is sent as JSON, or as it is where it is bytes. Paths begin below /api/v1."""
        address = path if path.startswith("/api") else f"/api/v1{path}"
        sent = {name.replace("_", "-"): held for name, held in headers.items()}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        answer = self.client.generic(
            method, address, data, content_type="application/json", headers=sent
        )
        assert not (problem := undocumented(method, address, answer)), problem
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self("DELETE", path, **headers)


@pytest.fixture(autouse=True)
def static_root(settings: Any, tmp_path: Path) -> None:
    """A directory that is there, because WhiteNoise warns of one that is not."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def ann(db: None) -> User:
    person = access.ensure_person("ann", password="a-password-of-ann", now=clock.now())
    access.set_token("ann", token=TOKEN, user=person, now=clock.now())
    return person


@pytest.fixture
def who(ann: User) -> Actor:
    return actor_of_user(ann)


@pytest.fixture
def api(ann: User) -> Caller:
    return Caller()


@pytest.fixture
def anonymous(db: None) -> Caller:
    return Caller(token=None)


@pytest.fixture
def checkout_prod(who: Actor) -> Scope:
    """checkout in prod and dev, with nothing published."""
    catalog.create_environment(slug="prod", protected=True, order=2, who=who, now=clock.now())
    catalog.create_environment(slug="dev", order=1, who=who, now=clock.now())
    catalog.create_service(slug="checkout", name="Checkout", who=who, now=clock.now())
    return scope_for(who, "see", "checkout", "prod")


@pytest.fixture
def publish(api: Caller, checkout_prod: Scope) -> Callable[..., int]:
    """publish(MAX=1) publishes over REST and answers the number."""

    def published(**values: Any) -> int:
        answer = api.post(f"{PROD}/releases", {"message": "a test's", "set": values})
        assert answer.status_code == 201, answer.content
        return int(answer.json()["release"])

    return published


def rows() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of ours, so that "untouched" can be said of all of them. When a token
    was used last is no part of what a call did."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values(*_columns(model)))
        for model in apps.get_models()
        if model._meta.app_label
        in (
            "access",
            "api",
            "catalog",
            "deploys",
            "events",
            "fleet",
            "publishing",
            "releases",
            "webhooks",
        )
    }


def _columns(model: Any) -> list[str]:
    names = [each.attname for each in model._meta.concrete_fields]
    return [name for name in names if not name.startswith("last_used_")]


@contextmanager
def untouched() -> Iterator[None]:
    """Fails where a row was written, changed or removed inside."""
    before = rows()
    yield
    assert rows() == before


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of `answer`, once it is known to be a whole one."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["type"].endswith(f"#{code}")
    assert document["title"]
    assert document["detail"].endswith((".", ")")), document["detail"]
    assert document["request_id"] == answer["X-Request-Id"]
    return document
