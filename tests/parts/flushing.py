"""Transactional tests empty every table afterwards, also one whose rows the database itself keeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db.backends.sqlite3.base import DatabaseWrapper

TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
KEPT = "events_auditentry"


@contextmanager
def flush_may_empty_the_audit() -> Iterator[None]:
    """On SQLite a flush is DELETE, which the audit's trigger refuses: it is taken away for as long.

    PostgreSQL truncates, which is no row's deletion.
    """
    operations = DatabaseWrapper.ops_class
    original = operations.sql_flush

    def sql_flush(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
        statements: list[str] = original(self, style, tables, **options)
        if KEPT not in tables:
            return statements
        with self.connection.cursor() as cursor:
            triggers = cursor.execute(TRIGGERS, [KEPT]).fetchall()
        without = [f"DROP TRIGGER {name}" for name, _ in triggers]
        return [*without, *statements, *(sql for _, sql in triggers)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", sql_flush)
        yield
