"""YAML as other tools write it: texts stay texts, aliases are shared, and nothing is expanded."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from confhub.releases.imports.base import Unfit
from confhub.releases.imports.documents import MAX_NESTING, documents, json_of
from watchers.render.yaml_form import write_yaml

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=30
)
TREE: st.SearchStrategy[Any] = st.recursive(
    TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)  # fmt: skip


@given(st.dictionaries(TEXT, TREE, min_size=1, max_size=4))
def test_what_our_writer_writes_comes_back(tree: dict[str, Any]) -> None:
    assert documents(write_yaml(tree).decode()) == [tree]


@given(st.dictionaries(TEXT, TREE, min_size=1, max_size=4))
def test_what_pyyaml_writes_comes_back(tree: dict[str, Any]) -> None:
    """With its anchors, because the same object stands there twice."""
    text = yaml.safe_dump({"a": tree, "b": tree}, allow_unicode=True)

    assert documents(text) == [{"a": tree, "b": tree}]


@given(TREE)
def test_json_comes_back(tree: Any) -> None:
    assert json_of(json.dumps(tree)) == tree


def test_braces_are_json_or_yaml_and_a_fault_is_told_as_of_json() -> None:
    assert documents("{a: {b: 1.50}}\n") == [{"a": {"b": "1.50"}}]
    with pytest.raises(Unfit) as refused:
        documents('{"a": 1,\n "a": 2}')
    assert (refused.value.line, "second time" in refused.value.message) == (2, True)


def test_several_documents_without_the_empty_ones() -> None:
    assert documents("---\na: 1\n---\n---\n# only a comment\n---\n- 2\n...\n") == [
        {"a": "1"},
        ["2"],
    ]
    assert documents("") == []


def test_anchors_belong_to_their_document() -> None:
    with pytest.raises(Unfit) as refused:
        documents("a: &x 1\n---\nb: *x\n")

    assert (refused.value.line, "no anchor" in refused.value.message) == (3, True)


def test_merge_keys_give_what_nothing_else_names() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  y: 3\n  <<: [*a, *b]\n'<<': plain\n"

    found = documents(text)[0]

    assert found["c"] == {"x": "1", "y": "3", "z": "2"}
    assert found["<<"] == "plain"


def test_plain_nulls_are_nothing_and_quoted_ones_are_texts() -> None:
    found = documents("a:\nb: ~\nc: null\nd: 'null'\ne: \"\"\nf: no\ng: 0x10\n")[0]

    assert found == {"a": None, "b": None, "c": None, "d": "null", "e": "", "f": "no", "g": "0x10"}


def test_depth_is_bounded() -> None:
    deepest = "[" * MAX_NESTING + "]" * MAX_NESTING

    assert documents(f"- {deepest[1:-1]}\n")
    with pytest.raises(Unfit) as refused:
        documents(f"- {deepest}\n")
    assert "nest too deeply" in refused.value.message
