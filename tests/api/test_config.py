"""The resolved configuration over REST."""

from collections.abc import Callable

import pytest

from confhub.catalog.models import Scope
from tests.api.conftest import PROD, Caller, problem

CONFIG = f"{PROD}/config"


def test_the_newest_release_is_answered(api: Caller, publish: Callable[..., int]) -> None:
    publish(MAX=1)
    publish(MAX=2, NAME="it's", LIST=[None, True])

    answer = api.get(CONFIG)

    assert answer.status_code == 200
    assert answer.json() == {"MAX": 2, "NAME": "it's", "LIST": [None, True]}
    assert answer["Content-Type"] == "application/json; charset=utf-8"
    assert answer["Confhub-Release"] == "2"
    assert answer["ETag"] == f'"{api.get(f"{PROD}/releases/2").json()["checksum"]}"'
    assert answer["Cache-Control"] == "private, no-cache"


def test_an_older_release_is_answered(api: Caller, publish: Callable[..., int]) -> None:
    publish(MAX=1)
    publish(MAX=2)

    answer = api.get(f"{CONFIG}?release=1")

    assert (answer.json(), answer["Confhub-Release"]) == ({"MAX": 1}, "1")


def test_env_is_what_a_shell_reads(api: Caller, publish: Callable[..., int]) -> None:
    publish(**{"db.pool-size": 20, "NAME": "plain"})

    answer = api.get(f"{CONFIG}?format=env")

    assert answer.content == b"DB_POOL_SIZE='20'\nNAME='plain'\n"
    assert answer["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"other", {tag}', "*", " {tag} "])
def test_what_one_has_already_is_not_sent_again(
    api: Caller, publish: Callable[..., int], form: str
) -> None:
    publish(MAX=1)
    tag = api.get(CONFIG)["ETag"]

    answer = api.get(CONFIG, If_None_Match=form.format(tag=tag))

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer["ETag"] == tag


@pytest.mark.parametrize("form", ['"other"', "", "sha256", '"sha256:00"'])
def test_another_tag_gets_the_content(api: Caller, publish: Callable[..., int], form: str) -> None:
    publish(MAX=1)

    assert api.get(CONFIG, If_None_Match=form).json() == {"MAX": 1}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("yaml", b'"ON": true\nlimits:\n  max: 20\n', "application/yaml"),
        ("toml", b"ON = true\n\n[limits]\nmax = 20\n", "application/toml"),
        ("properties", b'ON=true\nlimits={"max":20}\n', "text/plain"),
    ],
)
def test_each_format_is_the_file_that_is_delivered(
    api: Caller, publish: Callable[..., int], name: str, content: bytes, kind: str
) -> None:
    publish(ON=True, limits={"max": 20})

    answer = api.get(f"{CONFIG}?format={name}")

    assert (answer.status_code, answer.content) == (200, content)
    assert answer["Content-Type"] == f"{kind}; charset=utf-8"


def test_a_value_that_a_format_does_not_have_is_named(
    api: Caller, publish: Callable[..., int]
) -> None:
    publish(MAX=1, NOTHING=None)

    document = problem(api.get(f"{CONFIG}?format=toml"), 422, "format.unfit")

    assert document["fields"] == {"format": "NOTHING is null, which has no form in TOML."}


@pytest.mark.parametrize("name", ["xml", "yml", "JSON", "", "x" * 1000])
def test_a_format_that_is_not_there_names_those_that_are(
    api: Caller, publish: Callable[..., int], name: str
) -> None:
    publish(MAX=1)

    document = problem(api.get(f"{CONFIG}?format={name}"), 422, "format.unknown")

    assert document["fields"] == {"format": "Write json, yaml, env, toml or properties."}


def test_nothing_published_is_nothing_to_answer(api: Caller, checkout_prod: Scope) -> None:
    problem(api.get(CONFIG), 404, "release.none")
