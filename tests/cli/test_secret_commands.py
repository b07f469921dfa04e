"""new_master_key, secrets_key, rotate_secrets: what an operator does with keys."""

import os
import stat
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from confhub.fleet.hostduty import DatabaseKeys
from confhub.publishing import actions as publishing
from confhub.publishing.models import Publication
from confhub.releases.models import Release
from confhub.releases.queries import head_of
from tests.parts.factories import ANN, NOON, a_scope
from watchers.wire.sealing import Keyring, SealingKey, unseal

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parent.parent.parent
CANARY = "s3cret/canary+value"


def said(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def published(service: str = "shop") -> Release:
    return publishing.publish_changes(
        a_scope(service), set={"PW": {"$secret": CANARY}}, unset=(), message="m", who=ANN, now=NOON
    ).release


def opened(release: Release, ring: Keyring) -> Any:
    return unseal(
        release.entries["PW"]["ciphertext"], ring, service="shop", environment="prod", name="PW"
    )


def test_a_printed_master_key_can_be_used() -> None:
    one, other = said("new_master_key").strip(), said("new_master_key").strip()

    assert one != other
    assert SealingKey.from_text(one).kid.startswith("m20")


def test_what_secrets_key_prints_opens_the_releases_from_before_and_after_a_rotation() -> None:
    first = published()
    ring = Keyring.from_text(said("secrets_key", "shop", "prod"))

    told = said("rotate_secrets", "--data-keys")

    second = head_of(a_scope("shop"))
    assert second is not None
    assert (first.number, second.number) == (1, 2)
    assert "shop@prod: seals with" in told
    assert ", r2" in told
    assert (opened(first, ring), opened(second, ring)) == (CANARY, CANARY)
    assert Publication.objects.filter(release=second).exists(), "on its way to etcd"
    later = said("secrets_key", "shop", "prod").strip().split(",")
    assert [word.partition("=")[0] for word in later] == ["shop/prod"] * 3, "in etcd, now, reserve"


def test_the_key_of_a_scope_is_there_before_its_first_secret() -> None:
    a_scope("shop")
    ring = Keyring.from_text(said("secrets_key", "shop", "prod"))

    assert opened(published(), ring) == CANARY


def test_a_new_master_key_needs_one_run_and_agents_nothing(settings: Any) -> None:
    old, new = SealingKey.generate("old"), SealingKey.generate("new")
    settings.CONFHUB_MASTER_KEYS = old.to_text()
    release = published()
    before = said("secrets_key", "shop", "prod")
    settings.CONFHUB_MASTER_KEYS = f"{new.to_text()},{old.to_text()}"

    assert said("rotate_secrets") == "3 of 3 data keys wrapped anew.\n"
    settings.CONFHUB_MASTER_KEYS = new.to_text()

    assert said("secrets_key", "shop", "prod") == before
    assert head_of(a_scope("shop")) == release, "no release was cut"


def test_what_cannot_be_done_is_said_and_nothing_is_changed(settings: Any) -> None:
    with pytest.raises(CommandError, match="There is no service 'none'"):
        said("secrets_key", "none", "prod")
    release = published()
    settings.CONFHUB_MASTER_KEYS = ""
    for command in (["rotate_secrets", "--data-keys"], ["secrets_key", "shop", "prod"]):
        with pytest.raises(CommandError, match="CONFHUB_MASTER_KEYS"):
            said(*command)

    assert head_of(a_scope("shop")) == release


def test_a_worker_with_host_duty_opens_what_this_database_sealed(settings: Any) -> None:
    release = published()
    published("till")
    ring = DatabaseKeys()

    assert opened(release, ring) == CANARY
    settings.CONFHUB_MASTER_KEYS = ""
    assert opened(release, ring) == CANARY, "read once, kept"
    assert DatabaseKeys().find("shop", "prod", "any") is None
    kid = release.entries["PW"]["ciphertext"].split(":")[1]
    settings.CONFHUB_MASTER_KEYS = SealingKey.generate("another").to_text()
    assert DatabaseKeys().find("shop", "prod", kid) is None, "said in the log, never raised"
    given = SealingKey.generate("given")
    assert DatabaseKeys({("", "given"): given}).find("shop", "prod", "given") == given


def test_a_local_master_key_is_made_once_for_us_alone(tmp_path: Path) -> None:
    def keys(**more: str) -> str:
        told = {**os.environ, "CONFHUB_VAR_DIR": str(tmp_path / "var"), "SECRET_KEY": "k", **more}
        asked = "from confhub import settings; print(settings.CONFHUB_MASTER_KEYS)"
        ran = subprocess.run(
            [sys.executable, "-c", asked], cwd=ROOT, env=told, capture_output=True, text=True,
            check=True, timeout=60,
        )  # fmt: skip
        return ran.stdout.strip()

    made = keys(CONFHUB_LOCAL="true")

    assert SealingKey.from_text(made).kid.startswith("local-")
    assert keys(CONFHUB_LOCAL="true") == made
    assert stat.S_IMODE((tmp_path / "var" / "master-keys").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["master-keys"]
    assert keys(CONFHUB_LOCAL="false") == "", "never made where others rely on it"
    assert keys(CONFHUB_LOCAL="true", CONFHUB_MASTER_KEYS="k:x") == "k:x"
