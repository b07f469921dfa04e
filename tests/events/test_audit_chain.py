"""The audit: chained in the order of commits, refused to change, and every tampering is named."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from confhub.events import actions, chain
from confhub.events.models import AuditEntry
from tests.parts.factories import ANN, BEN, NOON, later

pytestmark = pytest.mark.django_db


@pytest.fixture
def five() -> list[AuditEntry]:
    """Five chained entries."""
    for number in range(5):
        who = ANN if number % 2 else BEN
        data = {"keys": ["Ü", "A"], "release": number}
        actions.audit("release.published", who=who, target=f"a@b r{number}", data=data, now=NOON)
    assert chain.chain_new_entries() == 5
    return list(AuditEntry.objects.order_by("position"))


@contextmanager
def a_tamperer() -> Iterator[Any]:
    """Somebody who owns the database and takes its triggers away for a while."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE events_auditentry DISABLE TRIGGER USER")
            yield cursor
            cursor.execute("ALTER TABLE events_auditentry ENABLE TRIGGER USER")
            return
        found = cursor.execute(
            "SELECT name, sql FROM sqlite_master WHERE type='trigger' AND tbl_name='events_auditentry'"
        ).fetchall()
        for name, _ in found:
            cursor.execute(f"DROP TRIGGER {name}")
        yield cursor
        for _, sql in found:
            cursor.execute(sql)


def test_an_entrys_digest_can_be_computed_by_anybody(five: list[AuditEntry]) -> None:
    before = "0" * 64
    for number, entry in enumerate(five, start=1):
        document = {
            "action": "release.published",
            "actor": entry.actor,
            "at": "2026-11-24T12:00:00.000000+00:00",
            "data": {"keys": ["Ü", "A"], "release": number - 1},
            "position": number,
            "request_id": entry.request_id,
            "target": f"a@b r{number - 1}",
        }
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        before = hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
        assert (entry.position, entry.digest) == (number, before)


def test_chaining_goes_on_where_it_ended_and_does_nothing_twice(five: list[AuditEntry]) -> None:
    assert chain.chain_new_entries() == 0
    actions.audit("service.made", who=ANN, target="a", now=later(1))

    assert chain.verify().waiting == 1
    assert actions.fan_out() == 0  # no page is told of it, but the sweep chains it

    found = chain.verify()
    assert (found.checked, found.waiting, found.problem) == (6, 0, "")
    assert found.head == chain.newest()


def test_a_large_backlog_is_chained_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "BATCH", 3)
    for _ in range(8):
        actions.audit("service.made", who=ANN, target="a", now=NOON)

    assert chain.chain_new_entries() == 8
    assert chain.verify().checked == 8


CHANGES = [
    ("actor", "UPDATE events_auditentry SET actor = 'eve' WHERE position = 3"),
    ("data", "UPDATE events_auditentry SET data = '{\"release\": 9}' WHERE position = 3"),
    ("digest", "UPDATE events_auditentry SET digest = 'abc' WHERE position = 3"),
    ("unchained", "UPDATE events_auditentry SET position = NULL WHERE position = 3"),
    ("moved", "UPDATE events_auditentry SET position = 33 WHERE position = 3"),
    ("removed", "DELETE FROM events_auditentry WHERE position = 3"),
]


@pytest.mark.parametrize("sql", [sql for _, sql in CHANGES], ids=[name for name, _ in CHANGES])
def test_the_database_refuses_every_change_of_a_chained_entry(
    five: list[AuditEntry], sql: str
) -> None:
    before = list(AuditEntry.objects.values())

    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)

    assert list(AuditEntry.objects.values()) == before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE events_auditentry SET actor = 'eve'",
        "UPDATE events_auditentry SET actor = 'eve', position = 1, digest = 'x'",
        "DELETE FROM events_auditentry",
    ],
)
def test_an_entry_that_waits_for_its_place_is_kept_as_well(sql: str) -> None:
    actions.audit("service.made", who=ANN, target="a", now=NOON)

    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)

    assert AuditEntry.objects.get().actor == "ann"


@pytest.mark.parametrize("sql", [sql for _, sql in CHANGES], ids=[name for name, _ in CHANGES])
def test_what_is_changed_past_the_triggers_is_named(five: list[AuditEntry], sql: str) -> None:
    with a_tamperer() as cursor:
        cursor.execute(sql)

    found = chain.verify()

    assert (found.checked, found.position in (3, 4)) == (2, True)
    assert found.problem.startswith(("Entry 3 ", "Entry 4 "))
    with pytest.raises(CommandError, match=r"Entry [34] .*2 entries before it fit") as refused:
        call_command("verify_audit")
    assert refused.value.returncode == 1


def test_a_chain_made_anew_or_cut_off_is_seen_by_who_noted_its_head(
    five: list[AuditEntry],
) -> None:
    noted, old = chain.newest(), chain.Head(4, five[3].digest)
    with a_tamperer() as cursor:
        cursor.execute("DELETE FROM events_auditentry WHERE position = 5")
    assert chain.verify().problem == ""
    assert "cut off" in chain.verify(noted).problem
    assert chain.verify(old).problem == ""

    actions.audit("release.published", who=ANN, target="a@b r9", now=NOON)
    with pytest.raises(CommandError, match="made anew"):
        call_command("verify_audit", noted=str(noted))


def test_verify_audit_prints_a_head_that_it_takes_again(five: list[AuditEntry]) -> None:
    told = io.StringIO()
    call_command("verify_audit", stdout=told)

    assert told.getvalue() == f"5 entries fit. Head: 5:{five[4].digest}\n"
    head = told.getvalue().split()[-1]
    call_command("verify_audit", noted=head, stdout=io.StringIO())
    for bad in ("", "5", "0:" + "a" * 64, "5:xyz"):
        with pytest.raises(CommandError, match="--noted"):
            call_command("verify_audit", noted=bad)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", ["first", "second"])
def test_a_transactional_test_begins_with_an_empty_audit_that_is_kept(time: str) -> None:
    assert not AuditEntry.objects.exists()
    actions.audit("service.made", who=ANN, target=time, now=NOON)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEntry.objects.all().delete()

    assert AuditEntry.objects.count() == 1


def test_a_page_checks_the_newest_entries_only(five: list[AuditEntry]) -> None:
    with a_tamperer() as cursor:
        cursor.execute("UPDATE events_auditentry SET actor = 'eve' WHERE position = 2")

    assert chain.verify(last=3).problem == ""
    assert chain.verify(last=3).checked == 3
    assert chain.verify(last=4).position == 2
    assert chain.verify(last=99).position == 2


def test_the_export_holds_everything_that_the_digests_are_over(
    five: list[AuditEntry], tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    call_command("export_audit", output=str(file))

    before = "0" * 64
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        digest = entry.pop("digest")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        before = hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
        assert digest == before
    assert before == five[4].digest
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_export_replaces_no_file(five: list[AuditEntry], tmp_path: Path) -> None:
    file = tmp_path / "audit.csv"
    file.write_text("mine")

    with pytest.raises(CommandError, match=r"audit\.csv: File exists"):
        call_command("export_audit", format="csv", output=str(file))

    assert file.read_text() == "mine"
    told = io.StringIO()
    call_command("export_audit", format="csv", stdout=told)
    rows = list(csv.DictReader(io.StringIO(told.getvalue())))
    assert [row["digest"] for row in rows] == [entry.digest for entry in five]
