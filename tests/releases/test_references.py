"""References: put in, refused where they lead nowhere, in a circle, or at a secret."""

from typing import Any

import pytest

from confhub.releases.references import put_in, used_in

SECRET = {"secret": True, "ciphertext": "v1:k:AAAA", "fingerprint": "f", "version": 1}


class Town:
    """Other services, as written and as published."""

    def __init__(self, **services: dict[str, Any]) -> None:
        self.services = {
            name: {
                key: held if isinstance(held, dict) else {"value": held}
                for key, held in values.items()
            }
            for name, values in services.items()
        }

    def published(self, service: str) -> Any:
        return self.services.get(service)

    def written(self, service: str) -> Any:
        return self.services.get(service, {})


def resolved(
    values: dict[str, Any], town: Town | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    entries = {key: held if key == "PW" else {"value": held} for key, held in values.items()}
    found, problems = put_in(entries, service="shop", neighbors=town or Town())
    return {key: entry.get("value") for key, entry in found.items()}, problems


@pytest.mark.parametrize(
    ("value", "comes_to"),
    [
        ("${PORT}", 8080),
        ("http://${HOST}:${PORT}/", "http://db:8080/"),
        ("${ON}", True),
        ("is ${ON}", "is true"),
        ("${LIST}", [1, 2]),
        ({"at": ["${HOST}", 1]}, {"at": ["db", 1]}),
        ("$${HOST} stays", "${HOST} stays"),
        ("$host ${1} ${A B} ${}", "$host ${1} ${A B} ${}"),
        ("${URL}", "tcp://db"),
        ("${redis/HOST}", "cache"),
        ("${shop/HOST}", "db"),
    ],
)  # fmt: skip
def test_what_a_reference_comes_to(value: Any, comes_to: Any) -> None:
    values = {
        "PORT": 8080,
        "HOST": "db",
        "ON": True,
        "LIST": [1, 2],
        "URL": "tcp://${HOST}",
        "X": value,
    }

    found, problems = resolved(values, Town(redis={"HOST": "cache"}))

    assert problems == {}
    assert found["X"] == comes_to


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("${NOWHERE}", "this service has no key NOWHERE"),
        ("${redis/NOWHERE}", "redis has no key NOWHERE here"),
        ("${nobody/HOST}", "nobody has no release in this environment"),
        ("a ${LIST}", "is no text, number or boolean"),
        ("${PW}", "is a secret"),
        ("${redis/PW}", "is a secret"),
        ("${X}", "X → X is a circle"),
        ("${redis/BACK}", "is a circle"),
    ],
)
def test_what_cannot_be_put_in_stays_as_written_and_says_why(value: Any, says: str) -> None:
    town = Town(redis={"HOST": "cache", "PW": SECRET, "BACK": "${ON}", "ON": "${shop/X}"})

    found, problems = resolved({"LIST": [1], "PW": SECRET, "X": value}, town)

    assert set(problems) == {"X"}
    assert says in problems["X"]
    assert found["X"] == value


def test_a_longer_circle_names_all_its_keys() -> None:
    _, problems = resolved({"A": "${B}", "B": "${C}", "C": "x${A}", "D": 1})

    assert problems["A"].startswith("A → B → C → A is a circle")
    assert set(problems) == {"A", "B", "C"}


def test_a_value_that_grows_without_end_is_refused() -> None:
    grown = {f"K{n}": f"${{K{n + 1}}}" * 10 for n in range(8)} | {"K8": "x" * 10}

    _, problems = resolved(grown)

    assert "would be longer than" in problems["K0"]


def test_what_a_value_refers_to() -> None:
    assert used_in({"a": ["${X} $${Y}", "${s/Z}"], "b": 1}) == [(None, "X"), ("s", "Z")]
