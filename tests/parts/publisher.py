"""Publishes as ConfHub's relay does, with another client: document, keys and pointer in one transaction."""

from collections.abc import Mapping
from typing import Any

from tests.parts.etcdctl import b64, call
from watchers import moments
from watchers.wire.canonical import Json, canonical, checksum
from watchers.wire.documents import Pointer, ReleaseDocument, plain_value
from watchers.wire.keyspace import Keyspace


class Publisher:
    """Releases of one service in one environment, numbered from 1."""

    def __init__(
        self, endpoint: str, prefix: str, service: str = "shop", environment: str = "dev"
    ) -> None:
        self.endpoint, self.service, self.environment = endpoint, service, environment
        self.keyspace = Keyspace(prefix)
        self.keys = self.keyspace.scope(service, environment)
        self.number = 0
        self._written: set[str] = set()

    def document(self, values: Mapping[str, Json], *, number: int) -> ReleaseDocument:
        entries: dict[str, dict[str, Any]] = {key: {"value": held} for key, held in values.items()}
        return ReleaseDocument(
            self.service, self.environment, number, checksum(entries), entries,
            author="ann", created_at=moments.stamp(), parent=number - 1 or None,
        )  # fmt: skip

    def publish(self, values: Mapping[str, Json], *, number: int | None = None) -> int:
        """Publish `values` as the next release, or as `number`; return the number."""
        self.number = number or self.number + 1
        document = self.document(values, number=self.number)
        puts: dict[str, bytes] = {
            self.keys.release(self.number): document.to_bytes(),
            **{self.keys.value(key): plain_value(held) for key, held in values.items()},
            self.keys.current: self.pointer(document),
        }
        gone = self._written - set(values)
        self._written = set(values)
        self.transact(puts, [self.keys.value(key) for key in gone])
        return self.number

    def pointer(self, document: ReleaseDocument) -> bytes:
        return Pointer(document.release, document.checksum, moments.stamp()).to_bytes()

    def admit(self, number: int, admitted: list[str] | str, *, baseline: int) -> None:
        """Begin a rollout of `number`, whose document stands already."""
        rollout = {
            "id": 1,
            "release": number,
            "baseline": baseline,
            "state": "running",
            "admitted": admitted,
        }
        self.transact({self.keys.rollout: canonical(rollout)})

    def epoch(self, word: str) -> None:
        self.transact({self.keyspace.epoch: word.encode()})

    def transact(self, puts: Mapping[str, bytes], deletes: list[str] | None = None) -> None:
        """All of it at one revision."""
        changes: list[dict[str, Any]] = [
            {"requestPut": {"key": b64(key), "value": b64(raw)}} for key, raw in puts.items()
        ]
        changes += [{"requestDeleteRange": {"key": b64(key)}} for key in deletes or ()]
        call(self.endpoint, "/v3/kv/txn", {"success": changes})
