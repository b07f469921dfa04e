"""Exports of Consul and etcd."""

import base64
import json
from typing import Any

import pytest

from confhub.releases import imports
from confhub.releases.imports import ImportUnreadable, Options


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def consul(**values: Any) -> str:
    """As `consul kv export` prints it, with tabs."""
    rows = [{"key": key, "flags": 0, "value": value} for key, value in values.items()]
    return json.dumps(rows, indent="\t")


APP = consul(**{
    "app/prod/": "", "app/prod/db/host": b64("db"), "app/prod/db/port": b64("5432"),
    "app/prod/text": b64("two\nlines"), "app/prod/empty": "", "app/prod/icon": b64(b"\xff\xfe"),
    "app/prod/bad": "%%", "app/prod/1st": b64("x"),
})  # fmt: skip


def test_consul_names_lose_what_they_have_in_common() -> None:
    read = imports.read("consul", APP)

    assert read.set == {
        "db.host": "db", "db.port": "5432", "text": "two\nlines", "empty": "", "_1st": "x",
    }  # fmt: skip
    assert dict(read.skipped) == {
        "app/prod/": "It is a folder.",
        "app/prod/icon": "Its value is binary. Put it into the image or a volume.",
        "app/prod/bad": "Its value is not base64. Mend it.",
    }
    assert "All names begin with app/prod/, which is left out." in read.notes[0]
    assert read.texts_only


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [
        ("/", {"app.prod.db.host", "app.prod.db.port", "app.prod.text", "app.prod.empty", "app.prod.1st"}),
        ("app/", {"prod.db.host", "prod.db.port", "prod.text", "prod.empty", "prod.1st"}),
        ("app/prod/db", {"host", "port"}),
        ("app/prod/db/host", set()),
    ],
)  # fmt: skip
def test_a_prefix_is_taken_as_it_is_given(prefix: str, keys: set[str]) -> None:
    read = imports.read("consul", APP, options=Options(prefix=prefix))

    assert set(read.set) == keys
    if prefix.startswith("app/prod/db"):
        assert dict(read.skipped)["app/prod/text"] == f"It is not below the prefix {prefix}."


def test_consuls_http_api_spells_it_otherwise() -> None:
    text = json.dumps([{"LockIndex": 0, "Key": "a", "Flags": 0, "Value": b64("1"), "CreateIndex": 1},
                       {"Key": "b", "Value": None}])  # fmt: skip

    assert imports.read("consul", text).set == {"a": "1", "b": ""}


def etcd(kvs: Any, **more: Any) -> str:
    header = {"cluster_id": 14841639068965178418, "member_id": 10276657743932975437, "revision": 7}
    return json.dumps({"header": header, "kvs": kvs, "count": len(kvs), **more})


def kv(key: str | bytes, value: str) -> dict[str, Any]:
    return {
        "key": b64(key),
        "create_revision": 2,
        "mod_revision": 7,
        "version": 1,
        "value": b64(value),
    }


def test_etcd_prefix_is_stripped() -> None:
    kvs = [kv("/shop/prod/db/host", "db"), kv("/shop/prod/level", "info"), kv(b"\xff", "x")]
    read = imports.read("etcd", etcd(kvs))

    assert read.set == {"db.host": "db", "level": "info"}
    assert dict(read.skipped) == {b64(b"\xff"): "Its name is not a text in base64."}


def test_what_confhub_itself_keeps_in_etcd_comes_back() -> None:
    kvs = [kv("/confhub/v1/prod/shop/keys/POOL", "20"), kv("/confhub/v1/prod/shop/keys/a.b", "x")]

    assert imports.read("etcd", etcd(kvs)).set == {"POOL": "20", "a.b": "x"}


def test_an_answer_that_was_cut_says_so() -> None:
    assert any(
        "--limit" in note for note in imports.read("etcd", etcd([kv("a", "1")], more=True)).notes
    )


def test_a_single_name_keeps_its_last_part() -> None:
    assert imports.read("etcd", etcd([kv("/shop/level", "info")])).set == {"level": "info"}


@pytest.mark.parametrize(
    ("source", "text", "words"),
    [
        ("consul", '{"key": "a"}', "writes a list"),
        ("consul", '[{"value": "a"}]', "Entry 1 of the list has no `key`"),
        ("consul", "[1]", "Entry 1"),
        ("consul", '[{"key": "a"}', "belongs"),
        ("consul", '[], "x": 1', "more than one JSON value"),
        ("etcd", "[]", "object with `kvs`"),
        ("etcd", '{"kvs": 1}', "object with `kvs`"),
        ("etcd", '{"kvs": [{"value": ""}]}', "Entry 1 of `kvs`"),
        ("etcd", "/a\n1\n", "JSON value"),
    ],
)
def test_what_is_no_export_says_why(source: str, text: str, words: str) -> None:
    with pytest.raises(ImportUnreadable) as refused:
        imports.read(source, text)

    assert words in refused.value.detail


def test_an_empty_answer_is_nothing() -> None:
    assert imports.read("etcd", '{"header": {}}').set == {}
    assert imports.read("consul", "[]").set == {}
