"""Things to test on, made through the real actions, so that no test starts from an impossible state."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from confhub.access import actions as access
from confhub.access import queries as doors
from confhub.catalog import actions as catalog
from confhub.catalog.models import Environment, Scope, Service
from confhub.core.actors import EVERYTHING, Actor
from confhub.publishing import actions as publishing
from confhub.releases import actions as releases
from confhub.releases.models import Release

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ANN = Actor(name="ann", user_id=1, active=True, request_id="test", grants=EVERYTHING)  # owns
BEN = Actor(name="ben", user_id=2, active=True, grants=EVERYTHING)  # works beside her
EVE = Actor(name="eve", user_id=3, active=False, grants=EVERYTHING)  # was switched off


def later(seconds: float) -> datetime:
    """NOON and so many seconds."""
    return NOON + timedelta(seconds=seconds)


def a_scope(
    service: str = "billing", environment: str = "prod", *, protected: bool = False
) -> Scope:
    """`service` in `environment`, each made where missing."""
    if not Service.objects.filter(slug=service).exists():
        catalog.create_service(slug=service, who=ANN, now=NOON)
    if not Environment.objects.filter(slug=environment).exists():
        catalog.create_environment(slug=environment, protected=protected, who=ANN, now=NOON)
    return doors.scope_for(ANN, "publish", service, environment)


def a_release(
    scope: Scope, values: Mapping[str, Any] | None = None, *, message: str = ""
) -> Release:
    """Publish the draft with `values` set in it; the release is queued, not yet in etcd."""
    held = values if values is not None else {"POOL": 10, "HOST": "db"}
    releases.change_draft(scope, set=held, expected=None, who=ANN, now=NOON)
    said = message or ("for a test" if scope.environment.protected else "")
    return publishing.publish_draft(scope, message=said, who=ANN, now=NOON).release


def a_person(username: str = "admin", password: str = "correct horse battery") -> Any:
    return access.ensure_person(username, password=password, now=NOON)


def a_token(token: str = "t0ken-of-the-tests", *, username: str = "admin") -> str:
    access.set_token(username, token=token, user=a_person(username), now=NOON)
    return token
