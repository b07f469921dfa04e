"""Receivers that hang, break, redirect and flood, and senders that are killed: nothing is lost, nothing
overtakes, nobody else waits."""

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from confhub.catalog.models import Scope
from confhub.webhooks import forms, sending
from confhub.webhooks.models import Webhook, WebhookDelivery
from tests.parts.factories import a_release, a_scope
from tests.parts.receiver import Got, Handler, Receiver
from tests.parts.servers import wait_until
from tests.parts.system import System
from tests.webhooks.conftest import Time, a_webhook, collect, run

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]
    with Receiver() as held:
        yield held


# --- receivers that misbehave ---------------------------------------------------------------------


def hangs(handler: Handler, _: Got) -> None:
    handler.server.closing.wait(20)
    handler.close_connection = True


def resets(handler: Handler, _: Got) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RD)
    handler.close_connection = True


def breaks_off(handler: Handler, _: Got) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
    handler.close_connection = True


def talks_nonsense(handler: Handler, _: Got) -> None:
    handler.wfile.write(b"\x16\x03\x01 not http\r\n\r\n")
    handler.close_connection = True


MISBEHAVES = {"hangs": hangs, "resets": resets, "breaks off": breaks_off, "nonsense": talks_nonsense}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("how", MISBEHAVES)
def test_whatever_the_receiver_does_the_message_comes_again_when_it_is_well(
    how: str, receiver: Receiver, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "TIMEOUT_S", 0.5)
    receiver.answering = MISBEHAVES[how]
    a_webhook(receiver.url)
    a_release(a_scope())

    assert run(time) == 0
    row = WebhookDelivery.objects.get()
    assert (row.state, row.status, row.tries) == ("waiting", None, 1)
    assert row.answer.endswith(".")

    receiver.answering = None
    time.pass_by(seconds=10)
    assert run(time) == 1
    assert len({each.id for each in receiver.got}) == 1


@pytest.mark.django_db
def test_ten_mebibytes_are_an_answer_of_which_little_is_kept(
    receiver: Receiver, time: Time
) -> None:
    receiver.answering = lambda handler, _: handler.answer(200, b"x" * 10_485_760)
    a_webhook(receiver.url)
    a_release(a_scope())

    assert run(time) == 1
    assert WebhookDelivery.objects.get().answer == "x" * forms.KEPT_CHARS


@pytest.mark.django_db
def test_a_redirect_to_a_metadata_service_is_not_followed(receiver: Receiver, time: Time) -> None:
    with Receiver() as inside:
        receiver.answering = lambda handler, _: handler.answer(302, Location=inside.url)
        a_webhook(receiver.url)
        a_release(a_scope())

        assert run(time) == 0
        assert inside.got == []
    row = WebhookDelivery.objects.get()
    assert row.status == 302
    assert "Redirects are not followed" in row.answer


@pytest.mark.django_db
def test_a_name_that_comes_to_mean_this_machine_is_not_asked(
    receiver: Receiver, time: Time, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public when the webhook is made, 127.0.0.1 when something is sent (DNS rebinding)."""
    settings.CONFHUB_OUTGOING_ALLOW = []
    meant = ["8.8.8.8"]

    def looked_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (meant[0], port))]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    a_webhook(f"http://rebinds.example.com:{receiver.server_port}/")
    meant[0] = "127.0.0.1"
    a_release(a_scope())

    assert run(time) == 0
    assert receiver.got == []
    assert "not a public address" in WebhookDelivery.objects.get().answer


# --- order under failures -------------------------------------------------------------------------


@dataclass
class Fate:
    """How a receiver answers the next requests, one after the other; then 200."""

    statuses: list[int] = field(default_factory=list)

    def __call__(self, handler: Handler, _: Got) -> None:
        handler.answer(self.statuses.pop(0) if self.statuses else 200)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 2)),
        st.tuples(st.just("fail"), st.sampled_from([500, 404, 302])),
        st.tuples(st.just("run"), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([3, 60, 4000])),
        st.tuples(st.just("killed"), st.just(0)),
    ),
    max_size=25,
)


@pytest.mark.django_db
@given(steps=STEPS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_message_overtakes_another_of_its_scope_or_is_lost(
    steps: list[tuple[str, int]], receiver: Receiver
) -> None:
    """Whatever fails and whoever is killed when: what arrives of a scope arrives in order, and in
    the end all of it."""
    time, fate = Time(), Fate()
    receiver.answering = fate
    seen = len(receiver.got)
    WebhookDelivery.objects.all().delete()
    Webhook.objects.all().delete()
    scopes = [a_scope(name, "prod") for name in ("billing", "shop", "mail")]
    published: dict[str, list[int]] = {str(scope): [] for scope in scopes}
    collect(time)
    a_webhook(receiver.url)
    for act, value in steps:
        if act == "publish":
            release = a_release(scopes[value], {"AT": len(receiver.got), "N": sum(map(len, published.values()))})  # fmt: skip
            published[str(scopes[value])].append(release.number)
        elif act == "fail":
            fate.statuses.append(value)
        elif act == "wait":
            time.pass_by(seconds=value)
        elif act == "killed":
            collect(time)
            for head in sending.due(now=time())[:1]:
                assert sending._claimed(head.pk, now=time())  # and nothing after it
        else:
            run(time)
    fate.statuses.clear()
    for _ in range(3):
        time.pass_by(hours=2)
        run(time)

    arrived = _first_arrivals(receiver.got[seen:])
    assert {name: arrived.get(name, []) for name in published} == published
    assert not WebhookDelivery.objects.exclude(state="sent").exists()


def _first_arrivals(got: list[Got]) -> dict[str, list[int]]:
    """{scope: its releases in the order in which they were last asked for}; a try that failed came
    before the one that arrived, and nothing newer in between."""
    found: dict[str, list[int]] = {}
    for each in got:
        data = each.json["data"]
        told = found.setdefault(f"{data['service']}@{data['environment']}", [])
        if not told or told[-1] != data["release"]:
            told.append(data["release"])
    return found


# --- senders that are killed ----------------------------------------------------------------------

SENDS = """
import sys
sys.setswitchinterval(0.0005)
import django
django.setup()
from datetime import datetime
from confhub.webhooks import sending
moment = datetime.fromisoformat(sys.argv[1])
sending.send_due(lambda: moment)
"""


def a_sender(at: Time) -> "subprocess.Popen[bytes]":
    """Another process that sends what is due, on this test's database."""
    held = connection.settings_dict
    name = str(held["NAME"])
    url = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        url = f"postgres://{held['USER']}:{held['PASSWORD']}@{held['HOST']}:{held['PORT']}/{name}"
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "confhub.settings", "DATABASE_URL": url,
        "CONFHUB_LOCAL": "true", "CONFHUB_OUTGOING_ALLOW": "127.0.0.1", "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", SENDS, at().isoformat()], cwd=ROOT, env=environment
    )


@pytest.fixture
def stored(transactional_db: None) -> Iterator[Scope]:
    yield a_scope("billing", "prod")
    connection.close()


def test_killed_between_the_answer_and_its_note_it_is_sent_again_with_the_same_id(
    stored: Scope, receiver: Receiver, time: Time
) -> None:
    held: list[subprocess.Popen[bytes]] = []

    def kills_its_caller(handler: Handler, _: Got) -> None:
        held[0].kill()
        held[0].wait()
        handler.close_connection = True

    receiver.answering = kills_its_caller
    a_webhook(receiver.url)
    a_release(stored, {"POOL": 1})
    a_release(stored, {"POOL": 2})
    collect(time)

    held.append(a_sender(time))
    wait_until(lambda: held[0].poll() is not None, what="the sender is killed", timeout_s=60)
    assert held[0].returncode == -9
    row = WebhookDelivery.objects.get(body__contains='"release":1')
    assert (row.state, row.tries, bool(row.held_by)) == ("waiting", 1, True)

    receiver.answering = None
    assert run(time) == 0  # its claim stands, and the next one waits for it
    time.pass_by(seconds=sending.HOLD.total_seconds() + 1)
    assert run(time) == 2
    assert [each.json["data"]["release"] for each in receiver.got] == [1, 1, 2]
    assert receiver.got[0].id == receiver.got[1].id


def test_two_senders_at_once_send_nothing_twice(
    stored: Scope, receiver: Receiver, time: Time
) -> None:
    others = [a_scope(name, "prod") for name in ("shop", "mail")]
    a_webhook(receiver.url)
    for number in range(6):
        for scope in (stored, *others):
            a_release(scope, {"POOL": number})
    collect(time)

    senders = [a_sender(time) for _ in range(2)]
    for each in senders:
        each.wait(60)

    assert [each.returncode for each in senders] == [0, 0]
    sending.send_due(time)  # what both passed by because the other had it
    ids = [each.id for each in receiver.got]
    assert len(ids) == len(set(ids)) == 18
    for name, releases in _first_arrivals(receiver.got).items():
        assert releases == list(range(1, 7)), name


# --- the whole system -----------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("faults-webhooks")
def test_a_published_release_is_told_also_by_the_worker_after_one_that_was_killed(
    tmp_path: Path,
) -> None:
    with Receiver() as receiver:
        allowed = {"CONFHUB_OUTGOING_ALLOW": "127.0.0.1"}
        with System(tmp_path / "system", settings=allowed) as system:
            system.call("POST", "/services", {"slug": "checkout"})
            body = {"name": "chat", "to": receiver.url, "kinds": ["release.published"]}
            assert system.call("POST", "/webhooks", body)[0] == 201
            system.publish("checkout", "dev", {"VALUE": 1})
            wait_until(lambda: len(receiver.got) == 1, what="the first release", timeout_s=60)

            system.worker.kill()
            for number in (2, 3):
                system.publish("checkout", "dev", {"VALUE": number})
            system.worker.start()

            # The first one twice where it was killed before it noted the answer.
            wait_until(lambda: len(_by_id(receiver)) == 3, what="the others", timeout_s=120)
        assert list(_by_id(receiver).values()) == [1, 2, 3]


def _by_id(receiver: Receiver) -> dict[str, int]:
    """{message: its release}, in the order of their first tries."""
    return {each.id: each.json["data"]["release"] for each in receiver.got}
