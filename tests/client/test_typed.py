"""JSON values as what annotations say; what does not fit is named by its key and never by its value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional

import pydantic
import pytest

from confhub.client import BadValue, Change, Snapshot
from confhub.client.typed import build, value_as

Seconds = NewType("Seconds", int)


class Level(Enum):
    LOW = "low"
    HIGH = 2


@dataclass
class Db:
    url: str
    pool: int = 5


@dataclass
class Settings:
    max_connections: int
    db: Db
    ratio: float = 0.5
    tags: list[str] = field(default_factory=list)
    note: Optional[str] = None  # noqa: UP045  # as older programs write it
    renamed: int = field(default=0, metadata={"key": "old-name"})


@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        (int, 5, 5),
        (int, 5.0, 5),
        (float, 5, 5.0),
        (bool, True, True),
        (str, "5", "5"),
        (type(None), None, None),
        (Any, [1, "a"], [1, "a"]),
        (int | None, None, None),
        (int | str, "x", "x"),
        (list[int], [1, 2], [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[str], ["a", "a"], {"a"}),
        (frozenset[int], [1], frozenset({1})),
        (Sequence[int], [1], [1]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Mapping[str, list[int]], {"a": [1]}, {"a": [1]}),
        (dict, {"a": None}, {"a": None}),
        (Literal["a", 1], 1, 1),
        (Level, "low", Level.LOW),
        (Level, 2, Level.HIGH),
        (Level, "HIGH", Level.HIGH),
        (timedelta, 1.5, timedelta(seconds=1.5)),
        (timedelta, "500ms", timedelta(milliseconds=500)),
        (timedelta, "1h", timedelta(hours=1)),
        (Decimal, "0.10", Decimal("0.10")),
        (Path, "/x", Path("/x")),
        (Annotated[int, "seconds"], 5, 5),
        (Seconds, 5, 5),
        (Db, {"URL": "x"}, Db("x")),
        (list[Db], [{"url": "x", "pool": 1}], [Db("x", 1)]),
    ],
)
def test_what_a_value_becomes(kind: Any, value: Any, made: Any) -> None:
    found = value_as(kind, value, where="KEY")

    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (int, "5", "KEY: wanted a whole number, found a text of 1 character."),
        (int, True, "KEY: wanted a whole number, found true or false."),
        (int, 1.5, "KEY: wanted a whole number, found a number with a fraction."),
        (bool, 1, "KEY: wanted true or false, found a whole number."),
        (str, None, "KEY: wanted a text, found null."),
        (int | None, "x", "KEY: wanted a whole number, found a text of 1 character."),
        (int | bool, "x", "KEY: wanted a whole number or true or false, found a text"),
        (list[int], [1, "secret"], "KEY[1]: wanted a whole number, found a text of 6 characters."),
        (dict[str, int], {"a": "secret"}, "KEY.a: wanted a whole number"),
        (tuple[int, int], [1], "KEY: wanted 2 elements, found 1."),
        (Literal["a", "b"], "secret", "KEY: wanted one of 'a', 'b', found another text."),
        (Level, "secret", "KEY: wanted one of 'low', 2, found another text."),
        (timedelta, "soon", "KEY: wanted a time: a number of seconds, or a text such as"),
        (Decimal, "secret", "KEY: wanted a decimal number"),
        (Db, {"pool": "secret"}, "KEY.pool: wanted a whole number"),
        (Db, {"pool": 1}, "KEY.url: KEY has no such entry, and Db.url has no default."),
        (Db, [1], "KEY: wanted an object with the fields of Db, found a list."),
    ],
)
def test_what_does_not_fit_is_named_without_its_value(kind: Any, value: Any, says: str) -> None:
    with pytest.raises(BadValue) as told:
        value_as(kind, value, where="KEY")

    assert says in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("kind", [complex, bytes, type[int]])
def test_a_type_that_no_json_value_can_become_is_the_programs_mistake(kind: Any) -> None:
    with pytest.raises(TypeError, match="KEY: no JSON value can become"):
        value_as(kind, "x", where="KEY")


def test_entries_are_found_by_field_by_variable_and_by_their_dots() -> None:
    values = {"MAX_CONNECTIONS": 9, "db.url": "x", "db.pool": 2, "old-name": 4, "UNUSED": 1}

    assert build(Settings, values, what="release 1") == Settings(9, Db("x", 2), renamed=4)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BadValue) as told:
        build(Settings, {"RATIO": "x", "TAGS": [1]}, what="release 7")

    assert str(told.value).splitlines() == [
        "MAX_CONNECTIONS: release 7 has no such entry, and Settings.max_connections has no default.",
        "DB: release 7 has no such entry, and Settings.db has no default.",
        "RATIO: wanted a number, found a text of 1 character.",
        "TAGS[0]: wanted a text, found a whole number.",
    ]


def test_a_dataclass_may_have_rules_of_its_own() -> None:
    @dataclass
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError("number must be even")

    with pytest.raises(BadValue, match="Even: number must be even"):
        build(Even, {"NUMBER": 3}, what="release 1")


class Model(pydantic.BaseModel):
    max_connections: int
    url: str = pydantic.Field(alias="db.url")
    token: str = ""

    @pydantic.field_validator("token")
    @classmethod
    def is_known(cls, value: str) -> str:
        if value == "unknown-token":
            raise ValueError("is not known")
        return value


def test_a_pydantic_model_decides_by_its_own_rules() -> None:
    made = build(Model, {"MAX_CONNECTIONS": "9", "DB_URL": "x"}, what="release 1")

    assert (made.max_connections, made.url) == (9, "x")
    with pytest.raises(BadValue) as told:
        build(Model, {"MAX_CONNECTIONS": "secret", "TOKEN": "unknown-token"}, what="release 1")
    assert str(told.value).splitlines() == [
        "MAX_CONNECTIONS: Input should be a valid integer, unable to parse string as an integer.",
        "DB.URL: release 1 has no such entry, and it has no default.",
        "TOKEN: Value error, is not known.",
    ]


def test_anything_else_is_no_model() -> None:
    with pytest.raises(TypeError, match="neither a dataclass nor a pydantic model"):
        build(int, {}, what="release 1")


def test_a_change_names_its_keys_as_json_compares_them() -> None:
    old = Snapshot(1, {"A": 1, "B": 1, "GONE": 0, "SAME": [1]}, generation="gen-1")
    new = Snapshot(2, {"A": True, "B": 2, "NEW": 0, "SAME": [1]}, generation="gen-2")

    assert Change(new, old).keys == {"A", "B", "GONE", "NEW"}


def test_texts_of_entries_are_replaced_by_their_names() -> None:
    held = Snapshot(1, {"DSN": {"url": "postgres://u:pw@h"}, "ENV": "prod"}, generation="gen-1")

    assert held.without_values("prod: bad postgres://u:pw@h!") == "prod: bad [DSN]!"
