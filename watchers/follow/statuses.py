"""Writes what instances say of themselves into etcd, under one lease, without anybody waiting for it."""

import random
import threading
import time

import structlog

from watchers.etcd import Etcd, EtcdError, LeaseGone, Op, Refused, delete, get, put
from watchers.health import Pulse
from watchers.wire.keyspace import Keyspace
from watchers.wire.status import Status

log = structlog.get_logger("watchers.statuses")
TTL_S = 15
REFRESH_S = 5.0
# A reload takes a few milliseconds; writing to etcd meanwhile would take them from it, and
# "delivered" and "applied" then also travel in one write.
GATHER_S = 0.005
CHECK_S = 30.0  # somebody may have deleted what we wrote; nothing tells us, so we look
BATCH = 60  # operations of one transaction; etcd takes 128, and a status may have 6 kB
ALIVE_S = 60.0


class Statuses:
    """What shall stand in etcd for this agent's instances, and the thread that makes it so."""

    def __init__(self, etcd: Etcd, keyspace: Keyspace, pulse: Pulse) -> None:
        self._etcd, self._keyspace, self._pulse = etcd, keyspace, pulse
        self._changed = threading.Condition()
        self._wanted: dict[str, bytes] = {}
        self._written: dict[str, bytes] = {}  # under the present lease
        self._lease: int | None = None
        self._renew_at = 0.0
        self._check_at = 0.0
        self._failures = 0

    def put(self, status: Status) -> None:
        """Have `status` written soon; a newer one of the same instance replaces it."""
        key = self._keyspace.scope(status.service, status.environment).instance(status.id)
        with self._changed:
            self._wanted[key] = status.to_bytes()
            self._changed.notify()

    def drop(self, service: str, environment: str, instance_id: str) -> None:
        """Have the instance's key removed soon: it is gone, not silent."""
        key = self._keyspace.scope(service, environment).instance(instance_id)
        with self._changed:
            self._wanted.pop(key, None)
            self._changed.notify()

    def doubt(self) -> None:
        """Look soon whether what was written still stands: the store seems to have been emptied."""
        with self._changed:
            self._check_at = self._renew_at = 0.0
            self._changed.notify()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def run(self, stop: threading.Event) -> None:
        """Write until `stop` is set, and then once more what is still waiting."""
        while not stop.is_set():
            self._pulse.beat("status", within_s=ALIVE_S)
            self._wait(stop)
            if not stop.is_set():
                stop.wait(GATHER_S)
            self._try(stop)
        self._pulse.end("status")

    def _wait(self, stop: threading.Event) -> None:
        with self._changed:
            if not stop.is_set() and self._wanted == self._written and self._renew_at:
                rest_s = self._renew_at - time.monotonic() if self._lease else REFRESH_S
                self._changed.wait(max(0.0, rest_s))

    def _try(self, stop: threading.Event) -> None:
        try:
            self._hold_lease()
            self._check()
            self._write()
            if self._failures:
                log.info("status.written_again", instances=len(self._written))
            self._failures = 0
        except (LeaseGone, Refused) as error:
            # A refused write is usually one under a lease that has just expired.
            self._forget_lease()
            self._back_off(error, stop)
        except EtcdError as error:
            self._back_off(error, stop)
        except Exception as error:
            log.exception("status.stumbled")  # and go on: without this thread nobody hears of us
            self._back_off(error, stop)

    def _back_off(self, error: Exception, stop: threading.Event) -> None:
        if not self._failures:
            log.warning("status.waits", reason=str(error))
        self._failures += 1
        longest_s = min(5.0, 0.2 * 2 ** min(self._failures, 6))
        stop.wait(random.uniform(0.1, longest_s))  # noqa: S311  # jitter, no secret

    def _hold_lease(self) -> None:
        if self._lease is not None and time.monotonic() < self._renew_at:
            return
        if self._lease is not None and self._etcd.keep_alive(self._lease) <= 0:
            log.warning("status.lease_expired")
            self._forget_lease()
        if self._lease is None and self._wanted:
            self._lease = self._etcd.grant(TTL_S)
        self._renew_at = time.monotonic() + REFRESH_S

    def _check(self) -> None:
        """Forget having written what is not there (any more)."""
        if time.monotonic() < self._check_at:
            return
        keys = sorted(self._written)
        for at in range(0, len(keys), BATCH):
            batch = keys[at : at + BATCH]
            held = self._etcd.transact(success=[get(key) for key in batch]).read
            for key in batch:
                if key not in held or held[key].value != self._written[key]:
                    del self._written[key]
        self._check_at = time.monotonic() + CHECK_S

    def _forget_lease(self) -> None:
        """Its keys went with it, so all of them are written anew."""
        self._lease = None
        self._written = {}

    def _write(self) -> None:
        with self._changed:
            wanted = dict(self._wanted)
        work: list[tuple[str, bytes | None]] = [
            (key, raw) for key, raw in wanted.items() if self._written.get(key) != raw
        ]
        work += [(key, None) for key in self._written if key not in wanted]
        for at in range(0, len(work), BATCH):
            batch = work[at : at + BATCH]
            self._etcd.transact(success=[self._op(key, raw) for key, raw in batch])
            for key, raw in batch:
                if raw is None:
                    self._written.pop(key, None)
                else:
                    self._written[key] = raw

    def _op(self, key: str, raw: bytes | None) -> Op:
        return delete(key) if raw is None else put(key, raw, self._lease)

    def farewell(self) -> None:
        """Take the keys away at once, because the instances end with this process."""
        if self._lease is None:
            return
        try:
            self._etcd.revoke(self._lease)
        except EtcdError as error:
            log.info("status.expires", within_s=TTL_S, reason=str(error))
