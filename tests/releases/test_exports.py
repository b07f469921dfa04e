"""Configuration as a file: each format, secrets masked or sealed, and the same bytes each time."""

import json
from typing import Any

import pytest
import yaml

from confhub.access import layers as layer_doors
from confhub.catalog.models import Scope
from confhub.publishing import layers as publishing_layers
from confhub.releases import actions, exports
from confhub.releases.exports import CannotExport, NothingToExport
from confhub.releases.models import DraftChange, SealingKeyRow
from confhub.releases.queries import head_of
from tests.parts.factories import ANN, NOON, a_release, a_scope

pytestmark = pytest.mark.django_db
CANARY = "canary-5b10"


@pytest.fixture
def scope() -> Scope:
    scope = a_scope()
    a_release(scope, {"POOL": 20, "db.host": "db", "COST": "5$ or ${x", "KEY": {"$secret": CANARY}})
    return scope


def text(place: Any, format: Any, **more: Any) -> str:
    made = exports.export(place, format=format, **more)
    assert made == exports.export(place, format=format, **more)
    assert CANARY.encode() not in made.content
    return made.content.decode()


def mask(scope: Scope) -> str:
    return f"(secret {sealed(scope)['fingerprint'][:8]}, kept)"


def sealed(scope: Scope) -> dict[str, Any]:
    head = head_of(scope)
    assert head is not None
    return head.entries["KEY"]


def test_env_and_compose_name_variables(scope: Scope) -> None:
    assert text(scope, "env") == (
        f"COST='5$ or ${{x'\nDB_HOST='db'\nKEY='{mask(scope)}'\nPOOL='20'\n"
    )
    assert yaml.safe_load(text(scope, "compose")) == {
        "services": {"billing": {"environment": {
            "COST": "5$$ or $${x", "DB_HOST": "db", "KEY": mask(scope), "POOL": "20",
        }}}
    }  # fmt: skip


def test_yaml_toml_and_properties_have_keys_and_types(scope: Scope) -> None:
    values = {"COST": "5$ or ${x", "KEY": mask(scope), "POOL": 20, "db.host": "db"}

    assert yaml.safe_load(text(scope, "yaml")) == values
    assert '"db.host" = "db"\n' in text(scope, "toml")
    assert "POOL = 20\n" in text(scope, "toml")
    assert "POOL=20\n" in text(scope, "properties")
    assert json.loads(text(scope, "json")) == values | {
        "KEY": {"$secret": True, "fingerprint": sealed(scope)["fingerprint"], "version": 1}
    }


def test_manifests_part_the_secrets_from_the_rest(scope: Scope) -> None:
    config_map = text(scope, "configmap")

    assert yaml.safe_load(config_map) == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "billing-prod"},
        "data": {"COST": "5$ or ${x", "POOL": "20", "db.host": "db"},
    }  # fmt: skip
    assert config_map.startswith("# Secrets belong into a Secret")
    assert "#   KEY\n" in config_map
    assert yaml.safe_load(text(scope, "secret")) == {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "billing-prod"},
        "type": "Opaque", "stringData": {"KEY": mask(scope)},
    }  # fmt: skip


@pytest.mark.parametrize("format", ["json", "yaml"])
def test_sealed_secrets_are_as_they_stand_in_etcd(scope: Scope, format: Any) -> None:
    held = yaml.safe_load(text(scope, format, secrets="sealed"))["KEY"]

    assert held == {"secret": True, "ciphertext": sealed(scope)["ciphertext"]}


def test_sealed_secrets_are_json_where_only_texts_stand(scope: Scope) -> None:
    made = yaml.safe_load(text(scope, "secret", secrets="sealed"))["stringData"]["KEY"]

    assert json.loads(made) == {"secret": True, "ciphertext": sealed(scope)["ciphertext"]}


def test_of_a_draft_it_says_what_would_be_published(scope: Scope) -> None:
    actions.change_draft(
        scope, set={"NEW": 1, "KEY": {"$secret": f"{CANARY}2"}}, unset=["COST"], expected=None,
        who=ANN, now=NOON,
    )  # fmt: skip
    drafted = DraftChange.objects.get(key="KEY").entry

    made = json.loads(text(scope, "json", of="draft", secrets="sealed"))

    assert made.keys() == {"POOL", "db.host", "NEW", "KEY"}
    assert made["KEY"]["ciphertext"] == drafted["ciphertext"]
    assert "COST" in json.loads(text(scope, "json"))
    assert exports.export(scope, format="env", of="draft").filename == "billing-prod-draft.env"
    assert exports.export(scope, format="compose").filename == "billing-prod-r1.compose.yaml"


def test_a_layers_secret_is_sealed_for_the_scope_once_it_is_published(scope: Scope) -> None:
    layer = layer_doors.layer_for(ANN, "edit", "global")
    mail = a_scope("mail")
    for value in (f"{CANARY}1", f"{CANARY}2"):
        actions.change_draft(
            layer, set={"SHARED": {"$secret": value}}, expected=None, who=ANN, now=NOON
        )
        publishing_layers.publish_layer(
            layer, message="", targets="all", expected_release=None, expected_draft=None, who=ANN,
            now=NOON,
        )  # fmt: skip
        scope.refresh_from_db()
    head = head_of(scope)
    assert head is not None

    made = json.loads(text(scope, "json", of="draft", secrets="sealed"))
    assert made["SHARED"]["ciphertext"] == head.entries["SHARED"]["ciphertext"]
    assert yaml.safe_load(text(layer, "yaml"))["SHARED"].startswith("(secret ")
    assert exports.export(layer, format="yaml").filename == "global-r2.yaml"

    keys = SealingKeyRow.objects.count()
    with pytest.raises(CannotExport) as refused:
        exports.export(mail, format="json", of="draft", secrets="sealed")
    assert "SHARED comes from a layer" in refused.value.detail
    assert SealingKeyRow.objects.count() == keys
    assert "SHARED" in text(mail, "json", of="draft")


def test_what_has_no_form_says_which_key(scope: Scope) -> None:
    a_release(scope, {"NONE": None})

    with pytest.raises(CannotExport) as refused:
        exports.export(scope, format="toml")

    assert "NONE is null" in refused.value.detail
    assert refused.value.status == 422


def test_before_the_first_release_there_is_nothing() -> None:
    with pytest.raises(NothingToExport):
        exports.export(a_scope(), format="json")
    assert text(a_scope(), "json", of="draft") == "{}\n"
