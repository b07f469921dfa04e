"""A deploy job that repeats its call publishes once."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from confhub.access import actions as access
from confhub.api.models import Answer
from confhub.catalog.models import Scope
from confhub.core import clock
from confhub.releases.models import Release
from tests.api.conftest import PROD, Caller, problem, untouched
from tests.api.test_writers import at_once

RELEASES = f"{PROD}/releases"
BODY = {"message": "deploy", "set": {"TAG": "1.9"}}


def test_a_repeated_publish_answers_the_same_and_does_nothing(
    api: Caller, checkout_prod: Scope
) -> None:
    first = api.post(RELEASES, BODY, Idempotency_Key="job-7")
    api.post(RELEASES, {"message": "somebody else", "set": {"TAG": "2.0"}})

    with untouched():
        again = api.post(RELEASES, BODY, Idempotency_Key="job-7")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert (first.has_header("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (
        False,
        "true",
    )
    assert Release.objects.count() == 2


def test_a_repeated_rollback_rolls_back_once(api: Caller, publish: Callable[..., int]) -> None:
    publish(A=1)
    publish(A=2)

    answers = [api.post(f"{RELEASES}/1/rollback", Idempotency_Key="job-8") for _ in range(3)]

    assert [answer.json()["release"] for answer in answers] == [3, 3, 3]
    assert Release.objects.count() == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [(RELEASES, {"message": "deploy", "set": {"TAG": "2.0"}}), (f"{RELEASES}/1/rollback", BODY)],
)
def test_the_same_key_for_something_else_is_refused(
    api: Caller, checkout_prod: Scope, path: str, body: Any
) -> None:
    api.post(RELEASES, BODY, Idempotency_Key="job-7")
    fitting = body if path == RELEASES else {"message": "deploy"}

    with untouched():
        document = problem(
            api.post(path, fitting, Idempotency_Key="job-7"), 422, "idempotency.mismatch"
        )

    assert document["fields"]["Idempotency-Key"]


def test_what_was_refused_may_be_sent_again(api: Caller, publish: Callable[..., int]) -> None:
    stale = BODY | {"expected_release": 1}
    with untouched():
        api.post(RELEASES, BODY | {"unset": ["NEVER"]}, Idempotency_Key="job-7")
        problem(api.post(RELEASES, stale, Idempotency_Key="job-7"), 409, "release.stale")
    publish(A=1)

    assert api.post(RELEASES, stale, Idempotency_Key="job-7").status_code == 201


def test_a_key_is_its_callers_own(api: Caller, checkout_prod: Scope, ann: User) -> None:
    access.set_token("other", token="another-token", user=ann, now=clock.now())
    api.post(RELEASES, BODY, Idempotency_Key="job-7")

    other = Caller("another-token").post(
        RELEASES, {"message": "mine", "set": {"TAG": "3"}}, Idempotency_Key="job-7"
    )

    assert (other.status_code, other.json()["release"]) == (201, 2)


def test_after_a_day_a_key_is_new(api: Caller, checkout_prod: Scope) -> None:
    api.post(RELEASES, BODY, Idempotency_Key="job-7")
    Answer.objects.update(at=clock.now() - timedelta(hours=25))

    other = api.post(RELEASES, {"message": "m", "set": {"TAG": "3"}}, Idempotency_Key="job-7")

    assert other.status_code == 201
    assert Answer.objects.count() == 1


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 201, "ü"])
def test_a_key_that_is_none_is_refused(api: Caller, checkout_prod: Scope, key: str) -> None:
    with untouched():
        problem(api.post(RELEASES, BODY, Idempotency_Key=key), 400, "header.bad")


@pytest.mark.django_db(transaction=True)
def test_repetitions_at_the_same_moment_publish_once(api: Caller, checkout_prod: Scope) -> None:
    answers = at_once(
        [lambda: Caller().post(RELEASES, BODY, Idempotency_Key="job-7") for _ in range(5)]
    )

    assert Counter(answer.status_code for answer in answers) == {201: 5}
    assert {answer.json()["release"] for answer in answers} == {1}
    assert Release.objects.count() == 1
