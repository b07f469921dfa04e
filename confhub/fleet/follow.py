"""Follow every instance's status in etcd and keep the rows right: one worker does, others stand by.

The election only spares work: two followers at once write the same rows.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from functools import cache

import structlog
from django.conf import settings
from django.db import close_old_connections

from confhub.core import clock
from confhub.events import actions as events
from confhub.fleet import actions, queries
from confhub.fleet.actions import Seen
from watchers import etcd
from watchers.etcd import Etcd, EtcdError, Snapshot
from watchers.wire.keyspace import Keyspace

log = structlog.get_logger("fleet")

LEASE_S = 10  # a follower that died is replaced after this
REFRESH_S = 3.0
STAND_BY_S = 1.0
POLL_S = 5.0  # the pages' "as of" is never older than this while all is well
EVERYTHING_S = 10.0  # all rows are held against etcd this often, whether or not anything was told
COME_BACK_S = 15.0  # an agent whose lease is lost with the store writes its status again within it


@cache
def keyspace() -> Keyspace:
    return Keyspace(settings.ETCD_PREFIX)


def follow_forever(stop: threading.Event) -> None:
    """Take part in the election and, when elected, follow, until `stop` is set."""
    me = f"{socket.gethostname()}-{os.getpid()}"
    connection = Etcd(settings.ETCD_ENDPOINTS, credentials=settings.ETCD_CREDENTIALS)
    try:
        while not stop.is_set():
            try:
                lease_id = _elected(connection, me)
            except EtcdError as error:
                log.info("follower.waits", error=str(error))
                lease_id = None
            if lease_id is None:
                stop.wait(STAND_BY_S)
                continue
            _serve(connection, lease_id, me, stop)
    finally:
        connection.close()


def _elected(connection: Etcd, me: str) -> int | None:
    """A lease with the follower's key under it, or None where another worker has it."""
    key = keyspace().follower
    if connection.get(key)[0] is not None:
        return None  # seen before a lease is made for nothing, each second in each worker
    lease_id = connection.grant(LEASE_S)
    result = connection.transact(
        compare=[etcd.mod_revision_is(key, 0)],
        success=[etcd.put(key, me.encode(), lease_id)],
    )
    if result.succeeded:
        return lease_id
    connection.revoke(lease_id)
    return None


def _serve(connection: Etcd, lease_id: int, me: str, stop: threading.Event) -> None:
    """Follow while the lease lives."""
    over = threading.Event()
    keeper = threading.Thread(
        target=_keep, args=(connection, lease_id, stop, over), name="follower-lease", daemon=True
    )
    keeper.start()
    log.info("follower.elected", follower=me)
    # Its own, because a watch's trouble must not end the lease.
    own = Etcd(settings.ETCD_ENDPOINTS, credentials=settings.ETCD_CREDENTIALS)
    rows = Rows(me)
    try:
        for snapshot in own.follow(
            keyspace().everything,
            stop=over,
            poll_s=POLL_S,
            wanted=lambda key: keyspace().instance_of(key) is not None,
            epoch_key=keyspace().epoch,
            on_trouble=lambda error: log.warning("follower.trouble", error=str(error)),
        ):
            rows.take(snapshot)
    finally:
        over.set()
        own.close()
        keeper.join()


class Rows:
    """Brings snapshots into rows, for one follower."""

    def __init__(self, me: str) -> None:
        self.whole_at = 0.0  # of the monotonic clock: when everything is taken next
        self._me = me
        self._epoch: str | None = None
        self._is_proven = False  # the rows are what etcd says, and nothing besides

    def take(self, snapshot: Snapshot) -> None:
        """Write what changed; now and then everything, which repairs what this follower cannot know:
        rows that a slower one wrote meanwhile, and scopes made after their first instance."""
        now = clock.now()
        close_old_connections()
        if snapshot.anew:
            self._begin(snapshot)
        whole = time.monotonic() >= self.whole_at
        names = snapshot.keys if whole or snapshot.anew else snapshot.changed
        if whole or names:
            moved = actions.take_statuses(list(_seen(snapshot, names)), whole=whole, now=now)
            if moved:
                events.fan_out()
        if whole:
            self.whole_at = time.monotonic() + EVERYTHING_S
            self._is_proven = True
        if self._is_proven:
            actions.mark_fresh(revision=snapshot.revision, follower=self._me, now=now)

    def _begin(self, snapshot: Snapshot) -> None:
        """Take everything at once; but where the store lost its content, wait until the agents have
        come back, because an instance whose status was lost with the store is not gone."""
        is_other = self._epoch is not None and snapshot.epoch != self._epoch
        self._epoch = snapshot.epoch
        is_waiting = not self._is_proven and self.whole_at > 0
        if is_other or queries.went_back(snapshot.revision):
            actions.forget_revisions()
            self._is_proven = False
            if not is_waiting:
                self.whole_at = time.monotonic() + COME_BACK_S
        elif not is_waiting:
            self.whole_at = 0.0


def _seen(snapshot: Snapshot, names: object) -> Iterator[Seen]:
    for key in list(names):  # type: ignore[call-overload]  # a mapping's keys or a set
        where = keyspace().instance_of(key)
        if where is None:
            continue
        held = snapshot.keys.get(key)
        if held is None:
            yield Seen(*where, value=None, revision=snapshot.revision)
        else:
            yield Seen(*where, value=held.value, revision=held.mod_revision)


def _keep(connection: Etcd, lease_id: int, stop: threading.Event, over: threading.Event) -> None:
    """Refresh the lease; set `over` when it is lost, or when the worker stops."""
    heard = time.monotonic()
    while not (stop.is_set() or over.is_set()):
        try:
            if connection.keep_alive(lease_id) <= 0:
                log.warning("follower.lease_lost")
                break
            heard = time.monotonic()
        except EtcdError as error:
            # The rows stay as they are; following goes on as long as nobody else can be elected.
            if time.monotonic() - heard > LEASE_S:
                log.warning("follower.lease_unsure", error=str(error))
                break
        if _wait(stop, over, REFRESH_S):
            break
    over.set()
    try:
        connection.revoke(lease_id)
    except EtcdError:
        return  # it runs out by itself


def _wait(stop: threading.Event, over: threading.Event, seconds: float) -> bool:
    """Wait, but no longer than until one of the two is set; say whether one is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if stop.wait(0.2) or over.is_set():
            return True
    return False
