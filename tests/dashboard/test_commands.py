"""Every page that changes something offers the same as a command, and each line does what it says.

The lines are run by a real shell against a real web process; no instance and no etcd is needed.
"""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from confhub.access import actions as access
from confhub.access import grants, tokens, trusts
from confhub.access import layers as layer_doors
from confhub.access.models import Grant, Token, Trust
from confhub.catalog import freezes, sets
from confhub.catalog.models import (
    Environment,
    FreezeWindow,
    Include,
    Layer,
    SchemaVersion,
    Scope,
    Service,
)
from confhub.core import clock
from confhub.core.actors import Reach
from confhub.deploys.models import DeployHook
from confhub.events.models import AuditEntry
from confhub.publishing import hooks, layers, requests
from confhub.publishing.models import PublishHook, ReleaseRequest
from confhub.releases import actions as drafts
from confhub.releases.models import LayerRelease, Release
from confhub.releases.queries import draft_of
from confhub.webhooks import actions as webhooks
from confhub.webhooks.models import Webhook, WebhookDelivery
from dashboard import commands
from tests.dashboard.test_pages import an_instance
from tests.parts.factories import ANN, BEN, NOON, a_person, a_release, a_scope, a_token
from tests.parts.web import WebThread

TEMPLATES = Path(commands.__file__).parent / "templates" / "dashboard"
# Their forms change nothing of ConfHub's, or (ask_twice) repeat one that has its lines.
WITHOUT = {"sign_in.html": 1, "base.html": 2, "ask_twice.html": 1}
TOKEN = "a-token-of-admin-for-the-shell"
FORMS = ("curl", "confhub")
NASTY = 'it\'s "quoted" $HOME `id` \\n\nnew line, ümläut 日本 !! -d @/etc/passwd'


# --- nothing is left out -----------------------------------------------------------------------


def test_every_form_that_changes_something_has_its_lines() -> None:
    """A form has them inside, or names with data-commands the act whose lines stand beside it."""
    texts = {page: page.read_text() for page in sorted(TEMPLATES.rglob("*.html"))}
    acts = set(re.findall(r'as_command "(\w+)"', "".join(texts.values())))
    missing = []
    for page, text in texts.items():
        forms = re.findall(r"<form\b[^>]*method=\"post\".*?</form>", text, re.DOTALL)
        bare = [form for form in forms if not _has_lines(form, acts)]
        if len(bare) != WITHOUT.get(page.name, 0):
            missing += [f"{page.name}: {form[:160]}" for form in bare]

    assert missing == [], "Put {% as_command … %} into these forms (dashboard/commands.py)."
    assert acts == set(commands.ACTS), "an act without a form, or a form without its act"


def _has_lines(form: str, acts: set[str]) -> bool:
    named = re.search(r'data-commands="(\w+)"', form)
    # A deploy hook that is fired by hand has the signed call above it.
    return "as_command" in form or (named is not None and named[1] in {*acts, "signed"})


# --- what a line is made of ----------------------------------------------------------------------


def test_a_secrets_value_is_in_no_line() -> None:
    call = commands.set_key("/api/v1/layers/global/draft", 3, "PASSWORD", "secret", "canary")

    for line in (call.curl("http://here"), call.confhub()):
        assert "canary" not in line
    assert '{"$secret": "…"}' in call.curl("http://here")
    assert call.confhub() == "confhub set global PASSWORD --secret"


@pytest.mark.parametrize("text", [NASTY, "-x", "@file", "", " "], ids=["all", "dash", "at", "none", "blank"])  # fmt: skip
def test_the_shell_gets_each_word_as_it_is(text: str) -> None:
    call = commands.Call("POST", "/x", {"a": text}, {"X-Note": "a b"}, words=["set", f"K={text}"])
    shown = "import json, sys; print(json.dumps(sys.argv[1:]))"

    got = {}
    for name, line in (("curl", call.curl("http://here")), ("confhub", call.confhub())):
        script = f'{name}() {{ "$PYTHON" -c "$SHOWN" "$@"; }}\n{line}\n'
        done = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, check=True,
            env={"PYTHON": sys.executable, "SHOWN": shown, "CONFHUB_TOKEN": "t"},
        )  # fmt: skip
        got[name] = json.loads(done.stdout)

    assert json.loads(got["curl"][-1]) == {"a": text}
    assert "Authorization: Bearer t" in got["curl"]
    assert got["confhub"] == ["set", f"K={text}"]


# --- each line, run ------------------------------------------------------------------------------


@dataclass
class World:
    web: WebThread
    browser: Client
    home: Path
    scope: Scope
    seen: dict[str, Any] = field(default_factory=dict)

    def lines(self, page: str, act: str, sent: Any = None) -> list[dict[str, str]]:
        """[{"curl": …, "confhub": …}] of the act as they stand on the page; with `sent` on the page
        that answers a form which could not be taken."""
        host = {"host": self.web.url.removeprefix("http://")}
        answer = self.browser.get(page, headers=host)
        if sent is not None:
            answer = self.browser.post(page, sent, headers=host)
        assert answer.status_code == (200 if sent is None else 412), (page, answer.status_code)
        found = re.findall(
            r'<details class="as-command" data-act="(\w+)">(.*?)</details>',
            answer.content.decode(), re.DOTALL,
        )  # fmt: skip
        return [
            {
                name: html.unescape(text)
                for name, text in re.findall(
                    r'data-line="(\w+)"><code>(.*?)</code></pre>', body, re.DOTALL
                )
            }
            for each, body in found
            if each == act
        ]

    def run(self, line: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        here = Path(sys.executable).parent
        return subprocess.run(
            ["sh", "-c", line], input=stdin, capture_output=True, text=True, cwd=self.home,
            check=False, timeout=60,
            env={
                "PATH": f"{here}:{os.environ['PATH']}", "HOME": str(self.home), "LC_ALL": "C.UTF-8",
                "CONFHUB_URL": self.web.url, "CONFHUB_TOKEN": TOKEN, "CONFHUB_RETRY_S": "0",
            },
        )  # fmt: skip


@pytest.fixture
def world(transactional_db: None, settings: Any, tmp_path: Path) -> Iterator[World]:
    settings.STATIC_ROOT = tmp_path
    scope = a_scope("billing", "dev")
    a_scope("billing", "prod")
    a_release(scope, {"POOL": 10, "PASSWORD": {"$secret": "horse"}})
    a_release(scope, {"POOL": 20})
    a_token(TOKEN)
    browser = Client()
    browser.force_login(a_person())
    web = WebThread()
    web.start()
    try:
        yield World(web, browser, tmp_path, scope)
    finally:
        web.stop()


def fresh(place: Any) -> Any:
    return type(place).objects.get(pk=place.pk)


def drafted(place: Any, **held: Any) -> None:
    drafts.change_draft(place, set=held or {"POOL": 30}, expected=None, who=ANN, now=NOON)


def a_layer() -> Layer:
    """The global one, at r2, with a draft."""
    layer = layer_doors.layer_for(ANN, "publish", "global")
    for level in ("info", "debug"):
        drafted(layer, LEVEL=level)
        layers.publish_layer(layer, message="m", targets="all", who=ANN, now=NOON)
    drafted(layer, LEVEL="error")
    return layer


def a_member() -> Any:
    return access.make_person("zoe", password="a pass of zoe", who=ANN, now=NOON)


def a_request(world: World, *, approved: bool = False) -> str:
    drafted(world.scope)
    made = requests.ask(world.scope, message="please", who=BEN, now=clock.now())
    if approved:
        requests.approve(made, who=ANN, now=clock.now())
    return f"/requests/{made.pk}/"


def a_hook(world: World) -> str:
    wanted = hooks.Settings("https://policy.invalid/x", timeout_s=0.5)
    hooks.make_hook(
        "policy", when="before", service=None, environment=None, settings=wanted, who=ANN, now=NOON
    )
    return "/publish-hooks/policy/"


def overlapping(world: World) -> str:
    drafted(world.scope, POOL=30)
    from confhub.publishing import actions as publishing

    publishing.publish_changes(
        world.scope, set={"POOL": 25}, unset=[], message="m", who=BEN, now=NOON
    )
    return "/services/billing/dev/review/"


def state_of(number: int = 1) -> str:
    return ReleaseRequest.objects.order_by("pk").first().state  # type: ignore[union-attr]


DEV = "/services/billing/dev/"
CONFIG, KEY = f"{DEV}config/", f"{DEV}config/key/?key=POOL"
Prepare = Callable[[World], str]  # makes what the act needs; the page where its lines stand
Check = Callable[[World], bool]  # did it happen?


def _change(world: World, key: str) -> Any:
    return draft_of(world.scope).set.get(key)


def _after(*steps: Callable[[], object], page: str) -> Prepare:
    def prepare(world: World) -> str:
        for step in steps:
            step()
        return page

    return prepare


def _drafting(page: str, **held: Any) -> Prepare:
    def prepare(world: World) -> str:
        drafted(world.scope, **held)
        return page

    return prepare


# {act, with what distinguishes it: (prepare, check)}
RUN: dict[str, tuple[Prepare, Check]] = {
    "make_service": (lambda w: "/services/", lambda w: Service.objects.filter(slug="my-service").exists()),
    "make_environment": (lambda w: "/environments/", lambda w: Environment.objects.filter(slug="my-environment").exists()),
    "change_environment": (lambda w: "/environments/dev/", lambda w: AuditEntry.objects.filter(target="dev").exists()),
    "freeze": (lambda w: "/environments/dev/", lambda w: FreezeWindow.objects.count() == 1),
    "thaw": (lambda w: _frozen(w), lambda w: not FreezeWindow.objects.filter(ends_at__gt=clock.now()).exists()),
    "make_set": (lambda w: "/layers/", lambda w: Layer.objects.filter(slug="my-set").exists()),
    "include_sets": (lambda w: _with_set(w), lambda w: Include.objects.count() == 1),
    "follow": (lambda w: "/services/billing/", lambda w: fresh(w.scope).holds_back),
    "take_layers": (lambda w: _behind(w), lambda w: fresh(w.scope).head == 3),
    "set_key": (lambda w: _nasty(w), lambda w: _change(w, "TEXT") == NASTY),
    "unset_key": (lambda w: KEY, lambda w: draft_of(w.scope).unset == ["POOL"]),
    "revert_key": (_drafting(KEY), lambda w: draft_of(w.scope).changes == []),
    "rename_key": (lambda w: KEY, lambda w: _change(w, "POOL_NEW") == 20),
    "restore_key": (lambda w: KEY, lambda w: _change(w, "POOL") == 10),
    "undo": (lambda w: _mine(w), lambda w: draft_of(w.scope).changes == []),
    "redo": (lambda w: _undone(w), lambda w: _change(w, "POOL") == 30),
    "discard": (_drafting(f"{DEV}review/"), lambda w: draft_of(w.scope).changes == []),
    "rebase": (overlapping, lambda w: draft_of(w.scope).overlapping == [] and not draft_of(w.scope).changes),
    "save_text": (_drafting(f"{CONFIG}raw/?format=yaml", A=NASTY), lambda w: draft_of(w.scope).set.get("A") == NASTY),
    "import_file": (lambda w: f"{CONFIG}import/", lambda w: _change(w, "MY_KEY") == "value"),
    "set_everywhere": (lambda w: _in_place("/services/billing/all/"), lambda w: _in_my_environment("MY_KEY")),
    "promote": (lambda w: "/services/billing/all/promote/?from=dev&to=prod", lambda w: _drafted_in("prod", "POOL") == 20),
    "reveal": (lambda w: f"{CONFIG}reveal/?key=PASSWORD", lambda w: AuditEntry.objects.filter(action="secret.revealed").exists()),
    "publish": (_drafting(f"{DEV}review/"), lambda w: fresh(w.scope).head == 3),
    "publish approved": (lambda w: _approved(w), lambda w: fresh(w.scope).head == 3),
    "publish emergency": (lambda w: _frozen_draft(w), lambda w: Release.objects.get(scope=w.scope, number=3).emergency),
    "roll_back": (lambda w: f"{DEV}releases/1/rollback/", lambda w: Release.objects.get(scope=w.scope, number=3).restores == 1),
    "publish_layer": (lambda w: (a_layer(), "/layers/global/review/")[1], lambda w: LayerRelease.objects.count() == 3),
    "roll_back_layer": (lambda w: (a_layer(), "/layers/global/releases/")[1], lambda w: LayerRelease.objects.get(number=3).restores == 1),
    "ask": (lambda w: _wants_approval(w), lambda w: ReleaseRequest.objects.count() == 1),
    "on_request approve": (lambda w: a_request(w), lambda w: state_of() == "approved"),
    "on_request reject": (lambda w: a_request(w), lambda w: state_of() == "rejected"),
    "on_request comment": (lambda w: a_request(w), lambda w: ReleaseRequest.objects.get().comments.count() == 1),
    "on_request withdraw": (lambda w: a_request(w), lambda w: state_of() == "withdrawn"),
    "on_request publish": (lambda w: _layer_request(w), lambda w: state_of() == "published"),
    "look_again": (lambda w: _instance(w), lambda w: AuditEntry.objects.filter(action="host.look_again").exists()),
    "retry_release": (lambda w: _failed(w), lambda w: AuditEntry.objects.filter(action="instance.retry").exists()),
    "save_schema": (lambda w: "/services/billing/schema/", lambda w: SchemaVersion.objects.count() == 1),
    "set_rule": (lambda w: "/services/billing/schema/key/", lambda w: SchemaVersion.objects.count() == 1),
    "make_person": (lambda w: "/people/", lambda w: _person("mia") is not None),
    "give_role": (lambda w: (a_member(), "/people/zoe/")[1], lambda w: Grant.objects.filter(user__username="zoe").count() == 1),
    "take_role": (lambda w: _granted(), lambda w: not Grant.objects.filter(user__username="zoe").exists()),
    "set_password": (lambda w: (a_member(), "/people/zoe/")[1], lambda w: _person("zoe").check_password("another pass of zoe")),
    "switch_person": (lambda w: (a_member(), "/people/zoe/")[1], lambda w: not _person("zoe").is_active),
    "make_token": (lambda w: "/tokens/", lambda w: Token.objects.filter(name="my-token").exists()),
    "rotate_token": (lambda w: _own_token(), lambda w: Token.objects.get(name="aaa").previous_digest != ""),
    "revoke_token": (lambda w: _own_token(), lambda w: not Token.objects.filter(name="aaa").exists()),
    "make_trust": (lambda w: "/trusts/", lambda w: Trust.objects.count() == 1),
    "change_trust": (lambda w: _trusted(), lambda w: Trust.objects.get().audience == "there"),
    "remove_trust": (lambda w: _trusted(), lambda w: Trust.objects.count() == 0),
    "on_webhook make": (lambda w: "/webhooks/", lambda w: Webhook.objects.filter(name="my-webhook").exists()),
    "on_webhook change": (lambda w: _webhook(), lambda w: Webhook.objects.get().to.endswith("/other")),
    "on_webhook switch": (lambda w: _webhook(), lambda w: not Webhook.objects.get().is_on),
    "on_webhook secret": (lambda w: _webhook(), lambda w: AuditEntry.objects.filter(action__contains="secret").exists()),
    "on_webhook test": (lambda w: _webhook(), lambda w: WebhookDelivery.objects.count() == 2),
    "on_webhook redeliver": (lambda w: _webhook(), lambda w: AuditEntry.objects.filter(target__contains="chat").count() >= 2),
    "on_webhook remove": (lambda w: f"{_webhook()}remove/", lambda w: Webhook.objects.count() == 0),
    "on_deploy_hook make": (lambda w: (a_scope("my-service", "my-environment"), "/deploy-hooks/")[1], lambda w: DeployHook.objects.filter(name="my-hook").exists()),
    "on_deploy_hook rules": (lambda w: _deploy_hook(w), lambda w: DeployHook.objects.get().wait_s == 9),
    "on_deploy_hook switch": (lambda w: _deploy_hook(w), lambda w: not DeployHook.objects.get().is_on),
    "on_deploy_hook secret": (lambda w: _deploy_hook(w), lambda w: AuditEntry.objects.filter(action__contains="secret").exists()),
    "on_deploy_hook remove": (lambda w: _deploy_hook(w), lambda w: DeployHook.objects.count() == 0),
    "make_publish_hook": (lambda w: "/publish-hooks/", lambda w: PublishHook.objects.filter(name="my-hook").exists()),
    "on_publish_hook switch": (a_hook, lambda w: not PublishHook.objects.get().is_on),
    "on_publish_hook secret": (a_hook, lambda w: AuditEntry.objects.filter(action="publish_hook.secret").exists()),
    "on_publish_hook test": (a_hook, lambda w: PublishHook.objects.get().calls.count() == 1),
    "on_publish_hook change": (a_hook, lambda w: PublishHook.objects.get().order == 7),
    "on_publish_hook remove": (a_hook, lambda w: PublishHook.objects.count() == 0),
}  # fmt: skip
WORDS = {  # what tells the lines of one act from another's
    "publish emergency": "emergency", "on_request approve": "approve", "on_request reject": "reject",
    "on_request comment": "comment", "on_request withdraw": "withdraw",
    "on_request publish": "publish", "on_publish_hook switch": '"on"',
    "on_publish_hook secret": "/secret", "on_webhook change": '"to"', "on_webhook switch": '"on"',
    "on_webhook secret": "/secret", "on_webhook test": "/test", "on_webhook remove": "DELETE",
    "on_webhook redeliver": "/redeliver", "on_deploy_hook rules": "mapping",
    "on_deploy_hook switch": '"on"', "on_deploy_hook secret": "/secret",
    "on_deploy_hook remove": "DELETE", "on_publish_hook test": "/test",
    "on_publish_hook change": "timeout_s", "on_publish_hook remove": "DELETE",
}  # fmt: skip


WRITTEN = {  # what somebody writes over what stands in the line
    "set_password": ("…", "another pass of zoe"), "change_trust": ('"here"', '"there"'),
    "on_publish_hook change": ('"order": 0', '"order": 7'),
    "on_webhook change": ("/confhub\"", "/other\""), "on_deploy_hook rules": ('"wait_s": 0', '"wait_s": 9'),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("act", RUN)
def test_a_line_does_what_its_form_does(world: World, act: str, form: str) -> None:
    prepare, happened = RUN[act]
    page = prepare(world)
    found = world.lines(page, act.partition(" ")[0], world.seen.get("sent"))
    fitting = [each for each in found if WORDS.get(act, "") in each["curl"]]
    assert fitting, (act, found)
    if form == "confhub" and act == "import_file":
        (world.home / "my-file").write_text("MY_KEY=value\n")

    line = fitting[0][form].replace(*WRITTEN.get(act, ("", "")))
    done = world.run(line)

    assert done.returncode == 0, (fitting[0][form], done.stdout, done.stderr)
    assert happened(world), (fitting[0][form], done.stdout, done.stderr)


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_typed_and_not_in_the_line(world: World, form: str) -> None:
    line = world.lines(f"{CONFIG}key/?key=PASSWORD", "set_key")[0][form]
    assert "horse" not in line
    line = line.replace("…", "battery")

    done = world.run(line, stdin="battery\n")

    assert done.returncode == 0, (line, done.stderr)
    mask = draft_of(world.scope).set["PASSWORD"]
    assert mask["$secret"] is True
    assert mask["version"] == 2


@pytest.mark.parametrize("form", FORMS)
def test_a_line_that_is_refused_says_so_by_its_exit_code(world: World, form: str) -> None:
    drafted(world.scope)
    line = world.lines(f"{DEV}review/", "publish")[0][form]
    a_release(world.scope, {"POOL": 40})  # another one is the newest now

    done = world.run(line)

    assert done.returncode != 0
    assert "r3" in done.stdout + done.stderr
    assert fresh(world.scope).head == 3


# --- what the acts need --------------------------------------------------------------------------


def _person(name: str) -> Any:
    from django.contrib.auth.models import User

    return User.objects.filter(username=name).first()


def _frozen(world: World) -> str:
    now = clock.now()
    freezes.add_freeze(
        world.scope.environment, starts_at=now, ends_at=now + timedelta(hours=1), reason="r",
        who=ANN, now=now,
    )  # fmt: skip
    return "/environments/dev/"


def _frozen_draft(world: World) -> str:
    _frozen(world)
    drafted(world.scope)
    return f"{DEV}review/"


def _with_set(world: World) -> str:
    """The page offers the sets that are included already, so one is, and taken away after."""
    sets.create_set(slug="tls", who=ANN, now=NOON)
    sets.set_includes(world.scope.service, ["tls"], who=ANN, now=NOON)
    return "/services/billing/"


def _behind(world: World) -> str:
    layer = layer_doors.layer_for(ANN, "publish", "global")
    drafted(layer, LEVEL="info")
    layers.publish_layer(layer, message="m", targets=[], who=ANN, now=NOON)
    return "/services/billing/"


def _nasty(world: World) -> str:
    """Somebody was quicker, so the page shows once more what was typed."""
    drafted(world.scope, TEXT="theirs")
    world.seen["sent"] = {"key": "TEXT", "kind": "string", "value": NASTY, "version": 0}
    return f"{CONFIG}key/?key=TEXT"


def _mine(world: World) -> str:
    """An edit of the person whose token the shell has."""
    done = world.run("confhub set billing@dev POOL:=30")
    assert done.returncode == 0, done.stderr
    return f"{CONFIG}edits/"


def _undone(world: World) -> str:
    page = _mine(world)
    done = world.run(world.lines(page, "undo")[0]["confhub"])
    assert done.returncode == 0, done.stderr
    return page


def _in_place(page: str) -> str:
    a_scope("billing", "my-environment")
    return page


def _drafted_in(environment: str, key: str) -> Any:
    scope = Scope.objects.get(service__slug="billing", environment__slug=environment)
    return draft_of(scope).set.get(key)


def _in_my_environment(key: str) -> bool:
    return _drafted_in("my-environment", key) == "value"


def _approved(world: World) -> str:
    from confhub.catalog import actions as catalog

    catalog.change_environment(world.scope.environment, approvals=1, who=ANN, now=NOON)
    a_request(world, approved=True)
    return f"{DEV}review/"


def _wants_approval(world: World) -> str:
    from confhub.catalog import actions as catalog

    catalog.change_environment(world.scope.environment, approvals=1, who=ANN, now=NOON)
    drafted(world.scope)
    return f"{DEV}review/"


def _layer_request(world: World) -> str:
    layer = layer_doors.layer_for(ANN, "publish", "global")
    drafted(layer, LEVEL="info")
    made = requests.ask(layer, message="m", targets="all", who=BEN, now=clock.now())
    requests.approve(made, who=ANN, now=clock.now())
    return f"/requests/{made.pk}/"


def _instance(world: World) -> str:
    an_instance(world.scope)
    return f"{DEV}instances/web-1/"


def _failed(world: World) -> str:
    held = an_instance(world.scope)
    held.receipt = {**held.receipt, "state": "failed", "stage": "check", "reason": "no"}
    held.save(update_fields=["receipt"])
    return f"{DEV}instances/web-1/"


def _webhook() -> str:
    """chat, with one delivery."""
    to = "https://hooks.example.com/confhub"
    chat = webhooks.make_webhook("chat", to=to, who=ANN, now=NOON).webhook
    webhooks.send_test(chat, who=ANN, now=NOON)
    return "/webhooks/chat/"


def _deploy_hook(world: World) -> str:
    body = {
        "name": "shop", "kind": "confhub", "service": "billing", "environment": "dev",
        "mapping": {"set": {"TAG": {"pointer": "/tag"}}},
    }  # fmt: skip
    made = Client().post(
        "/api/v1/deploy-hooks", body, content_type="application/json",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )  # fmt: skip
    assert made.status_code == 201, made.content
    return "/deploy-hooks/shop/"


def _granted() -> str:
    grants.grant(a_member(), "viewer", who=ANN, now=NOON)
    return "/people/zoe/"


def _own_token() -> str:
    person = _person("admin")
    tokens.make_token(
        "aaa", owner=person, reaches=[Reach(frozenset({"see"}))], lifetime=timedelta(days=9),
        who=ANN, now=clock.now(),
    )  # fmt: skip
    return "/tokens/"


def _trusted() -> str:
    terms = trusts.Terms(
        issuer="https://forge.example", audience="here", claims={"project": "billing"},
        person="admin", reaches=[Reach(frozenset({"see"}), "billing")],
    )  # fmt: skip
    trusts.make_trust("ci", terms, who=ANN, now=NOON)
    return "/trusts/ci/"
