"""Several programs at once, on rows that each of them sees."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from confhub.catalog.models import Scope
from confhub.publishing.models import Publication
from confhub.releases.models import Release
from tests.api.conftest import PROD, Caller


@pytest.fixture
def committed(transactional_db: None, ann: User, checkout_prod: Scope) -> Caller:
    """ann's program, before rows that are committed."""
    return Caller()


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """The answers of `calls`, all begun together, each in a thread of its own."""
    start = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        start.wait(10)
        try:
            answers[place] = call()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_of_two_writers_of_one_key_one_is_told(committed: Caller) -> None:
    committed.patch(f"{PROD}/draft", {"set": {"MAX": 1}}, If_Match="*")
    tag = committed.get(f"{PROD}/draft")["ETag"]

    def write(value: int) -> Callable[[], Any]:
        return lambda: Caller().patch(f"{PROD}/draft", {"set": {"MAX": value}}, If_Match=tag)

    answers = at_once([write(100), write(200)])

    assert sorted(answer.status_code for answer in answers) == [200, 412]
    kept, refused = sorted((answer.json() for answer in answers), key=lambda one: "status" in one)
    assert committed.get(f"{PROD}/draft").json()["set"] == kept["set"]
    assert refused["conflicts"]["MAX"]["theirs"] == kept["set"]["MAX"]
    assert {refused["conflicts"]["MAX"]["yours"], kept["set"]["MAX"]} == {100, 200}


def test_writers_of_different_keys_all_get_in(committed: Caller) -> None:
    tag = committed.get(f"{PROD}/draft")["ETag"]

    def write(key: str) -> Callable[[], Any]:
        return lambda: Caller().patch(f"{PROD}/draft", {"set": {key: key}}, If_Match=tag)

    answers = at_once([write(f"KEY_{number}") for number in range(8)])

    assert Counter(answer.status_code for answer in answers) == {200: 8}
    assert len(committed.get(f"{PROD}/draft").json()["set"]) == 8


def test_publishers_at_once_get_numbers_without_a_gap(committed: Caller) -> None:
    def publish(number: int) -> Callable[[], Any]:
        body = {"message": "m", "set": {f"KEY_{number}": number}}
        return lambda: Caller().post(f"{PROD}/releases", body)

    answers = at_once([publish(number) for number in range(8)])

    assert Counter(answer.status_code for answer in answers) == {201: 8}
    assert sorted(answer.json()["release"] for answer in answers) == list(range(1, 9))
    assert Release.objects.count() == Publication.objects.count() == 8
    assert len(committed.get(f"{PROD}/config").json()) == 8


def test_of_publishers_who_expect_the_same_release_one_gets_it(committed: Caller) -> None:
    def publish(number: int) -> Callable[[], Any]:
        body = {"message": "m", "set": {"A": number}, "expected_release": 0}
        return lambda: Caller().post(f"{PROD}/releases", body)

    answers = at_once([publish(number) for number in range(4)])

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 3}
    assert Release.objects.count() == 1
