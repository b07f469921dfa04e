"""What is collected here depends on the database of the run."""

import os
import threading
from collections.abc import Iterator

import pytest
from django.db import connection

from confhub.core.listen import DatabaseBell
from confhub.publishing.steps import EVENTS, OUTBOX

collect_ignore = (
    []
    if os.environ.get("DATABASE_URL", "").startswith("postgres")
    else ["test_listen_on_postgresql.py"]  # tests/system runs it on PostgreSQL
)


@pytest.fixture
def bell() -> Iterator[DatabaseBell]:
    with DatabaseBell(OUTBOX, EVENTS) as held:
        assert held.wait(threading.Event(), 0.6) == {OUTBOX, EVENTS}  # it listens from here on
        yield held
    connection.close()
