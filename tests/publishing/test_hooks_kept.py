"""Publish hooks as rows: made, changed, removed; and told of what was released, at least once."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from confhub.access.policies import NotAllowed, NotFound
from confhub.core import clock
from confhub.core.actors import Actor, Granted
from confhub.core.errors import ConfHubError
from confhub.events.models import AuditEntry
from confhub.publishing import hooks, telling, trying
from confhub.publishing.hooks import BadHook, HookTaken, Settings
from confhub.publishing.models import HookCall, PublishHook
from confhub.releases.models import Release
from tests.parts.factories import ANN, NOON, a_release, a_scope
from tests.parts.receiver import Receiver
from tests.publishing.test_protection import refused, rows
from tests.publishing.test_publish_hooks import NO_ANSWERS, a_hook, drafted, hang, made, says

pytestmark = pytest.mark.django_db

URL = "https://policy.example.com/hook"


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> None:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with Receiver(says(decision="agree")) as receiver:
        yield receiver


def a_make(name: str = "policy", **more: Any) -> Any:
    wanted: dict[str, Any] = {
        "when": "before", "service": None, "environment": None, "settings": Settings(URL),
        "who": ANN, "now": NOON, **more,
    }  # fmt: skip
    return hooks.make_hook(name, **wanted)


# --- rows ------------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "the name": ({"name": "Policy!"}, "name"),
    "the moment": ({"when": "during"}, "when"),
    "no address": ({"settings": Settings("policy")}, "url"),
    "a password": ({"settings": Settings("https://a:b@example.com")}, "url"),
    "too short": ({"settings": Settings(URL, timeout_s=0)}, "timeout_s"),
    "too long": ({"settings": Settings(URL, timeout_s=10.1)}, "timeout_s"),
    "no number": ({"settings": Settings(URL, timeout_s=float("nan"))}, "timeout_s"),
    "the order": ({"settings": Settings(URL, order=-1)}, "order"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_kept_is_refused_and_named(what: str) -> None:
    wanted, field = BAD[what]
    name = wanted.pop("name", "policy") if "name" in wanted else "policy"

    error = refused(BadHook, lambda: a_make(name, **wanted))

    assert field in error.fields
    assert PublishHook.objects.count() == 0


def test_a_name_is_given_once() -> None:
    a_make()

    error = refused(HookTaken, a_make)

    assert "already" in error.fields["name"]


def test_no_publish_waits_longer_than_its_hooks_may() -> None:
    scope, other = a_scope(), a_scope("shop", "dev")
    for number in range(2):
        a_make(f"all-{number}", settings=Settings(URL, timeout_s=10))
    a_make("billing", service=scope.service, settings=Settings(URL, timeout_s=10))
    # Never asked together with billing's, so that it fits.
    shop, _ = a_make("shop", service=other.service, settings=Settings(URL, timeout_s=10))
    off, _ = a_make("off", settings=Settings(URL, timeout_s=10, is_on=False))
    a_make("after", when="after", settings=Settings(URL, timeout_s=10))

    refused(BadHook, lambda: a_make("one-more", settings=Settings(URL)), match="up to 33 s")
    refused(
        BadHook,
        lambda: hooks.change_hook(off, Settings(URL, timeout_s=10), who=ANN, now=NOON),
        match="up to 40 s",
    )
    hooks.change_hook(shop, Settings(URL, timeout_s=5), who=ANN, now=NOON)


def test_each_change_is_in_the_audit_without_what_nobody_may_read() -> None:
    hook, secret = a_make(settings=Settings(f"{URL}?token=canary-1"))
    hooks.change_hook(hook, Settings(f"{URL}?token=canary-2", order=3), who=ANN, now=NOON)
    second = hooks.renew_secret(hook, who=ANN, now=NOON)
    hooks.remove_hook(hook, who=ANN, now=NOON)

    entries = list(AuditEntry.objects.filter(target="policy").order_by("pk"))
    actions = [entry.action.removeprefix("publish_hook.") for entry in entries]
    assert actions == ["made", "changed", "secret", "removed"]
    assert entries[1].data["changed"] == ["url", "order"]
    assert entries[0].data["host"] == "policy.example.com"
    told = str([entry.data for entry in entries])
    assert "canary" not in told
    assert secret not in told
    assert secret != second


def test_a_change_of_nothing_leaves_everything() -> None:
    hook, _ = a_make()
    before = rows()

    hooks.change_hook(hook, hooks.settings_of(hook), who=ANN, now=NOON)

    assert rows() == before


def test_hooks_are_for_those_who_administer_their_place() -> None:
    scope = a_scope()
    here, _ = a_make("here", service=scope.service, environment=scope.environment)
    a_make("service", service=scope.service)
    a_make("environment", environment=scope.environment)
    a_make("everywhere")
    cast = {
        "everything": [Granted("admin")],
        "service": [Granted("admin", service="billing")],
        "scope": [Granted("admin", service="billing", environment="prod")],
        "publisher": [Granted("publisher")],
        "elsewhere": [Granted("admin", service="shop")],
    }

    seen = {}
    for name, grants in cast.items():
        who = Actor(name, 7, active=True, grants=tuple(grants))
        seen[name] = [hook.name for hook in hooks.hooks_for(who)]
        if name == "publisher":
            with pytest.raises(NotAllowed):
                hooks.hook_for(who, "here")
            with pytest.raises(NotAllowed):
                hooks.place_for(who, "billing", "prod")
        if name == "elsewhere":
            with pytest.raises(NotFound):
                hooks.hook_for(who, "here")
        if name == "scope":
            assert hooks.hook_for(who, "here") == here
            with pytest.raises(NotAllowed):
                hooks.place_for(who, "billing", None)

    assert seen == {
        "everything": ["environment", "everywhere", "here", "service"],
        "service": ["here", "service"],
        "scope": ["here"],
        "publisher": [],
        "elsewhere": [],
    }


# --- after -----------------------------------------------------------------------------------


def tell(seconds: float = 0) -> int:
    return telling.tell_due(now=clock.now() + timedelta(seconds=seconds))


def test_a_release_is_told_once_with_what_became_of_it(endpoint: Receiver) -> None:
    scope = a_scope()
    a_release(scope)
    a_hook(endpoint, "news", when="after")

    release = a_release(scope, {"POOL": 11}, message="more")

    assert endpoint.got == []
    assert HookCall.objects.get().outcome == "waiting"
    assert (tell(), tell()) == (1, 0)
    [got] = endpoint.got
    assert (got.json["type"], got.json["release"], got.json["checksum"]) == (
        "publish.after", 2, release.checksum,
    )  # fmt: skip
    assert got.json["changes"] == [{"key": "POOL", "kind": "changed", "old": 10, "new": 11}]
    assert got.json["request_id"] == "test"
    call = HookCall.objects.get()
    assert (call.outcome, call.status, call.next_try_at, call.tries) == ("told", 200, None, 1)


@pytest.mark.parametrize("how", ["resets", "is broken", "redirects", "hangs"])
def test_what_was_not_taken_is_told_again(endpoint: Receiver, how: str) -> None:
    scope = a_scope()
    a_hook(endpoint, when="after", timeout_s=0.3)
    a_release(scope)
    endpoint.answering = NO_ANSWERS[how][0]

    assert tell() == 0
    call = HookCall.objects.get()
    assert (call.outcome, call.tries) == ("waiting", 1)
    assert call.said
    assert tell() == 0  # not before its time
    assert len(endpoint.got) == 1

    endpoint.answering = says()
    assert tell(seconds=10) == 1
    first, second = endpoint.got
    assert first.id == second.id
    assert first.body == second.body


def test_it_is_given_up_after_the_last_try(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint, when="after")
    a_release(scope)
    endpoint.answering = says(500)

    for turn in range(20):
        HookCall.objects.filter(outcome="waiting").update(next_try_at=NOON)
        tell(seconds=turn)

    assert len(endpoint.got) == len(telling.PAUSES_S) + 1
    call = HookCall.objects.get()
    assert (call.outcome, call.next_try_at) == ("failed", None)
    assert "answered 500" in call.said
    assert "Given up after 8 tries" in call.said


def test_a_try_that_died_with_its_process_is_taken_up(endpoint: Receiver, monkeypatch: Any) -> None:
    scope = a_scope()
    a_hook(endpoint, when="after")
    a_release(scope)
    call = HookCall.objects.get()
    assert telling._claim(call, now=clock.now())  # and nothing more

    assert tell() == 0
    assert tell(seconds=telling.IN_HAND_S + 1) == 1


def test_two_tellers_tell_once(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint, when="after")
    a_release(scope)
    mine, yours = HookCall.objects.get(), HookCall.objects.get()

    assert telling._claim(mine, now=clock.now())
    assert not telling._claim(yours, now=clock.now())


def test_a_hook_that_was_switched_off_is_told_nothing(endpoint: Receiver) -> None:
    scope = a_scope()
    hook = a_hook(endpoint, when="after")
    a_release(scope)
    hooks.change_hook(hook, Settings(endpoint.url, is_on=False), who=ANN, now=NOON)

    assert tell() == 0

    assert endpoint.got == []
    assert "switched off" in HookCall.objects.get().said


def test_a_refused_publish_tells_nobody(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint, when="after")

    with pytest.raises(ConfHubError):
        a_release(scope, {})

    assert HookCall.objects.count() == 0


def test_waiting_calls_are_not_forgotten(endpoint: Receiver) -> None:
    scope = a_scope()
    hook = a_hook(endpoint, when="after")
    now = clock.now()
    waiting = HookCall(
        hook=hook, scope=scope, release=1, outcome="waiting", at=now, next_try_at=now
    )
    waiting.save(force_insert=True)
    HookCall.objects.bulk_create(
        HookCall(hook=hook, scope=scope, release=n, outcome="told", at=now) for n in range(150)
    )
    a_release(scope)

    tell()

    assert HookCall.objects.count() == 100
    assert not HookCall.objects.filter(outcome="waiting").exists()


# --- trying one out --------------------------------------------------------------------------


def test_a_test_sends_the_draft_and_publishes_nothing(endpoint: Receiver) -> None:
    scope = a_scope()
    a_release(scope)
    hook = a_hook(endpoint)
    drafted(scope, POOL=11)
    endpoint.answering = says(decision="agree", reason="fine", annotations={"a": 1})
    before = Release.objects.count()

    done = trying.try_hook(hook, scope, who=ANN, now=clock.now())

    assert (done.outcome, done.said, dict(done.annotations)) == ("agreed", "fine", {"a": 1})
    [got] = endpoint.got
    assert got.json["test"] is True
    assert [change["key"] for change in got.json["changes"]] == ["POOL"]
    assert Release.objects.count() == before
    call = HookCall.objects.get()
    assert (call.outcome, call.said, call.release) == ("agreed", "A test. fine", 2)


def test_a_test_of_one_that_hears_afterwards_sends_the_newest_release(endpoint: Receiver) -> None:
    scope = a_scope()
    hook = a_hook(endpoint, when="after")
    error = refused(
        trying.NothingToTell, lambda: trying.try_hook(hook, scope, who=ANN, now=clock.now())
    )
    assert error.status == 409
    a_release(scope)

    done = trying.try_hook(hook, scope, who=ANN, now=clock.now())

    assert (done.outcome, done.status) == ("told", 200)
    assert endpoint.got[0].json["type"] == "publish.after"


def test_a_test_says_why_there_was_no_answer(endpoint: Receiver) -> None:
    scope = a_scope()
    hook = made(endpoint.url, timeout_s=0.2)[0]
    endpoint.answering = hang

    done = trying.try_hook(hook, scope, who=ANN, now=clock.now())

    assert done.outcome == "failed"
    assert "did not answer within 0.2 s" in done.said
