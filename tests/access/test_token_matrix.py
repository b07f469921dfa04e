"""Every REST call with tokens of an admin that reach less, have ended, or are none.

What each is answered follows from tests/access/matrix.py; a call whose place cannot be told from its
address says it there (`Row(…, at="billing")`). A refusal writes nothing and tells nothing.
"""

import json

import pytest
from django.http import HttpResponse

from confhub.access.models import Token
from tests.access import test_matrix
from tests.access import world as worlds
from tests.access.matrix import (
    CALLS,
    LIMITED,
    OWN_WORDS,
    PLACES,
    SECRET,
    TOKENS,
    expected_of_token,
    place_of,
    row,
)
from tests.access.test_matrix import CANARY, _args, _smallest_body, _word, taken_back
from tests.access.world import World

pytestmark = pytest.mark.django_db

OPEN = ("nothing", "a signature")  # a token is not looked at

world = test_matrix.world
_static_root = test_matrix._static_root

# What whoever sees neither of the two must not read in an answer.
HIDDEN = {"shop": b"billing", "nowhere": b"billing", "prod": b'"dev"'}


def ask(world: World, key: str, who: str, headers: dict[str, str]) -> HttpResponse:
    method, _, path = key.partition("#")[0].partition(" ")
    held = row(CALLS[key])
    body = held.body if held.body is not None else _smallest_body(method, path)
    args = held.args
    if args.get("name") == "ONESELF":
        args = {**args, "name": who if path.startswith("/tokens") else "admin"}
    where = f"/api/v1{path}".format(**_args(args, world, "admin"))
    answer: HttpResponse = world.browser("nobody").generic(
        method, f"{where}?{held.query}" if held.query else where,
        b"" if body is None else json.dumps(body).encode(), content_type="application/json",
        headers={"If-Match": "*", **headers},
    )  # fmt: skip
    return answer


@pytest.mark.parametrize("key", CALLS)
def test_call_with_a_token(world: World, key: str) -> None:
    found = []
    for token in TOKENS:
        wanted = expected_of_token(key, token)
        with taken_back() as wrote:
            answer = ask(world, key, token, world.headers(token))
        found += [
            f"the token {token!r}: {each}" for each in _mistakes(key, token, answer, wanted, wrote)
        ]

    assert found == [], (
        f"{found}. Its place was taken to be {place_of(key)!r}; if it is another one of PLACES in "
        "tests/access/matrix.py, say so there with `at`."
    )


def _mistakes(
    key: str, token: str, answer: HttpResponse, wanted: str, wrote: list[str]
) -> list[str]:
    got, held = _word(answer), row(CALLS[key])
    found = []
    if got != wanted:
        found.append(f"{got} ({answer.status_code}) in place of {wanted}")
    hidden = HIDDEN.get(token)
    if got == "ok" and hidden is not None and held.needs != "nothing" and hidden in answer.content:
        found.append(f"was told of {hidden.decode()}, which it may not see")
    if CANARY in answer.content and held.body != SECRET:
        found.append("was told the value of a secret")
    if wanted != "ok" and wrote:
        found.append(f"was refused, and yet wrote: {wrote[0][:200]}")
    return found


NO_TOKENS = {
    "no scheme": "{}",
    "another scheme": "Token {}",
    "basic": "Basic {}",
    "nothing": "Bearer",
    "blank": "Bearer  ",
    "not ascii": "Bearer {}é",
    "cut": "Bearer {:.10}",
    "made up": "Bearer cht_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
}


@pytest.mark.parametrize("key", [key for key in CALLS if row(CALLS[key]).needs not in OPEN])
def test_call_with_what_is_no_token(world: World, key: str) -> None:
    """A signed-in browser's cookie does not help a wrong token either."""
    found = {}
    cookies = world.browser("admin").cookies.output(header="", sep=";").strip()
    for name, form in NO_TOKENS.items():
        sent = {"Authorization": form.format(worlds.token_of("admin")), "Cookie": cookies}
        with taken_back() as wrote:
            answer = ask(world, key, "admin", sent)
        document = json.loads(answer.content)
        found[name] = (answer.status_code, document["code"], answer["WWW-Authenticate"], wrote)

    assert found == {
        name: (401, "not_signed_in", 'Bearer realm="confhub"', []) for name in NO_TOKENS
    }


def test_every_special_answer_is_of_a_call_and_of_a_token_that_is_there() -> None:
    assert set(OWN_WORDS) <= set(CALLS)
    for key, words in OWN_WORDS.items():
        assert {token for tokens in words.values() for token in tokens} <= set(LIMITED), key
    assert {place_of(key) for key in CALLS} <= set(PLACES)


def test_the_tokens_are_what_they_say(world: World) -> None:
    rows = Token.objects.filter(name__in=TOKENS).prefetch_related("reaches")
    limited = {row.name: (row.limited, row.reaches.count()) for row in rows}

    assert limited == {
        **dict.fromkeys(LIMITED, (True, 1)), "nowhere": (True, 0),
        "unlimited": (False, 0), "overlapping": (False, 0), "rotated": (False, 0),
        "expired": (False, 0),
    }  # fmt: skip
