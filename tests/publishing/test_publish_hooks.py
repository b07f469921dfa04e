"""Publish hooks: asked outside of every transaction about exactly what is published, or nothing is."""

import base64
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from confhub.access import layers as doors
from confhub.catalog.models import Scope, Service
from confhub.core import rehearsal
from confhub.events.models import AuditEntry
from confhub.publishing import actions as publishing
from confhub.publishing import consulting, hooks, layers, requests
from confhub.publishing.actions import AGREED
from confhub.publishing.consulting import (
    HookRefused,
    HookSilent,
    HooksOvertaken,
    NotAsked,
    with_hooks,
)
from confhub.publishing.gates import Consent
from confhub.publishing.models import HookCall, PublishHook
from confhub.publishing.rotation import rotate_data_keys
from confhub.releases import actions as releases
from confhub.releases.models import LayerRelease, Release
from tests.parts.factories import ANN, BEN, NOON, a_release, a_scope
from tests.parts.receiver import Got, Handler, Receiver
from tests.publishing.test_protection import rows, wants_approval

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> None:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    """Agrees, until a test says otherwise."""
    with Receiver(says(decision="agree")) as receiver:
        yield receiver


def says(status: int = 200, /, **body: Any) -> Callable[[Handler, Got], None]:
    return lambda handler, _: handler.answer(status, json.dumps(body).encode())


def a_hook(endpoint: Receiver, name: str = "policy", **more: Any) -> PublishHook:
    return made(endpoint.url, name, **more)[0]


def made(url: str, name: str = "policy", **more: Any) -> tuple[PublishHook, str]:
    place = {"service": more.pop("service", None), "environment": more.pop("environment", None)}
    when = more.pop("when", "before")
    wanted = hooks.Settings(url, **more)
    return hooks.make_hook(name, when=when, **place, settings=wanted, who=ANN, now=NOON)


def drafted(scope: Scope, **values: Any) -> None:
    releases.change_draft(scope, set=values, expected=None, who=ANN, now=NOON)


def publish(scope: Scope, consent: Consent = AGREED, **more: Any) -> Release:
    said: dict[str, Any] = {"message": "why", "who": ANN, "now": NOON, **more}
    return with_hooks(
        lambda given: publishing.publish_draft(scope, consent=given, **said), consent
    ).release


def untouched(kind: type[Exception], act: Callable[[], object], match: str = "") -> Any:
    """The refusal of `act`, once it is known that it wrote nothing but its calls."""
    before = rows()
    before.pop("publishing.HookCall")
    with pytest.raises(kind, match=match) as caught:
        act()
    after = rows()
    after.pop("publishing.HookCall")
    assert after == before
    return caught.value


# --- what an endpoint is sent, and says ------------------------------------------------------


def test_an_agreement_lets_the_release_be_frozen(endpoint: Receiver) -> None:
    scope = a_scope()
    a_release(scope, {"POOL": 10, "OLD": 1})
    a_hook(endpoint)
    drafted(scope, POOL=11, NEW="x")

    release = publish(scope, message="raise the pool")

    [got] = endpoint.got
    assert {name: got.json[name] for name in ("type", "hook", "service", "environment")} == {
        "type": "publish.before", "hook": "policy", "service": "billing", "environment": "prod",
    }  # fmt: skip
    assert (got.json["release"], got.json["message"], got.json["author"]) == (
        2, "raise the pool", "ann",
    )  # fmt: skip
    assert got.json["changes"] == [
        {"key": "NEW", "kind": "added", "old": None, "new": "x"},
        {"key": "POOL", "kind": "changed", "old": 10, "new": 11},
    ]
    assert got.json["request_id"] == got.headers["x-request-id"] == "test"
    assert got.json["checksum"].startswith("sha256:")
    assert (release.number, release.annotations) == (2, None)
    call = HookCall.objects.get()
    assert (call.outcome, call.status, call.release, call.request_id) == ("agreed", 200, 2, "test")


def test_what_is_sent_is_signed(endpoint: Receiver) -> None:
    scope = a_scope()
    _, secret = made(endpoint.url)
    drafted(scope, POOL=1)

    publish(scope)

    [got] = endpoint.got
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{digest}"
    assert abs(time.time() - int(got.headers["webhook-timestamp"])) < 300
    assert got.headers["content-type"] == "application/json"


def test_no_secret_leaves_and_none_is_kept_in_clear(endpoint: Receiver) -> None:
    scope = a_scope()
    hook, secret = made(endpoint.url)
    drafted(scope, PASSWORD={"$secret": "canary-7f3a9c"}, POOL=1)

    publish(scope)

    assert b"canary" not in endpoint.got[0].body
    assert b"ciphertext" not in endpoint.got[0].body
    change = endpoint.got[0].json["changes"][0]
    assert change["new"]["$secret"] is True
    hook.refresh_from_db()
    assert secret not in str(rows()), "a signing secret stands in the database in clear"
    assert secret not in hook.secret


def test_a_refusal_leaves_everything_as_it_was(endpoint: Receiver) -> None:
    scope = a_scope()
    a_release(scope)
    a_hook(endpoint)
    drafted(scope, POOL=11)
    endpoint.answering = says(decision="refuse", reason="The pool is too large")

    refusal = untouched(HookRefused, lambda: publish(scope), "policy refused to publish billing")

    assert refusal.extra == {
        "hook": "policy", "scope": "billing@prod", "reason": "The pool is too large",
    }  # fmt: skip
    assert refusal.detail.endswith("The pool is too large. Nothing was published.")
    assert HookCall.objects.get().outcome == "refused"
    endpoint.answering = says(decision="agree")
    assert publish(scope).number == 2


def test_annotations_are_frozen_into_the_release(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint, "tickets")
    drafted(scope, POOL=1)
    endpoint.answering = says(decision="agree", annotations={"ticket": "OPS-7", "risk": 0.5})

    release = publish(scope)

    assert release.annotations == {"tickets": {"ticket": "OPS-7", "risk": 0.5}}
    release.refresh_from_db()
    assert release.annotations == {"tickets": {"ticket": "OPS-7", "risk": 0.5}}


def test_hooks_are_a_chain_in_their_order(endpoint: Receiver) -> None:
    scope = a_scope()
    for name, order in (("third", 9), ("first", 0), ("second", 5)):
        a_hook(endpoint, name, order=order)
    drafted(scope, POOL=1)
    endpoint.answering = lambda handler, got: says(
        decision="agree", annotations={"saw": sorted(got.json["annotations"])}
    )(handler, got)

    release = publish(scope)

    assert [got.json["hook"] for got in endpoint.got] == ["first", "second", "third"]
    assert release.annotations == {
        "first": {"saw": []}, "second": {"saw": ["first"]}, "third": {"saw": ["first", "second"]},
    }  # fmt: skip


def test_nobody_is_asked_after_a_refusal(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint, "one", order=1)
    a_hook(endpoint, "two", order=2)
    drafted(scope, POOL=1)
    endpoint.answering = says(decision="refuse")

    refusal = untouched(HookRefused, lambda: publish(scope), "one refused")

    assert "It gave no reason." in refusal.detail
    assert [got.json["hook"] for got in endpoint.got] == ["one"]


# --- no answer -------------------------------------------------------------------------------


def reset(handler: Handler, _: Got) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def hang(handler: Handler, _: Got) -> None:
    handler.server.closing.wait(30)


def drip(handler: Handler, _: Got) -> None:
    """A byte now and then, so that no single read is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "10000")
    handler.end_headers()
    try:
        while not handler.server.closing.wait(0.05):
            handler.wfile.write(b" ")
    except OSError:
        return


def raw(body: bytes) -> Callable[[Handler, Got], None]:
    return lambda handler, _: handler.answer(200, body)


NO_ANSWERS: dict[str, tuple[Callable[[Handler, Got], None], str]] = {
    "hangs": (hang, "did not answer within"),
    "drips": (drip, "did not answer within"),
    "resets": (reset, "connection failed"),
    "is broken": (says(500), "answered 500"),
    "is empty": (says(204), "answered 204"),
    "redirects": (
        lambda handler, _: handler.answer(302, b"", Location="http://127.0.0.1:1/elsewhere"),
        "answered 302; only 200 is an answer. Redirects are not followed",
    ),
    "is huge": (raw(b'{"decision": "agree", "x": "' + b"x" * 100_000 + b'"}'), "more than 64 KiB"),
    "is no JSON": (raw(b"agree"), "not JSON"),
    "nests": (raw(b"[" * 20_000), "not JSON"),
    "is no object": (raw(b'["agree"]'), 'no "decision"'),
    "decides nothing": (says(decision="maybe"), 'no "decision"'),
    "has a strange reason": (says(decision="refuse", reason={"a": 1}), '"reason"'),
    "annotates a list": (says(decision="agree", annotations=[1]), '"annotations"'),
    "annotates too much": (says(decision="agree", annotations={"a": "x" * 4100}), "4,096 bytes"),
    "annotates NUL": (says(decision="agree", annotations={"a": "\0"}), "plain JSON"),
    "annotates half a pair": (
        raw(rb'{"decision": "agree", "annotations": {"a": "\ud800"}}'), "plain JSON",
    ),
    "annotates infinity": (
        raw(b'{"decision": "agree", "annotations": {"a": 1e999}}'), "plain JSON",
    ),
    "nests annotations": (
        raw(b'{"decision": "agree", "annotations": ' + b'{"a":' * 9 + b"1" + b"}" * 10),
        "plain JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", NO_ANSWERS)
def test_without_an_answer_nothing_is_published_or_everything(endpoint: Receiver, how: str) -> None:
    scope = a_scope()
    hook = a_hook(endpoint, timeout_s=0.3)
    drafted(scope, POOL=1)
    endpoint.answering, sentence = NO_ANSWERS[how]

    refusal = untouched(HookSilent, lambda: publish(scope), "gave no answer")

    assert sentence in refusal.detail
    assert "switch it off, or publish as an emergency" in refusal.detail
    call = HookCall.objects.get()
    assert (call.outcome, sentence in call.said) == ("failed", True)

    hooks.change_hook(hook, hooks.Settings(endpoint.url, timeout_s=0.3, fail_open=True), who=ANN, now=NOON)  # fmt: skip
    release = publish(scope)

    assert release.annotations is not None
    assert sentence in release.annotations["policy"]["no_answer"]
    assert not release.emergency
    assert HookCall.objects.count() == 2


def test_an_address_that_is_not_public_is_no_answer(endpoint: Receiver, settings: Any) -> None:
    settings.CONFHUB_OUTGOING_ALLOW = []
    scope = a_scope()
    a_hook(endpoint)
    drafted(scope, POOL=1)

    untouched(HookSilent, lambda: publish(scope), "not a public address")

    assert endpoint.got == []


def test_a_secret_that_cannot_be_opened_is_no_answer(endpoint: Receiver) -> None:
    scope = a_scope()
    hook = a_hook(endpoint)
    PublishHook.objects.filter(pk=hook.pk).update(secret="v1:elsewhere:AAAA")
    drafted(scope, POOL=1)

    untouched(HookSilent, lambda: publish(scope), "cannot be opened")

    assert endpoint.got == []


def test_all_questions_of_a_publish_have_one_end(endpoint: Receiver, monkeypatch: Any) -> None:
    monkeypatch.setattr(consulting, "BUDGET_S", 0.4)
    scope = a_scope()
    a_hook(endpoint, "slow", order=1, timeout_s=10, fail_open=True)
    a_hook(endpoint, "late", order=2, timeout_s=10)
    drafted(scope, POOL=1)
    endpoint.answering = hang

    untouched(HookSilent, lambda: publish(scope), "late gave no answer.*No time was left")

    assert [got.json["hook"] for got in endpoint.got] == ["slow"]


# --- emergencies -----------------------------------------------------------------------------


def test_an_emergency_goes_past_silence_and_not_past_a_refusal(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint)
    drafted(scope, POOL=1)
    endpoint.answering = says(decision="refuse", reason="no")

    untouched(HookRefused, lambda: publish(scope, Consent(emergency=True)), "refused")

    endpoint.answering = says(503)
    release = publish(scope, Consent(emergency=True))

    assert release.emergency
    assert release.annotations is not None
    assert "answered 503" in release.annotations["policy"]["no_answer"]
    assert AuditEntry.objects.filter(action="release.emergency").count() == 1


def test_an_emergency_that_a_hook_agrees_with_is_none(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint)
    drafted(scope, POOL=1)

    assert not publish(scope, Consent(emergency=True)).emergency


# --- every way of publishing -----------------------------------------------------------------


def ways(scope: Scope) -> dict[str, Callable[[Consent], object]]:
    """Each cuts r3 of the scope, which is at r2 with a draft and behind its layer's r2."""
    layer = doors.layer_for(ANN, "publish", "global")
    told: dict[str, Any] = {"message": "m", "who": ANN, "now": NOON}
    for level in ("info", "debug"):
        drafted(layer, LEVEL=level)  # type: ignore[arg-type]
        layers.publish_layer(layer, targets=[], **told)
    drafted(layer, LEVEL="error")  # type: ignore[arg-type]
    return {
        "draft": lambda given: publishing.publish_draft(scope, consent=given, **told),
        "changes": lambda given: publishing.publish_changes(
            scope, set={"POOL": 9}, unset=[], consent=given, **told
        ),
        "rollback": lambda given: publishing.roll_back(scope, number=1, consent=given, **told),
        "layer": lambda given: layers.publish_layer(layer, targets="all", consent=given, **told),
        "layer changes": lambda given: layers.publish_layer_changes(
            layer, set={"LEVEL": "x"}, unset=[], targets="all", consent=given, **told
        ),
        "layer rollback": lambda given: layers.roll_back_layer(
            layer, number=1, targets="all", consent=given, **told
        ),
        "take layers": lambda given: layers.take_layers(scope, consent=given, **told),
    }


@pytest.mark.parametrize(
    "way",
    ["draft", "changes", "rollback", "layer", "layer changes", "layer rollback", "take layers"],
)
def test_every_way_is_refused_without_asking_and_passes_with_it(
    endpoint: Receiver, way: str
) -> None:
    scope = a_scope()
    a_release(scope)
    a_release(scope, {"POOL": 11})
    drafted(scope, POOL=12)
    act = ways(scope)[way]
    a_hook(endpoint)

    refusal = untouched(NotAsked, lambda: act(AGREED), "has to be asked before billing@prod")

    assert (refusal.status, refusal.code) == (409, "hook.not_asked")
    assert endpoint.got == []
    head = Release.objects.count()
    with_hooks(act, AGREED)
    assert Release.objects.count() == head + 1
    assert [got.json["release"] for got in endpoint.got] == [3]


def test_an_approved_request_asks_its_hooks(endpoint: Receiver) -> None:
    scope = a_scope()
    wants_approval(scope)
    drafted(scope, POOL=1)
    request = requests.ask(scope, message="please", who=ANN, now=NOON)
    requests.approve(request, who=BEN, now=NOON)
    a_hook(endpoint)

    with_hooks(
        lambda consent: requests.publish_request(request, consent=consent, who=ANN, now=NOON),
        AGREED,
    )

    assert len(endpoint.got) == 1
    request.refresh_from_db()
    assert request.state == "published"


def test_sealing_anew_asks_nobody(endpoint: Receiver) -> None:
    scope = a_scope()
    a_release(scope, {"PASSWORD": {"$secret": "x"}})
    a_hook(endpoint)
    a_hook(endpoint, "after", when="after")

    done = list(rotate_data_keys(who=ANN, now=NOON))

    assert [each.release for each in done] == [2]
    assert endpoint.got == []
    assert HookCall.objects.get().release == 2  # told, because it is a release


def test_only_the_hooks_of_the_place_are_asked(endpoint: Receiver) -> None:
    billing, shop = a_scope(), a_scope("shop", "dev")
    a_hook(endpoint, "of-shop", service=shop.service)
    a_hook(endpoint, "of-dev", environment=shop.environment)
    a_hook(endpoint, "of-both", service=billing.service, environment=billing.environment)
    off = a_hook(endpoint, "off")
    hooks.change_hook(off, hooks.Settings(endpoint.url, is_on=False), who=ANN, now=NOON)
    drafted(billing, POOL=1)
    drafted(shop, POOL=1)

    publish(billing)
    publish(shop)

    asked = [got.json["hook"] for got in endpoint.got]
    assert asked == ["of-both", "of-dev", "of-shop"]


def test_a_layer_asks_once_for_each_scope(endpoint: Receiver) -> None:
    scopes = [a_scope(f"s{number}", "prod") for number in range(12)]
    for scope in scopes:
        a_release(scope)
    layer = doors.layer_for(ANN, "publish", "global")
    drafted(layer, LEVEL="info")  # type: ignore[arg-type]
    a_hook(endpoint)

    def act(consent: Consent) -> layers.LayerPublished:
        return layers.publish_layer(
            layer, message="m", targets="all", consent=consent, who=ANN, now=NOON
        )

    done = with_hooks(act, AGREED)

    assert len(done.cut) == 12
    asked = sorted(got.json["service"] for got in endpoint.got)
    assert asked == sorted(scope.service.slug for scope in scopes)
    assert endpoint.most_at_once > 1


def test_a_layer_that_one_scope_is_refused_is_published_nowhere(endpoint: Receiver) -> None:
    for number in range(3):
        a_release(a_scope(f"s{number}", "prod"))
    layer = doors.layer_for(ANN, "publish", "global")
    drafted(layer, LEVEL="info")  # type: ignore[arg-type]
    a_hook(endpoint)
    endpoint.answering = lambda handler, got: says(
        decision="refuse" if got.json["service"] == "s1" else "agree", reason="not s1"
    )(handler, got)

    def act(consent: Consent) -> layers.LayerPublished:
        return layers.publish_layer(
            layer, message="m", targets="all", consent=consent, who=ANN, now=NOON
        )

    untouched(HookRefused, lambda: with_hooks(act, AGREED), "s1@prod: not s1")

    assert LayerRelease.objects.count() == 0


# --- while it is asked -----------------------------------------------------------------------


def in_a_thread(work: Callable[[], object]) -> None:
    """`work` with a database connection of its own; fails with its error."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # told in the test's own thread
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_anothers_endpoint(endpoint: Receiver) -> None:
    """SQLite has one lock: if a transaction stood open, no other scope could be published."""
    scope, other = a_scope(), a_scope("shop", "prod")
    a_release(other)
    a_hook(endpoint, service=scope.service)
    drafted(scope, POOL=1)
    published: list[int] = []

    def meanwhile(handler: Handler, got: Got) -> None:
        in_a_thread(lambda: published.append(a_release(other, {"POOL": 12}).number))
        # The very scope that is asked about is not locked either.
        in_a_thread(lambda: drafted(scope, OTHER=1) if len(endpoint.got) == 1 else None)
        says(decision="agree")(handler, got)

    endpoint.answering = meanwhile
    release = publish(scope)

    assert published[0] == 2
    assert set(release.entries) == {"POOL", "OTHER"}


@pytest.mark.django_db(transaction=True)
def test_what_changed_meanwhile_is_asked_again(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint)
    drafted(scope, POOL=1)

    def change_once(handler: Handler, got: Got) -> None:
        if len(endpoint.got) == 1:
            in_a_thread(lambda: drafted(scope, POOL=2))
        says(decision="agree", annotations={"round": len(endpoint.got)})(handler, got)

    endpoint.answering = change_once
    release = publish(scope)

    asked = [got.json["changes"][0]["new"] for got in endpoint.got]
    assert asked == [1, 2]
    assert endpoint.got[0].json["checksum"] != endpoint.got[1].json["checksum"]
    assert release.entries["POOL"]["value"] == 2
    assert release.annotations == {"policy": {"round": 2}}


@pytest.mark.django_db(transaction=True)
def test_what_changes_again_and_again_is_not_published(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint)
    drafted(scope, POOL=0)

    def change(handler: Handler, got: Got) -> None:
        in_a_thread(lambda: drafted(scope, POOL=len(endpoint.got)))
        says(decision="agree")(handler, got)

    endpoint.answering = change
    with pytest.raises(HooksOvertaken, match="changed 3 times"):
        publish(scope)

    assert len(endpoint.got) == 3
    assert Release.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_asking_inside_a_transaction_is_a_fault(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint)
    drafted(scope, POOL=1)

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        publish(scope)

    assert endpoint.got == []
    assert Release.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_hook_that_is_made_meanwhile_is_asked_too(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint, "first", order=1)
    drafted(scope, POOL=1)

    def make_once(handler: Handler, got: Got) -> None:
        if len(endpoint.got) == 1:
            in_a_thread(lambda: a_hook(endpoint, "second", order=2))
        says(decision="agree", annotations={"by": got.json["hook"]})(handler, got)

    endpoint.answering = make_once
    release = publish(scope)

    assert [got.json["hook"] for got in endpoint.got] == ["first", "second"]
    assert endpoint.got[1].json["annotations"] == {"first": {"by": "first"}}
    assert release.annotations == {"first": {"by": "first"}, "second": {"by": "second"}}


@pytest.mark.django_db(transaction=True)
def test_a_hook_that_goes_meanwhile_stops_nothing(endpoint: Receiver) -> None:
    scope = a_scope()
    hook = a_hook(endpoint)
    drafted(scope, POOL=1)

    def remove(handler: Handler, got: Got) -> None:
        in_a_thread(lambda: hooks.remove_hook(hook, who=ANN, now=NOON))
        says(decision="agree", annotations={"a": 1})(handler, got)

    endpoint.answering = remove
    release = publish(scope)

    assert (release.number, release.annotations) == (1, None)
    assert HookCall.objects.count() == 0


# --- rehearsals ------------------------------------------------------------------------------


def test_a_rehearsal_asks_nobody_and_says_whom_it_would(endpoint: Receiver) -> None:
    scope = a_scope()
    a_hook(endpoint)
    a_hook(endpoint, "news", when="after")
    drafted(scope, POOL=1)
    before = rows()

    with rehearsal.rehearsing() as seen:
        publish(scope)

    assert endpoint.got == []
    assert rows() == before
    noted = [each.data for each in seen.notes if each.what == "hooks"]
    assert noted == [{"would_ask": ["policy"]}, {"would_tell": ["news"]}]


# --- what is kept ----------------------------------------------------------------------------


def test_the_newest_hundred_calls_are_kept(endpoint: Receiver) -> None:
    scope = a_scope()
    hook = a_hook(endpoint)
    kept = [
        HookCall(hook=hook, scope=scope, release=number, outcome="agreed", at=NOON)
        for number in range(100)
    ]
    HookCall.objects.bulk_create(kept)
    drafted(scope, POOL=1)

    publish(scope)

    assert HookCall.objects.count() == 100
    assert not HookCall.objects.filter(release=0).exists()


def test_hooks_and_calls_go_with_their_service(endpoint: Receiver) -> None:
    scope, other = a_scope(), a_scope("shop", "prod")
    a_hook(endpoint, "of-billing", service=scope.service)
    a_hook(endpoint, "of-all")
    for each in (scope, other):
        drafted(each, POOL=1)
    publish(other)
    endpoint.answering = says(decision="refuse")
    with pytest.raises(HookRefused):
        publish(scope)

    Service.objects.get(slug="billing").delete()

    assert list(PublishHook.objects.values_list("name", flat=True)) == ["of-all"]
    assert HookCall.objects.get().scope == other
