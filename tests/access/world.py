"""The things and people of the permission matrix, made through the real actions."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.test.client import ClientHandler

from confhub.access import actions, grants, trusts
from confhub.access.models import Grant
from confhub.access.queries import actor_of_user
from confhub.catalog import freezes, sets
from confhub.catalog.models import Environment, Layer, Scope, Service
from confhub.core import clock
from confhub.core.actors import EVERYTHING, Actor, Reach
from confhub.deploys import actions as deploys
from confhub.deploys import receiving
from confhub.deploys.receiving import Came
from confhub.deploys.senders import Sent
from confhub.deploys.senders.confhub import signature
from confhub.publishing import hooks, layers, requests
from confhub.releases import actions as releases
from confhub.releases import schemas
from confhub.webhooks import actions as webhooks
from confhub.webhooks.models import WebhookDelivery
from tests.access import token_world
from tests.dashboard.test_pages import an_instance
from tests.parts.factories import ANN, NOON, a_release, a_scope

CANARY = "canary-7f3a9c"  # the value of every secret; nothing but a reveal may tell it
ROLES = ("viewer", "editor", "publisher", "approver")
# One for every browser, because a new one loads every middleware anew, which takes longer than most
# requests do.
HANDLER = ClientHandler(enforce_csrf_checks=False)


@dataclass(frozen=True)
class World:
    people: dict[str, User]
    grants: dict[str, int]  # {person: a grant of theirs; 0 where they hold none}
    streams: dict[str, str]  # {"billing@dev": "scope.1", "layer global": "layer.1", …}
    sessions: dict[str, str]  # {person: the key of a session of theirs}
    ids: dict[str, int]  # {"request": …, "freeze": …}
    tokens: dict[str, str]  # {one of matrix.TOKENS: its secret}

    def browser(self, name: str) -> Client:
        """A signed-in browser, or one of nobody; a fault raises nothing, it answers 500."""
        client = Client(raise_request_exception=False)
        client.handler = HANDLER
        if name in self.sessions:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.sessions[name]
        return client

    def headers(self, name: str) -> dict[str, str]:
        token = self.tokens.get(name) or token_of(name)
        return {} if name == "nobody" else {"Authorization": f"Bearer {token}"}


def token_of(name: str) -> str:
    return f"the-token-of-{name}"


def made() -> World:
    ids = things()
    people = {name: a_member(name) for name in (*ROLES, "admin", "elsewhere", "off", "zoe")}
    ids["request"] = _a_request(people["zoe"])
    _a_trust()
    _a_webhook()
    _a_publish_hook()
    ids["delivery"] = _a_deploy_hook(people["admin"])
    sessions = {name: _session_of(person) for name, person in people.items()}
    User.objects.filter(pk=people["off"].pk).update(is_active=False)
    secrets = token_world.made(people["admin"])
    held = dict(Grant.objects.values_list("user__username", "pk"))
    return World(
        people, {name: held.get(name, 0) for name in people}, _streams(), sessions, ids, secrets
    )


def things() -> dict[str, int]:
    """billing and shop in dev and prod, layers with a release each, an instance, drafts, a schema,
    a freeze of prod."""
    places = [a_scope(service, env) for env in ("dev", "prod") for service in ("billing", "shop")]
    sets.create_set(slug="tls", who=ANN, now=NOON)
    sets.set_includes(Service.objects.get(slug="billing"), ["tls"], who=ANN, now=NOON)
    for layer in Layer.objects.order_by("pk"):
        key = f"{layer.kind}_{layer.slug}".replace("-", "_")
        held = {key: "here", "PASSWORD": {"$secret": CANARY}}
        releases.change_draft(layer, set=held, expected=None, who=ANN, now=NOON)
        layers.publish_layer(layer, message="m", targets=[], who=ANN, now=NOON)
    for place in places:
        a_release(place, {"POOL": 10, "HOST": "db", "PASSWORD": {"$secret": CANARY}})
        a_release(place, {"POOL": 11})
        releases.change_draft(place, set={"POOL": 12}, expected=None, who=ANN, now=NOON)
    here = Scope.objects.select_related().get(service__slug="billing", environment__slug="dev")
    an_instance(here)
    schemas.save_schema(
        here.service, {"type": "object", "properties": {"POOL": {"type": "number"}}}, message="m",
        expected_number=None, who=ANN, now=NOON,
    )  # fmt: skip
    now = clock.now()
    freeze = freezes.add_freeze(
        Environment.objects.get(slug="prod"), starts_at=now, ends_at=now + timedelta(hours=1),
        reason="the holidays", who=ANN, now=now,
    )  # fmt: skip
    return {"freeze": freeze.pk}


def a_member(name: str) -> User:
    person = actions.make_person(name, password="a pass of them", who=ANN, now=NOON)
    actions.set_token(name, token=token_of(name), user=person, now=NOON)
    billing, shop = (Service.objects.get(slug=slug) for slug in ("billing", "shop"))
    given: dict[str, tuple[str, Any]] = {name: (name, billing) for name in ROLES}
    given |= {"admin": ("admin", None), "off": ("admin", None), "elsewhere": ("editor", shop)}
    given |= {"zoe": ("viewer", shop)}
    role, service = given[name]
    grants.grant(person, role, service=service, who=ANN, now=NOON)
    return person


def _a_request(person: User) -> int:
    """Of a person who is nobody of the cast, because one's own request is another case."""
    here = Scope.objects.select_related().get(service__slug="billing", environment__slug="dev")
    who = Actor(person.username, person.pk, active=True, grants=EVERYTHING)
    return requests.ask(here, message="m", who=who, now=clock.now()).pk


def _a_trust() -> None:
    terms = trusts.Terms(
        issuer="https://forge.example", audience="here", claims={"project": "billing"},
        person="admin", reaches=[Reach(frozenset({"see"}), "billing")],
    )  # fmt: skip
    trusts.make_trust("ci", terms, who=ANN, now=NOON)


def _a_deploy_hook(person: User) -> int:
    """ship, for billing@dev, acting as admin; the row id of its one delivery."""
    here = Scope.objects.select_related().get(service__slug="billing", environment__slug="dev")
    now, body = clock.now(), b'{"pool": 13}'
    _, secret = deploys.make_hook(
        here, name="ship", kind="confhub", mapping={"set": {"POOL": {"pointer": "/pool"}}},
        who=actor_of_user(person), now=now,
    )  # fmt: skip
    signed = {"x-confhub-signature": signature(secret, body, now=now)}
    return receiving.receive("ship", Came(Sent(body, signed, {})), now=now).delivery.pk


def _a_webhook() -> None:
    """chat, for billing, with one delivery."""
    billing = Service.objects.get(slug="billing")
    to = "https://hooks.example.com/confhub"
    chat = webhooks.make_webhook("chat", to=to, service=billing, who=ANN, now=NOON).webhook
    webhooks.send_test(chat, who=ANN, now=NOON)
    WebhookDelivery.objects.update(message_id="msg_1")


def _a_publish_hook() -> None:
    """policy, for billing; off, so that nothing is asked."""
    billing = Service.objects.get(slug="billing")
    hooks.make_hook(
        "policy", when="before", service=billing, environment=None,
        settings=hooks.Settings("https://policy.invalid/confhub", is_on=False), who=ANN, now=NOON,
    )  # fmt: skip


def _session_of(person: User) -> str:
    client = Client()
    client.force_login(person)
    return str(client.session.session_key)


def _streams() -> dict[str, str]:
    found = {str(scope): scope.stream for scope in Scope.objects.select_related()}
    return found | {"catalog": "catalog"} | {
        f"layer {layer}": layer.stream for layer in Layer.objects.all()
    }  # fmt: skip
