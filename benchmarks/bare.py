"""The floor of an accepted publish: a bare ASGI answer, and the same rows committed by bare psycopg."""

from typing import Any

import psycopg

# What a publish writes, beside the release with its entries: scope, audit entry, publication, draft,
# one changed key of the draft, two events. One statement each, as rows that refer to each other need.
SMALL_ROWS = 7


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers 201, as little as an ASGI application can do."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


class BareRows:
    """One connection, one table, one transaction of as many rows as a publish writes."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(
            url.replace("postgres://", "postgresql://"), autocommit=True
        )
        self._connection.execute(
            "CREATE TABLE bench_rows (id bigserial PRIMARY KEY, kind text, body text, at timestamptz)"
        )

    def commit(self, body: str) -> None:
        with self._connection.transaction():
            self._insert("release", body)
            for number in range(SMALL_ROWS):
                self._insert(str(number), "a row without entries")

    def _insert(self, kind: str, body: str) -> None:
        self._connection.execute(
            "INSERT INTO bench_rows (kind, body, at) VALUES (%s, %s, now())", (kind, body)
        )

    def close(self) -> None:
        self._connection.close()
