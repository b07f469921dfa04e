"""Who uses a token, from where, and what several at once do to one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from confhub.access import last_use
from confhub.access.models import Token
from confhub.core import clock
from confhub.events.models import AuditEntry
from tests.api import test_tokens
from tests.api.conftest import TOKEN, Caller, problem, untouched
from tests.api.test_tokens import moved, status

made = test_tokens.made


# --- the last use ----------------------------------------------------------------------------------


def used(name: str = "deploy") -> tuple[Any, str]:
    return Token.objects.values_list("last_used_at", "last_used_from").get(name=name)


def test_the_last_use_is_written_at_most_once_a_minute(api: Caller, made: dict[str, Any]) -> None:
    assert used() == (None, "")
    caller = Caller(made["token"], Client(REMOTE_ADDR="192.0.2.7"))
    caller.get("/me")
    first, address = used()
    assert (first is not None, address) == (True, "192.0.2.7")

    with CaptureQueriesContext(connection) as taken:
        Caller(made["token"], Client(REMOTE_ADDR="192.0.2.8")).get("/me")
    assert used() == (first, "192.0.2.7")
    assert not [each for each in taken if not each["sql"].startswith("SELECT")]

    moved("deploy", last_used_at=-last_use.EVERY)
    Caller(made["token"], Client(REMOTE_ADDR="2001:db8::1%eth0")).get("/me")
    second, address = used()
    assert (second >= first, address) == (True, "2001:db8::1")
    assert api.get("/tokens/deploy").json()["last_used_from"] == "2001:db8::1"
    moved("deploy", last_used_at=None)
    Caller(made["token"], Client(REMOTE_ADDR="")).get("/me")
    assert used()[1] == ""


def test_a_refused_token_is_not_used(api: Caller, made: dict[str, Any]) -> None:
    moved("deploy", expires_at=-timedelta(days=91))

    Caller(made["token"]).get("/me")

    assert used() == (None, "")


def test_two_at_the_same_moment_write_once(api: Caller, made: dict[str, Any]) -> None:
    row = Token.objects.get(name="deploy")
    now = clock.now()

    assert last_use.touch(row.pk, None, address="192.0.2.7", now=now)
    assert not last_use.touch(row.pk, None, address="192.0.2.8", now=now + timedelta(seconds=59))

    assert used() == (now, "192.0.2.7")


# --- what is no token ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Token {TOKEN}", f"Bearer {TOKEN}é",
     f"Bearer {TOKEN} x", f"Bearer {TOKEN[:-1]}", f"Bearer cht_{'A' * 43}", ""],
    ids=["no-scheme", "basic", "no-token", "blank", "other-scheme", "non-ascii", "two", "cut", "unknown", "empty"],
)  # fmt: skip
def test_another_header_opens_nothing(api: Caller, sent: str) -> None:
    with untouched():
        problem(Caller(None).get("/me", Authorization=sent), 401, "not_signed_in")


# --- several at once -------------------------------------------------------------------------------


@contextmanager
def held_by_another(name: str) -> Iterator[None]:
    """Another connection holds the token's row; on SQLite that is the lock of the whole database."""
    holds, done = Event(), Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Token.objects.select_for_update().get(name=name)
                holds.set()
                done.wait(30)
        finally:
            connection.close()

    thread = Thread(target=hold)
    thread.start()
    try:
        assert holds.wait(30)
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_a_locked_database_fails_no_request_and_the_next_one_writes(
    transactional_db: None, made: dict[str, Any]
) -> None:
    caller = Caller(made["token"])
    with held_by_another("deploy"):
        assert caller.get("/me").status_code == 200
        assert used() == (None, "")
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout")
            assert cursor.fetchone()[0] > 0  # other statements wait as before

    assert caller.get("/me").status_code == 200

    assert used()[1] == "127.0.0.1"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_rotate_with_one_secret_one_wins(
    transactional_db: None, made: dict[str, Any]
) -> None:
    both = Barrier(2)

    def rotate(_: int) -> Any:
        try:
            both.wait(30)
            return Caller(made["token"], Client()).post("/tokens/deploy/rotate")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        found = sorted(pool.map(rotate, range(2)), key=lambda each: each.status_code)

    assert [each.status_code for each in found] == [200, 409]
    assert found[1].json()["code"] == "token.moved"
    assert (status(made["token"]), status(found[0].json()["token"])) == (200, 200)
    assert AuditEntry.objects.filter(action="token.rotated").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_make_one_name_one_wins(transactional_db: None, api: Caller) -> None:
    both = Barrier(2)

    def make(_: int) -> int:
        try:
            both.wait(30)
            body = {"name": "new", "reach": [{"verbs": ["see"]}]}
            return int(Caller(TOKEN, Client()).post("/tokens", body).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(make, range(2))) == [201, 409]

    [row] = Token.objects.filter(name="new")
    assert row.reaches.count() == 1
    assert AuditEntry.objects.filter(action="token.made").count() == 1
