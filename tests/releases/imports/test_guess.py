"""The source of a text is told by its file's name or its words."""

import pytest

from confhub.releases import imports
from tests.releases.imports import test_chef, test_compose, test_kubernetes, test_plain, test_stores

TEXTS = [
    (test_plain.ENV, "env"),
    ("A=1\n", "env"),
    ("# c\n\nexport A=1\n", "env"),
    (test_plain.PROPERTIES, "properties"),
    ("a.b=1\n", "properties"),
    ("debug=true\nserver.port = 80\n", "properties"),
    ("2FA=x\nURL=http://a.b/?c=d\n", "env"),
    (test_plain.NESTED["json"], "json"),
    (test_plain.NESTED["yaml"], "yaml"),
    ("---\nA: 1\n", "yaml"),
    ('name = "x"\n', "toml"),
    ("[db]\nhost = 'x'\n", "toml"),
    ('[[mirror]]\nurl = "u"\n', "toml"),
    (test_compose.COMPOSE, "compose"),
    ('{"services": {"web": {"image": "x"}}}', "compose"),
    ("services:\n  a: {environment: [A=1]}\n", "compose"),
    ('{"services": ["a"]}', "json"),
    ("services: [a]\n", "yaml"),
    (test_kubernetes.MANIFEST, "kubernetes"),
    ('{"apiVersion":"v1","kind":"Secret","data":{}}', "kubernetes"),
    ("apiVersion: v1\nkind: List\nitems: []\n", "kubernetes"),
    ("apiVersion: v1\nkind: Deployment\n", "yaml"),
    (test_stores.APP, "consul"),
    (test_stores.etcd([]), "etcd"),
    ('{"default_attributes": {}}', "chef"),
    ('{"id": "a", "chef_type": "data_bag_item"}', "chef"),
    ("", "env"),
]


@pytest.mark.parametrize(("text", "source"), TEXTS)
def test_by_its_words(text: str, source: str) -> None:
    assert imports.guess(text) == source


@pytest.mark.parametrize(
    ("filename", "source"),
    [
        (".env", "env"),
        (".env.production", "env"),
        ("prod.env", "env"),
        ("application.properties", "properties"),
        ("pyproject.toml", "toml"),
        ("docker-compose.prod.yml", "compose"),
        ("C:\\work\\compose.yaml", "compose"),
        ("values.yaml", "yaml"),
    ],
)
def test_by_the_name_of_its_file(filename: str, source: str) -> None:
    assert imports.guess("X: 1\n", filename) == source


def test_a_read_without_a_source_guesses() -> None:
    assert imports.read("", "A=1\n").source == "env"
    assert (
        test_chef.ITEM["id"]
        in imports.read("", '{"chef_type": "x", "id": "shop", "k": "shop"}').set["k"]
    )


@pytest.mark.parametrize(
    "piece", ["\n", " ", '"services":{', '"kind":', "a ", '[{"', "- ", "kind: "]
)
def test_long_texts_of_anything_are_of_some_source(piece: str) -> None:
    assert imports.guess(piece * (400_000 // len(piece))) in imports.SOURCES
