"""The keys that seal secrets: made at first use, wrapped by master keys, rotated."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection, transaction

from confhub.core.errors import ConfHubError
from confhub.releases import keyring
from confhub.releases.keyring import KeyIsSealed, Keys, NoMasterKey
from confhub.releases.models import SealingKeyRow
from tests.parts.factories import NOON, a_scope
from watchers.wire.sealing import BadKey, SealingKey

pytestmark = pytest.mark.django_db
OLD, NEW = SealingKey.generate("old"), SealingKey.generate("new")


@pytest.fixture(autouse=True)
def masters(settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = OLD.to_text()


def test_a_place_gets_a_key_and_a_reserve_at_first_use() -> None:
    shop, till = a_scope("shop"), a_scope("till")

    first = Keys().sealing(shop, now=NOON)

    held = Keys().all_of(shop)
    assert [key.kid for key in held][1] == first.kid, "the newest one is in reserve"
    assert len(held) == 2
    assert Keys().sealing(shop, now=NOON) == first, "kept, not made again"
    assert Keys().sealing(till, now=NOON).raw != first.raw
    assert Keys().all_of(till) != held


def test_no_key_stands_readable_in_its_row() -> None:
    key = Keys().sealing(a_scope(), now=NOON)
    Keys().fingerprint(now=NOON)

    wrapped = " ".join(SealingKeyRow.objects.values_list("wrapped", flat=True))

    assert base64.b64encode(key.raw).decode() not in wrapped
    assert wrapped.count("v1:old:") == 3
    assert base64.b64encode(key.raw).decode() not in repr(Keys().all_of(a_scope()))


def test_without_a_master_key_nothing_is_sealed_and_the_way_out_is_named(settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = ""
    scope = a_scope()

    with pytest.raises(NoMasterKey, match=r"manage.py new_master_key`.*openssl rand"):
        Keys().sealing(scope, now=NOON)

    assert not SealingKeyRow.objects.exists()


def test_a_new_master_key_wraps_everything_anew_and_the_old_one_may_go(settings: Any) -> None:
    scope = a_scope()
    key, print_ = Keys().sealing(scope, now=NOON), Keys().fingerprint(now=NOON)
    settings.CONFHUB_MASTER_KEYS = f"{NEW.to_text()},{OLD.to_text()}"

    assert keyring.rewrap_all() == (3, 3)
    assert keyring.rewrap_all() == (0, 3)

    settings.CONFHUB_MASTER_KEYS = NEW.to_text()
    assert Keys().sealing(scope, now=NOON) == key
    assert Keys().fingerprint(now=NOON) == print_


def test_a_missing_master_key_is_named(settings: Any) -> None:
    scope = a_scope()
    Keys().sealing(scope, now=NOON)
    settings.CONFHUB_MASTER_KEYS = NEW.to_text()

    with pytest.raises(KeyIsSealed, match="master key old, which is not in CONFHUB_MASTER_KEYS"):
        Keys().sealing(scope, now=NOON)


def test_a_wrapped_key_that_was_moved_to_another_place_does_not_open() -> None:
    shop, till = a_scope("shop"), a_scope("till")
    Keys().sealing(shop, now=NOON)
    SealingKeyRow.objects.filter(scope=shop).update(scope=till)

    with pytest.raises(KeyIsSealed, match="changed or moved"):
        Keys().all_of(till)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("k1:abc", "Key 1 of CONFHUB_MASTER_KEYS cannot be used"),
        (f"{OLD.to_text()}, nonsense-that-is-secret", "Key 2 of CONFHUB_MASTER_KEYS"),
        (f"{OLD.to_text()},{OLD.to_text()}", "Key 2 of CONFHUB_MASTER_KEYS has the name"),
    ],
    ids=[
        "short",
        "second",
        "twice",
    ],  # the keys are made at random, and both workers name tests alike
)
def test_a_malformed_master_key_stops_the_start_without_being_quoted(
    settings: Any, text: str, says: str
) -> None:
    settings.CONFHUB_MASTER_KEYS = text

    found = [each for each in run_checks() if each.id == "confhub.E004"]
    with pytest.raises(BadKey) as refused:
        keyring.master_keys()
    with pytest.raises(ConfHubError) as also:
        Keys().sealing(a_scope(), now=NOON)

    assert len(found) == 1
    for said in (str(found[0]), str(refused.value), str(also.value)):
        assert says in said
        assert "nonsense" not in said
        assert OLD.to_text().partition(":")[2] not in said
    assert not SealingKeyRow.objects.exists()


def test_several_keys_may_stand_on_lines(settings: Any) -> None:
    settings.CONFHUB_MASTER_KEYS = f"{NEW.to_text()}\n{OLD.to_text()}\n"

    assert keyring.master_keys() == [NEW, OLD]


def test_a_key_is_found_by_name_for_its_own_scope_only() -> None:
    scope = a_scope("shop", "prod")
    key = Keys().sealing(scope, now=NOON)
    a_scope("till", "prod")

    assert keyring.key_named(key.kid, "shop", "prod") == key
    assert keyring.key_named(key.kid, "till", "prod") is None
    assert keyring.key_named("fingerprint", "shop", "prod") is None


@pytest.mark.django_db(transaction=True)
def test_first_secrets_at_the_same_moment_make_one_pair_and_one_fingerprint() -> None:
    scope = a_scope()
    begin = threading.Barrier(4)

    def first() -> tuple[str, bytes]:
        begin.wait(10)
        try:
            with transaction.atomic():
                keys = Keys()
                return keys.sealing(scope, now=NOON).kid, keys.fingerprint(now=NOON).raw
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = [each.result(30) for each in [pool.submit(first) for _ in range(4)]]

    assert len(set(found)) == 1
    assert SealingKeyRow.objects.count() == 3


def test_a_key_of_a_transaction_that_was_rolled_back_seals_nothing_later() -> None:
    scope = a_scope()
    with transaction.atomic():
        gone = Keys().sealing(scope, now=NOON)
        transaction.set_rollback(True)

    assert Keys().sealing(scope, now=NOON).kid != gone.kid
