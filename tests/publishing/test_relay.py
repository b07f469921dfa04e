"""The relay against a real etcd: whole releases, one after the other, never back."""

import json
from datetime import timedelta

import pytest

from confhub.core import clock
from confhub.events.models import Event
from confhub.publishing import actions, behind, relay, store
from confhub.publishing import epoch as epochs
from confhub.publishing.gates import Consent
from confhub.publishing.models import Publication, Store
from confhub.publishing.queries import store_answers, store_state
from confhub.publishing.reconcile import reconcile
from confhub.releases.models import Release
from tests.parts import etcdctl
from tests.parts.factories import ANN, NOON, a_release, a_scope, later
from tests.parts.servers import EtcdServer, wait_until
from watchers.etcd import EtcdError, Unreachable
from watchers.wire.documents import Pointer, ReleaseDocument

pytestmark = pytest.mark.django_db


def publish(scope, **values):
    return actions.publish_changes(
        scope, set=values, unset=[], message="", who=ANN, now=NOON
    ).release


def answers() -> bool:
    try:
        store.connection().get("any")
    except EtcdError:
        return False
    return True


def held(etcd: EtcdServer, keyspace) -> dict[str, bytes]:
    found = etcdctl.get_prefix(etcd.endpoint, keyspace.everything)
    return {key.removeprefix(keyspace.everything): value for key, value in found.items()}


def test_a_release_its_pointer_and_its_keys_come_at_one_revision(etcd, keyspace) -> None:
    scope = a_scope()
    release = a_release(scope, {"POOL": 10, "HOST": "db", "on": True, "LIST": [1, "ü"]})

    assert relay.relay_waiting(now=NOON) == 1

    found = held(etcd, keyspace)
    document = ReleaseDocument.from_bytes(found["prod/billing/releases/00000001"])
    assert (document.release, document.values["POOL"], document.author) == (1, 10, "ann")
    assert Pointer.from_bytes(found["prod/billing/current"]).checksum == release.checksum
    assert found["prod/billing/keys/POOL"] == b"10"
    assert found["prod/billing/keys/HOST"] == b"db"
    assert found["prod/billing/keys/on"] == b"true"
    assert json.loads(found["prod/billing/keys/LIST"]) == [1, "ü"]
    assert found["meta/epoch"].decode() == Store.objects.get().epoch
    revisions = {
        at.mod_revision
        for key, at in store.connection().read_prefix(keyspace.everything)[0].items()
        if "/meta/" not in key
    }
    assert len(revisions) == 1
    publication = Publication.objects.get()
    assert (publication.state, publication.revision) == ("written", revisions.pop())
    assert Event.objects.filter(kind="publication.written").count() == 1


def test_only_changed_keys_are_written_and_removed_ones_deleted(etcd, keyspace) -> None:
    scope = a_scope()
    publish(scope, POOL=10, HOST="db", GONE=1)
    relay.relay_waiting(now=NOON)
    before, _ = store.connection().read_prefix(
        store.keys_of(Publication.objects.get().release).values
    )

    actions.publish_changes(scope, set={"POOL": 11}, unset=["GONE"], message="", who=ANN, now=NOON)
    relay.relay_waiting(now=NOON)

    after, _ = store.connection().read_prefix(keyspace.scope("billing", "prod").values)
    names = {key.rsplit("/", 1)[1]: at for key, at in after.items()}
    assert set(names) == {"POOL", "HOST"}
    host = keyspace.scope("billing", "prod").value("HOST")
    assert names["HOST"].mod_revision == before[host].mod_revision
    assert names["POOL"].value == b"11"


def test_several_that_wait_move_the_pointer_once_to_the_newest(etcd, keyspace) -> None:
    scope = a_scope()
    for number in range(1, 4):
        publish(scope, POOL=number)

    assert relay.relay_waiting(now=NOON) == 1

    found = held(etcd, keyspace)
    assert Pointer.from_bytes(found["prod/billing/current"]).release == 3
    assert sum("/releases/" in key for key in found) == 3
    assert set(Publication.objects.values_list("state", flat=True)) == {"written"}


def test_a_release_too_large_for_one_transaction_shows_only_when_it_is_whole(
    etcd, keyspace
) -> None:
    scope = a_scope()
    values = {f"KEY_{number:03d}": "x" * 3000 for number in range(300)}
    release = publish(scope, **values)

    relay.relay_waiting(now=NOON)

    everything, _ = store.connection().read_prefix(keyspace.scope("billing", "prod").root + "/")
    pointer = everything[keyspace.scope("billing", "prod").current]
    assert all(at.mod_revision <= pointer.mod_revision for at in everything.values())
    assert len(everything) == 302
    assert Pointer.from_bytes(pointer.value).checksum == release.checksum


def test_a_relay_that_slept_through_a_newer_release_changes_nothing(etcd, keyspace) -> None:
    scope = a_scope()
    publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    publish(scope, POOL=2)
    [asleep] = relay._claim_due(now=NOON)  # it has its work in hand, and stops here
    publish(scope, POOL=3)
    relay.relay_waiting(now=NOON)

    assert relay._relay(asleep, now=NOON) == 0

    current = etcdctl.get(etcd.endpoint, keyspace.scope("billing", "prod").current)
    assert Pointer.from_bytes(current).release == 3
    assert etcdctl.get(etcd.endpoint, keyspace.scope("billing", "prod").value("POOL")) == b"3"
    assert set(Publication.objects.values_list("state", flat=True)) == {"written"}


def test_a_claim_that_ran_out_is_taken_again(etcd, keyspace) -> None:
    publish(a_scope(), POOL=1)
    assert relay._claim_due(now=NOON)  # and this relay is killed

    assert relay.relay_waiting(now=later(1)) == 0
    assert relay.relay_waiting(now=later(13)) == 1


def test_a_release_that_an_earlier_try_wrote_is_settled_not_written_twice(etcd, keyspace) -> None:
    publish(a_scope(), POOL=1)
    relay.relay_waiting(now=NOON)
    written = Publication.objects.get()
    Publication.objects.update(
        state="waiting", written_at=None, revision=None
    )  # its answer never came

    relay.relay_waiting(now=NOON)

    again = Publication.objects.get()
    assert (again.state, again.revision) == ("written", written.revision)


def test_an_etcd_that_is_away_leaves_it_queued_with_the_reason(own_etcd, use_store) -> None:
    use_store(own_etcd)
    publish(a_scope(), POOL=1)
    own_etcd.kill()

    relay.relay_waiting(now=NOON)
    relay.relay_waiting(now=later(60))

    publication = Publication.objects.get()
    assert publication.state == "waiting"
    assert own_etcd.endpoint in publication.last_error
    assert Event.objects.filter(kind="publication.delayed").count() == 1
    assert store_state(now=later(60)).waiting == 1
    assert own_etcd.endpoint in store_answers(timeout_s=1)

    own_etcd.start()
    wait_until(lambda: relay.relay_waiting(now=later(10**6)) == 1, what="the connection is back")
    assert store_answers(timeout_s=2) == ""


def test_a_wiped_store_gets_a_new_epoch_and_everything_again(own_etcd, use_store) -> None:
    keyspace = use_store(own_etcd)
    scope, other = a_scope(), a_scope("shop", "dev")
    publish(scope, POOL=1)
    publish(scope, POOL=2)
    publish(other, COLOR="red")
    relay.relay_waiting(now=NOON)
    epoch = Store.objects.get().epoch
    own_etcd.wipe()
    own_etcd.start()
    wait_until(answers, what="the connection is back")

    report = reconcile(now=NOON)
    relay.relay_waiting(now=later(1))

    assert sorted(report.repaired) == ["billing@prod", "shop@dev"]
    found = held(own_etcd, keyspace)
    assert Pointer.from_bytes(found["prod/billing/current"]).release == 2
    assert "prod/billing/releases/00000001" in found
    assert found["dev/shop/keys/COLOR"] == b"red"
    assert found["meta/epoch"].decode() == Store.objects.get().epoch != epoch
    assert reconcile(now=NOON).repaired == []


def test_a_wipe_found_by_the_relay_itself_is_healed_by_it(own_etcd, use_store) -> None:
    keyspace = use_store(own_etcd)
    scope = a_scope()
    publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    own_etcd.wipe()
    own_etcd.start()
    publish(scope, POOL=2)

    wait_until(lambda: relay.relay_waiting(now=later(10**6)) == 1, what="the connection is back")

    assert Pointer.from_bytes(held(own_etcd, keyspace)["prod/billing/current"]).release == 2


@pytest.mark.parametrize(
    "damage", ["pointer gone", "document gone", "document bent", "pointer bent"]
)
def test_reconcile_repairs_what_somebody_damaged(etcd, keyspace, damage: str) -> None:
    publish(a_scope(), POOL=1, HOST="db")
    relay.relay_waiting(now=NOON)
    keys = keyspace.scope("billing", "prod")
    good = held(etcd, keyspace)
    match damage:
        case "pointer gone":
            etcdctl.delete_prefix(etcd.endpoint, keys.current)
        case "document gone":
            etcdctl.delete_prefix(etcd.endpoint, keys.releases)
        case "document bent":
            etcdctl.put(
                etcd.endpoint,
                keys.release(1),
                good["prod/billing/releases/00000001"].replace(b"db", b"xx"),
            )
        case "pointer bent":
            etcdctl.put(etcd.endpoint, keys.current, '{"release": 1, "checksum": "sha256:0"}')

    assert reconcile(now=NOON).repaired == ["billing@prod"]
    relay.relay_waiting(now=NOON)

    assert (
        held(etcd, keyspace)["prod/billing/releases/00000001"]
        == good["prod/billing/releases/00000001"]
    )
    assert Pointer.from_bytes(held(etcd, keyspace)["prod/billing/current"]).release == 1
    assert reconcile(now=NOON).repaired == []


def test_a_foreign_store_is_not_written_until_it_is_adopted(etcd, keyspace) -> None:
    etcdctl.put(etcd.endpoint, keyspace.epoch, "somebody-elses")
    publish(a_scope(), POOL=1)

    relay.relay_waiting(now=NOON)

    assert list(held(etcd, keyspace)) == ["meta/epoch"]
    assert "--adopt" in store_state(now=NOON).trouble
    assert "--adopt" in Publication.objects.get().last_error

    reconcile(now=NOON, adopt=True)
    assert relay.relay_waiting(now=clock.now() + timedelta(minutes=1)) == 1
    assert held(etcd, keyspace)["meta/epoch"].decode() == Store.objects.get().epoch


def test_a_store_that_is_ahead_of_the_database_is_never_moved_back(etcd, keyspace) -> None:
    scope = a_scope()
    publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    etcdctl.put(
        etcd.endpoint,
        keyspace.scope("billing", "prod").current,
        '{"release": 9, "checksum": "sha256:9"}',
    )
    publish(scope, POOL=2)

    relay.relay_waiting(now=NOON)

    assert b'"release": 9' in etcdctl.get(etcd.endpoint, keyspace.scope("billing", "prod").current)
    publication = Publication.objects.get(release__number=2)
    assert publication.state == "parked"
    assert "r9" in publication.last_error


def test_the_newest_ten_documents_stay_and_those_that_run(etcd, keyspace) -> None:
    scope = a_scope()
    status = {
        "id": "i",
        "service": "billing",
        "environment": "prod",
        "host": "h",
        "runtime": "docker",
        "running": 2,
        "target": 2,
    }
    etcdctl.put(etcd.endpoint, keyspace.scope("billing", "prod").instance("i"), json.dumps(status))

    for number in range(1, 21):
        publish(scope, POOL=number)
        relay.relay_waiting(now=NOON)

    found = held(etcd, keyspace)
    numbers = sorted(int(key.rsplit("/", 1)[1]) for key in found if "/releases/" in key)
    assert numbers == [2, *range(11, 21)]


def test_a_relay_that_slept_through_a_new_epoch_does_not_move_the_pointer_back(
    etcd, keyspace
) -> None:
    scope = a_scope()
    publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    publish(scope, POOL=2)
    [asleep] = relay._claim_due(now=NOON)
    stale = behind.known_of(asleep.newest)
    etcdctl.put(etcd.endpoint, keyspace.epoch, "restored")
    reconcile(now=NOON, adopt=True)
    publish(scope, POOL=3)
    assert relay.relay_waiting(now=later(1)) == 1
    behind.remember(Release.objects.get(number=1), revision=stale.revision, epoch=stale.epoch)

    assert relay._relay(asleep, now=NOON) == 0

    current = etcdctl.get(etcd.endpoint, keyspace.scope("billing", "prod").current)
    assert Pointer.from_bytes(current).release == 3


def test_what_a_killed_relay_left_under_keys_is_cleared_by_the_next_release(etcd, keyspace) -> None:
    scope = a_scope()
    first = publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    publish(scope, POOL=2, EXTRA="x")
    [killed] = relay._claim_due(now=NOON)
    keys = keyspace.scope("billing", "prod")
    etcdctl.put(etcd.endpoint, keys.value("POOL"), "2")  # the first of its transactions
    etcdctl.put(etcd.endpoint, keys.value("EXTRA"), "x")
    actions.roll_back(scope, number=first.number, message="", who=ANN, now=NOON)

    assert relay.relay_waiting(now=later(1)) == 1

    found = held(etcd, keyspace)
    assert found["prod/billing/keys/POOL"] == b"1"
    assert "prod/billing/keys/EXTRA" not in found
    assert f"prod/billing/releases/{killed.newest.number:08d}" in found


def test_a_release_that_is_overtaken_between_its_transactions_leaves_no_key_behind(
    etcd, keyspace, monkeypatch
) -> None:
    scope = a_scope()
    first = publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    publish(scope, POOL=2, ZONE="x")
    [slow] = relay._claim_due(now=NOON)
    keys, batches = keyspace.scope("billing", "prod"), store._batches

    def overtaken(parts, *, last):
        monkeypatch.setattr(store, "_batches", then_the_first_goes_on)
        [*some, rest] = parts
        yield [part.op for part in some]
        actions.roll_back(scope, number=first.number, message="", who=ANN, now=NOON)
        assert relay.relay_waiting(now=later(1)) == 1
        yield [rest.op, last]

    def then_the_first_goes_on(parts, *, last):
        etcdctl.put(etcd.endpoint, keys.value("ZONE"), "x")  # after the other one has looked
        monkeypatch.setattr(store, "_batches", batches)
        return batches(list(parts), last=last)

    monkeypatch.setattr(store, "_batches", overtaken)

    assert relay._relay(slow, now=NOON) == 0

    found = held(etcd, keyspace)
    assert found["prod/billing/keys/POOL"] == b"1"
    assert "prod/billing/keys/ZONE" not in found
    assert Pointer.from_bytes(found["prod/billing/current"]).release == 3


def test_a_release_written_by_two_relays_is_told_once(etcd, keyspace) -> None:
    publish(a_scope(), POOL=1)
    [slow] = relay._claim_due(now=NOON)
    relay.relay_waiting(now=later(13))  # its claim ran out

    assert relay._relay(slow, now=later(14)) == 0

    assert Event.objects.filter(kind="publication.written").count() == 1


def test_a_release_that_etcd_refused_does_not_hold_up_the_next_one(
    etcd, keyspace, monkeypatch
) -> None:
    scope = a_scope()
    publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    monkeypatch.setattr(store, "MAX_BYTES", 10**9)  # as if etcd took less than it does
    large = {f"BLOB_{number}": "x" * 200_000 for number in range(4)}
    meant = Consent(confirmed=["size_doubled", "count_halved"])
    actions.publish_changes(
        scope, set=large, unset=[], message="", consent=meant, who=ANN, now=NOON
    )
    relay.relay_waiting(now=NOON)
    assert store_state(now=NOON).parked == 1

    actions.publish_changes(
        scope,
        set={},
        unset=list(large),
        message="",
        consent=meant,
        who=ANN,
        now=NOON,
    )
    Publication.objects.filter(state="waiting").update(tries=1)  # etcd was away at first

    assert relay.relay_waiting(now=later(1)) == 1
    assert store_state(now=NOON).parked == 0
    assert not [key for key in held(etcd, keyspace) if "BLOB" in key]


def test_a_parked_release_is_written_once_what_was_in_its_way_is_gone(etcd, keyspace) -> None:
    scope = a_scope()
    publish(scope, POOL=1)
    current = keyspace.scope("billing", "prod").current
    etcdctl.put(etcd.endpoint, current, '{"release": 9, "checksum": "sha256:9"}')
    relay.relay_waiting(now=NOON)
    assert Publication.objects.get().state == "parked"
    assert reconcile(now=NOON).repaired == []  # nothing is queued while it still stands there

    etcdctl.delete_prefix(etcd.endpoint, current)
    assert reconcile(now=NOON).repaired == ["billing@prod"]

    assert relay.relay_waiting(now=later(1)) == 1
    assert Publication.objects.get().state == "written"


def test_a_written_release_is_not_called_delayed_when_the_clearing_up_fails(
    etcd, keyspace, monkeypatch
) -> None:
    def away(_: object) -> None:
        raise Unreachable("etcd went away in between.")

    monkeypatch.setattr(store, "prune", away)
    publish(a_scope(), POOL=1)

    assert relay.relay_waiting(now=NOON) == 1

    assert not Event.objects.filter(kind="publication.delayed").exists()


def test_reconcile_leaves_alone_what_the_relay_writes_meanwhile(
    etcd, keyspace, monkeypatch
) -> None:
    scope = a_scope()
    publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    publish(scope, POOL=2)
    read = store.standings

    def then_the_relay_writes(scopes):
        found = list(read(scopes))
        relay.relay_waiting(now=NOON)
        return iter(found)

    monkeypatch.setattr(store, "standings", then_the_relay_writes)

    assert reconcile(now=NOON).repaired == []
    assert set(Publication.objects.values_list("state", flat=True)) == {"written"}


def test_a_process_killed_between_the_two_halves_of_a_new_epoch_leaves_the_store_ours(
    etcd, keyspace, monkeypatch
) -> None:
    scope = a_scope()
    publish(scope, POOL=1)
    relay.relay_waiting(now=NOON)
    Store.objects.update(revision=10**9)  # the store is at a lower one: it was restored
    with monkeypatch.context() as patched:
        patched.setattr(store, "replace_epoch", lambda old, new: None)  # killed just before it
        epochs.agree(now=NOON)
    assert held(etcd, keyspace)["meta/epoch"].decode() != Store.objects.get().epoch

    assert reconcile(now=NOON).repaired == []

    assert held(etcd, keyspace)["meta/epoch"].decode() == Store.objects.get().epoch
    assert store_state(now=NOON).trouble == ""


def test_a_process_that_read_its_row_before_another_renewed_the_epoch_is_not_alarmed(
    etcd, keyspace, monkeypatch
) -> None:
    epochs.agree(now=NOON)
    before = Store.objects.get()
    Store.objects.update(revision=10**9)
    renewed = epochs.agree(now=NOON).epoch
    assert renewed != before.epoch
    monkeypatch.setattr(epochs, "known", lambda: before)

    assert epochs.agree(now=NOON).epoch == Store.objects.get().epoch
    assert Store.objects.get().trouble == ""
