"""The environment of a service of a Compose file."""

import pytest

from confhub.releases import imports
from confhub.releases.imports import ImportUnreadable, Options

COMPOSE = """\
name: shop
x-common: &common
  LOG_LEVEL: info
  TZ: Europe/Berlin
services:
  web:
    image: shop:1.9
    env_file:
      - common.env
      - path: secret.env
        required: false
    environment:
      <<: *common
      LOG_LEVEL: debug
      PORT: 8080
      RATIO: 1.50
      FLAG: true
      QUOTED: "yes"
      EMPTY: ""
      FROM_SHELL:
      DB_PASSWORD: ${DB_PASSWORD:-hunter2}
      DSN: postgres://$USER@db
      PRICE: 5$$ a piece
      LITERAL: cost $5
    secrets: [token]
    deploy:
      replicas: 2
  worker:
    build: .
    extends: {service: web}
    environment:
      - QUEUE=high
      - EMPTY=
      - URL=http://a/?b=c
      - FROM_SHELL
      - QUEUE=low
  db:
    image: postgres:16
volumes:
  data:
"""


def of(service: str, text: str = COMPOSE) -> imports.Imported:
    return imports.read("compose", text, options=Options(item=service))


def test_a_mapping_with_anchors_and_everything_as_text() -> None:
    read = of("web")

    assert read.set == {
        "LOG_LEVEL": "debug", "TZ": "Europe/Berlin", "PORT": "8080", "RATIO": "1.50",
        "FLAG": "true", "QUOTED": "yes", "EMPTY": "", "PRICE": "5$ a piece", "LITERAL": "cost $5",
    }  # fmt: skip
    assert read.texts_only


def test_what_compose_would_put_in_is_skipped_without_its_default() -> None:
    skipped = dict(of("web").skipped)

    assert set(skipped) == {"FROM_SHELL", "DB_PASSWORD", "DSN"}
    assert "the shell" in skipped["FROM_SHELL"]
    assert "$DB_PASSWORD" in skipped["DB_PASSWORD"]
    assert "hunter2" not in str(of("web"))


def test_what_is_elsewhere_is_named_as_not_followed() -> None:
    notes = " ".join(of("web").notes + of("worker").notes)

    for words in ("env_file common.env is not followed", "env_file secret.env is not followed",
                  "extends is not followed", "The secrets of web are files"):  # fmt: skip
        assert words in notes


def test_a_list_is_read_as_compose_reads_it() -> None:
    read = of("worker")

    assert read.set == {"QUEUE": "low", "EMPTY": "", "URL": "http://a/?b=c"}
    assert [name for name, _ in read.skipped] == ["FROM_SHELL"]
    assert "QUEUE stands there more than once; the last one counts." in read.notes


def test_several_services_have_to_be_chosen_from() -> None:
    with pytest.raises(ImportUnreadable) as refused:
        of("")

    assert refused.value.choices == ["web", "worker"]
    assert refused.value.extra["choices"] == ["web", "worker"]
    assert "item" in refused.value.fields


def test_the_only_one_with_an_environment_needs_no_name() -> None:
    text = "services:\n  db: {image: pg}\n  web: {environment: [A=1]}\n"

    read = of("", text)

    assert read.set == {"A": "1"}
    assert read.notes == ["These are the variables of the service web."]


def test_json_of_compose_config_is_a_compose_file_too() -> None:
    text = '{"services": {"web": {"environment": {"A": 1.5, "B": null, "C": [1]}}}}'

    read = of("web", text)

    assert read.set == {"A": "1.5"}
    assert dict(read.skipped).keys() == {"B", "C"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("services:\n  web:\n    image: x\n", None, "No service"),
        ("version: '3'\n", None, "no `services`"),
        ("- a\n", None, "one mapping"),
        ("services: {}\n---\nservices: {}\n", None, "one mapping"),
        ("services:\n  web:\n    environment: text\n", None, "neither a list nor a mapping"),
        ("services:\n  web:\n    environment: !reset {}\n", 3, "Tags"),
        ("services:\n  web:\n    environment: *none\n", 3, "no anchor"),
        ("services:\n  web:\n  web:\n", 3, "second time"),
        ("services:\n  web: {environment: [A=1\n", 3, "cannot be read as YAML"),
        ("a: &a [*a]\n", 1, "no anchor"),
        ("<<: text\n", 1, "Only mappings can be merged"),
        ("services:\n  web: \x07\n", 2, "control characters"),
    ],
)
def test_what_is_no_compose_file_says_why(text: str, line: int | None, words: str) -> None:
    with pytest.raises(ImportUnreadable) as refused:
        of("", text)

    assert words in refused.value.detail
    assert refused.value.line == line


def test_a_service_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ImportUnreadable) as refused:
        of("api")

    assert refused.value.choices == ["web", "worker", "db"]


def test_a_bomb_of_aliases_is_one_error() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )

    with pytest.raises(ImportUnreadable) as refused:
        of("", bomb + "services: {web: {environment: *i}}\n")

    assert "200,000 values" in refused.value.detail
    assert refused.value.line == 6
