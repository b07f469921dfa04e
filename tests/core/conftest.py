"""What is collected here depends on the database of the run."""

import os

collect_ignore = (
    []
    if os.environ.get("DATABASE_URL", "").startswith("postgres")
    else ["test_listen_on_postgresql.py"]  # tests/system runs it on PostgreSQL
)
