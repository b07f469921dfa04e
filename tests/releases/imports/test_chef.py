"""Data bag items, environments and roles as knife prints them."""

import json
from typing import Any

import pytest

from confhub.releases import imports
from confhub.releases.imports import ImportUnreadable, Options

ENVIRONMENT: dict[str, Any] = {
    "name": "prod", "description": "", "cookbook_versions": {"nginx": "= 2.0.0"},
    "json_class": "Chef::Environment", "chef_type": "environment",
    "default_attributes": {"nginx": {"workers": 2, "ports": [80], "tls": {"on": False}}, "level": "info"},
    "override_attributes": {"nginx": {"workers": 8, "tls": {"on": True, "name": "a.b"}}},
}  # fmt: skip
ROLE: dict[str, Any] = {
    "name": "web", "json_class": "Chef::Role", "chef_type": "role", "run_list": ["recipe[nginx]"],
    "env_run_lists": {}, "default_attributes": {"apache": {"listen": None}},
    "override_attributes": {},
}  # fmt: skip
ITEM: dict[str, Any] = {
    "id": "shop", "pool": 20, "db": {"host": "h"},
    "password": {"encrypted_data": "6BLR==\n", "iv": "x", "version": 1, "cipher": "aes-256-cbc"},
    "chef_type": "data_bag_item", "data_bag": "apps",
}  # fmt: skip


def read(held: Any, **options: Any) -> imports.Imported:
    return imports.read("chef", json.dumps(held, indent=2), options=Options(**options))


def test_override_attributes_win_and_all_are_flattened() -> None:
    found = read(ENVIRONMENT)

    assert found.set == {
        "nginx.workers": 8, "nginx.ports": [80], "nginx.tls.on": True, "nginx.tls.name": "a.b",
        "level": "info",
    }  # fmt: skip
    assert found.notes == ["The cookbook_versions of prod is no configuration; left out."]


def test_attributes_stay_trees_where_flattening_is_refused() -> None:
    assert read(ENVIRONMENT, flatten=False).set["nginx"] == {
        "workers": 8, "ports": [80], "tls": {"on": True, "name": "a.b"},
    }  # fmt: skip


def test_a_role_leaves_its_run_list_out() -> None:
    found = read(ROLE)

    assert found.set == {"apache.listen": None}
    assert found.notes == ["The run_list of web is no configuration; left out."]


def test_an_encrypted_value_of_a_data_bag_is_skipped_by_name() -> None:
    found = read(ITEM)

    assert found.set == {"pool": 20, "db.host": "h"}
    assert [name for name, _ in found.skipped] == ["password"]
    assert "--secret-file" in found.skipped[0][1]


def test_the_servers_own_form_of_an_item() -> None:
    raw = {"name": "data_bag_item_apps_shop", "json_class": "Chef::DataBagItem", "data_bag": "apps",
           "chef_type": "data_bag_item", "raw_data": {"id": "shop", "pool": 20}}  # fmt: skip

    assert read(raw).set == {"pool": 20}


def test_several_in_a_list_and_dots_that_meet() -> None:
    found = read([{"id": "a", "x.y": 1}, {"id": "b", "x": {"y": 2}}])

    assert found.set == {"x.y": 1}
    assert found.skipped == [("x.y", "It stands there a second time; the first one is taken.")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('name "prod"\ndefault_attributes(\n  "a" => 1\n)\n', 1, "Ruby is not run"),
        ('{"name": "x"}', None, "neither attributes"),
        ("[1]", None, "no data bag item"),
        ('{"default_attributes": 1}', None, "is no object"),
        ('{"id": "a",\n "b": }', 2, "JSON value"),
    ],
)
def test_what_is_not_of_chef_says_why(text: str, line: int | None, words: str) -> None:
    with pytest.raises(ImportUnreadable) as refused:
        imports.read("chef", text)

    assert words in refused.value.detail
    assert refused.value.line == line
