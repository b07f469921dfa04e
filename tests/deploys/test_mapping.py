"""Pointers, templates, mappings and filters: pure, so no rows are asked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confhub.deploys import filters, mapping, pointers, templates
from confhub.deploys.mapping import DoesNotMap
from confhub.deploys.payloads import MASK, masked
from confhub.deploys.pointers import NoSuchValue
from confhub.releases.images import BadImage
from tests.deploys.conftest import DIGEST

# https://datatracker.ietf.org/doc/html/rfc6901#section-5
RFC: dict[str, Any] = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6,
    " ": 7, "m~n": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1),
        ("/c%d", 2), ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8),
    ],
    ids=lambda each: repr(each)[:20],
)  # fmt: skip
def test_the_examples_of_the_standard(pointer: str, value: Any) -> None:
    assert pointers.problem(pointer) is None
    assert pointers.find(RFC, pointer) == value


@pytest.mark.parametrize(
    ("pointer", "sentence"),
    [
        ("/bar", "the payload is an object with"),
        ("/foo/2", "/foo is a list of 2"),
        ("/foo/00", "/foo is a list of 2"),
        ("/foo/-", "/foo is a list of 2"),
        ("/foo/-1", "/foo is a list of 2"),
        ("/foo/0/x", "/foo/0 is a text"),
        ("/a~1b/x", "/a~1b is a number"),
    ],
    ids=lambda each: each[:12],
)
def test_what_is_not_there_is_told_with_what_is(pointer: str, sentence: str) -> None:
    with pytest.raises(NoSuchValue, match="is not there") as missing:
        pointers.find(RFC, pointer)

    assert sentence in str(missing.value)


def test_no_sentence_holds_a_value() -> None:
    with pytest.raises(NoSuchValue) as missing:
        pointers.find({"a": {"b": "canary"}}, "/a/c")

    assert "canary" not in str(missing.value)


@pytest.mark.parametrize("pointer", ["foo", "/a~2", "/a~", "#/a", "/" + "x" * 300, "/a\x00", 7, None], ids=repr)  # fmt: skip
def test_what_is_no_pointer(pointer: Any) -> None:
    assert pointers.problem(pointer)


@given(st.lists(st.text(max_size=5), max_size=4), st.integers())
def test_every_path_has_its_pointer(path: list[str], value: int) -> None:
    document: Any = value
    for name in reversed(path):
        document = {name: document}
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)

    assert pointers.find(document, pointer) == value


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("shop:{/tag}", "shop:1.9"), ("{/tag}{/tag}", "1.91.9"), ("{{/tag}}", "{/tag}"),
        ("{{{/tag}}}", "{1.9}"), ("{/n} {/f} {/yes}", "7 1.5 true"), ("", ""), ("ü{/tag}\n", "ü1.9\n"),
    ],
    ids=repr,
)  # fmt: skip
def test_templates(template: str, text: str) -> None:
    payload = {"tag": "1.9", "n": 7, "f": 1.5, "yes": True}

    assert templates.problem(template) is None
    assert templates.filled(template, payload) == text


@pytest.mark.parametrize("template", ["{", "}", "{tag}", "{}", "{/a~2}", "{/a", "a}b", "x" * 2001, "\x00", 7], ids=lambda each: repr(each)[:12])  # fmt: skip
def test_what_is_no_template(template: Any) -> None:
    assert templates.problem(template)


@pytest.mark.parametrize("value", [None, {}, []], ids=repr)
def test_what_has_no_text_form_does_not_fit_into_one(value: Any) -> None:
    with pytest.raises(NoSuchValue, match="does not fit into a text"):
        templates.filled("{/a}", {"a": value})


def test_a_payload_comes_to_keys() -> None:
    rules = {
        "set": {
            "TAG": {"pointer": "/tag"}, "IMAGE": {"template": "shop:{/tag}"},
            "COUNT": {"pointer": "/count"}, "ON": {"pointer": "/on"}, "ALL": {"pointer": "/all"},
        },
        "unset": ["OLD"],
        "message": {"template": "deploy {/tag}"},
        "image": {"name": {"template": "shop"}, "digest": {"pointer": "/digest"}},
    }  # fmt: skip
    payload = {"tag": "1.9", "count": 3, "on": True, "all": {"a": [1]}, "digest": DIGEST}

    assert mapping.problems(rules) == []
    found = mapping.applied(rules, payload)

    assert found.set == {
        "TAG": "1.9", "IMAGE": "shop:1.9", "COUNT": 3, "ON": True, "ALL": {"a": [1]},
    }  # fmt: skip
    assert (found.unset, found.message) == (["OLD"], "deploy 1.9")
    assert found.image == {"name": "shop", "digest": DIGEST}
    assert found.sources["IMAGE"] == "shop:{/tag}"


@pytest.mark.parametrize(
    ("value", "kind", "kept"),
    [
        (7, "text", "7"), (True, "text", "true"), ("7", "number", 7), ("1.5", "number", 1.5),
        (7, "number", 7), ("true", "boolean", True), (False, "boolean", False),
        ('{"a": 1}', "json", {"a": 1}), ({"a": 1}, "json", {"a": 1}), ("x", "text", "x"),
    ],
    ids=repr,
)  # fmt: skip
def test_types(value: Any, kind: str, kept: Any) -> None:
    rules = {"set": {"A": {"pointer": "/a"}}, "types": {"A": kind}}

    assert mapping.problems(rules) == []
    found = mapping.applied(rules, {"a": value}).set["A"]
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("eight", "number"), (True, "number"), ("true", "number"), ("NaN", "number"),
        ("1", "boolean"), (1, "boolean"), ("{", "json"), (None, "text"), ([], "text"), (None, "number"),
        ("[" * 100_000, "json"),
    ],
    ids=lambda each: repr(each)[:10],
)  # fmt: skip
def test_what_is_not_of_the_type_is_refused_without_its_value(value: Any, kind: str) -> None:
    with pytest.raises(DoesNotMap) as refused:
        mapping.applied({"set": {"A": {"pointer": "/a"}}, "types": {"A": kind}}, {"a": value})

    assert "eight" not in str(refused.value.fields)


def test_all_that_is_missing_is_told_at_once() -> None:
    rules = {
        "set": {"A": {"pointer": "/a"}, "B": {"template": "{/b}"}, "C": {"pointer": "/c"}},
        "message": {"pointer": "/m"},
        "image": {"name": {"pointer": "/i"}, "digest": {"pointer": "/d"}},
    }

    with pytest.raises(DoesNotMap) as refused:
        mapping.applied(rules, {"c": 1})

    assert [*refused.value.fields] == ["A", "B", "message", "image.name", "image.digest"]


def test_an_image_that_is_none_is_refused() -> None:
    rules = {"image": {"name": {"template": "shop"}, "digest": {"pointer": "/d"}}}

    with pytest.raises(BadImage):
        mapping.applied(rules, {"d": "latest"})


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ([], "Write an object"),
        ({}, "Nothing would change"),
        ({"sets": {}}, "no part of a mapping"),
        ({"set": []}, "set: write an object of keys"),
        ({"set": {"1A": {"pointer": "/a"}}}, "1A"),
        ({"set": {"A": "/a"}}, "set.A"),
        ({"set": {"A": {}}}, "set.A"),
        ({"set": {"A": {"pointer": "/a", "template": "x"}}}, "set.A"),
        ({"set": {"A": {"value": 1}}}, "set.A"),
        ({"set": {"A": {"pointer": 7}}}, "set.A"),
        ({"set": {"A": {"template": "{"}}}, "stands alone"),
        ({"set": {"A": {"pointer": "/a"}}, "unset": ["A"]}, "both set and unset"),
        ({"unset": "A"}, "unset: write a list"),
        ({"unset": [7]}, "unset: write a list"),
        ({"set": {"A": {"pointer": "/a"}}, "types": {"B": "number"}}, "types.B"),
        ({"set": {"A": {"pointer": "/a"}}, "types": {"A": "int"}}, "types.A"),
        ({"set": {"A": {"pointer": "/a"}}, "types": 7}, "types: write an object"),
        ({"set": {"A": {"pointer": "/a"}}, "message": "m"}, "message"),
        ({"image": {"name": {"template": "x"}}}, "a name and a digest"),
        ({"image": {"name": {"template": "x"}, "digest": "sha256"}}, "image.digest"),
        ({"set": {f"K{n}": {"pointer": "/a"} for n in range(101)}}, "at most 100"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_what_is_wrong_with_a_mapping_is_told(rules: Any, sentence: str) -> None:
    assert any(sentence in each for each in mapping.problems(rules)), mapping.problems(rules)


def why_not(held: dict[str, Any], event: str, payload: Any = None, usual: tuple[str, ...] = ()) -> str | None:  # fmt: skip
    assert filters.problems(held) == []
    return filters.why_not(held, event, payload or {}, usual=usual)


def test_filters_choose() -> None:
    assert why_not({}, "anything") is None
    assert why_not({}, "star", usual=("push",))
    assert why_not({"events": ["star"]}, "star", usual=("push",)) is None
    assert why_not({"events": ["Tag Push Hook"]}, "tag_push") is None
    assert why_not({"events": ["push"]}, "release")
    main = {"match": {"/ref": "refs/heads/*", "/deleted": "false"}}
    assert why_not(main, "push", {"ref": "refs/heads/main", "deleted": False}) is None
    assert why_not(main, "push", {"ref": "refs/heads/main", "deleted": True})
    assert why_not(main, "push", {"ref": "refs/tags/1", "deleted": False})
    assert "/ref is not there" in str(why_not(main, "push", {"deleted": False}))


@pytest.mark.parametrize(
    "held",
    [[], {"event": []}, {"events": "push"}, {"events": [7]}, {"events": [""]}, {"match": []},
     {"match": {"ref": "x"}}, {"match": {"/ref": 7}}, {"events": ["x"] * 21}],
    ids=lambda each: str(each)[:20],
)  # fmt: skip
def test_what_is_wrong_with_filters_is_told(held: Any) -> None:
    assert filters.problems(held)


def test_what_is_named_like_a_secret_is_masked() -> None:
    payload = {"tag": "1", "api_key": "x", "deep": [{"Password": "y", "token": ""}], "author": "z"}

    assert masked(payload) == {
        "tag": "1", "api_key": MASK, "deep": [{"Password": MASK, "token": ""}], "author": "z",
    }  # fmt: skip
