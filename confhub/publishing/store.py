"""What a publication does in etcd: one fenced transaction where it fits, else parts first.

No database here. The keys are docs/protocols/etcd.md; the rules that a watcher builds on are
kept by the compares: the epoch is ours, and the pointer is the one we last saw.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings

from confhub.core import clock
from confhub.releases.diff import same
from confhub.releases.entries import as_document
from confhub.releases.models import Release
from watchers import etcd
from watchers.etcd import Etcd, Op, Stored
from watchers.wire.documents import BadDocument, Pointer, ReleaseDocument, plain_value
from watchers.wire.keyspace import Keyspace, ScopeKeys
from watchers.wire.status import Status

MAX_OPERATIONS = 120  # etcd's default is 128 a transaction
MAX_BYTES = 1_300_000  # etcd's default is 1.5 MiB a request, keys and framing included
PART_BYTES = 64  # of framing for each operation, generously
KEPT_DOCUMENTS = 10
PRUNE_EVERY = 5
TIMEOUT_S = 3.0


@cache
def connection() -> Etcd:
    """This process's connection for reads and writes; it is made anew after a fork by itself."""
    return Etcd(endpoints(), timeout_s=TIMEOUT_S, credentials=settings.ETCD_CREDENTIALS)


def endpoints() -> list[str]:
    return list(settings.ETCD_ENDPOINTS)


@cache
def keyspace() -> Keyspace:
    return Keyspace(settings.ETCD_PREFIX)


class _Part(NamedTuple):
    op: Op
    size_bytes: int


@dataclass(frozen=True)
class Standing:
    """What stands at a scope's pointer in etcd."""

    revision: int  # mod_revision of the pointer; 0 where there is none
    pointer: Pointer | None  # None where there is none, or it is not readable
    store_revision: int
    epoch: str | None
    is_half_written: bool = False  # a write that ended here had some of its parts stored already

    @classmethod
    def of(cls, held: Mapping[str, Stored], keys: ScopeKeys, revision: int) -> "Standing":
        at, epoch = held.get(keys.current), held.get(keyspace().epoch)
        pointer = None
        if at is not None:
            try:
                pointer = Pointer.from_bytes(at.value)
            except BadDocument:
                pointer = None  # somebody else wrote here; it is written over
        return cls(
            at.mod_revision if at is not None else 0,
            pointer,
            revision,
            epoch.value.decode(errors="replace") if epoch is not None else None,
        )


def keys_of(release: Release) -> ScopeKeys:
    return keyspace().scope(release.scope.service.slug, release.scope.environment.slug)


def document_of(release: Release) -> ReleaseDocument:
    """The release as containers read it."""
    return ReleaseDocument(
        service=release.scope.service.slug,
        environment=release.scope.environment.slug,
        release=release.number,
        checksum=release.checksum,
        entries=as_document(release.entries),
        message=release.message,
        author=release.author,
        created_at=clock.stamp(release.created_at),
        parent=release.parent,
        request_id=release.request_id or "",
    )


def pointer_to(release: Release) -> Pointer:
    return Pointer(release.number, release.checksum, clock.stamp(clock.now()))


def standing(keys: ScopeKeys) -> Standing:
    """Read the pointer and the epoch at one revision. Raises EtcdError."""
    result = connection().transact(success=[etcd.get(keys.current), etcd.get(keyspace().epoch)])
    return Standing.of(result.read, keys, result.revision)


def write(
    release: Release, *, older: Sequence[Release], before: Mapping[str, Any] | None,
    pointer_revision: int, epoch: str,
) -> tuple[bool, Standing]:  # fmt: skip
    """Make `release` the current one, if the pointer still stands at `pointer_revision`.

    `older` are releases whose documents etcd may lack; `before` holds the entries for which
    `keys/` was last written, None where that is not known. Returns (True, …) when the pointer was
    moved, else (False, what stands there). Raises EtcdError; after OutcomeUnknown read again.
    """
    keys = keys_of(release)
    fence = [
        etcd.mod_revision_is(keys.current, pointer_revision),
        etcd.value_is(keyspace().epoch, epoch.encode()),
    ]
    look = [etcd.get(keys.current), etcd.get(keyspace().epoch)]
    parts = [_document_part(each) for each in [*older, release]]
    parts += _value_parts(keys, release, before)
    point = etcd.put(keys.current, pointer_to(release).to_bytes())
    revision = 0
    for batch in _batches(parts, last=point):
        result = connection().transact(compare=fence, success=batch, failure=look)
        if not result.succeeded:
            here = Standing.of(result.read, keys, result.revision)
            return False, replace(here, is_half_written=revision > 0)
        revision = result.revision
    return True, Standing(revision, pointer_to(release), revision, epoch)


def holds(release: Release, here: Standing) -> bool:
    """True when pointer and document both say `release`, whole. Raises EtcdError."""
    at = here.pointer
    if at is None or (at.release, at.checksum) != (release.number, release.checksum):
        return False
    return _checksum_behind(keys_of(release), here) == release.checksum


def prune(release: Release) -> None:
    """Delete documents older than the newest ten that no instance runs. Raises EtcdError.

    Done at every fifth release only, because it reads the statuses of all the scope's instances;
    they are read from etcd, where they are first.
    """
    keys = keys_of(release)
    if release.number <= KEPT_DOCUMENTS or release.number % PRUNE_EVERY:
        return
    first_kept = release.number - KEPT_DOCUMENTS + 1
    kept = [number for number in sorted(_running(keys)) if number < first_kept]
    starts = [0, *(number + 1 for number in kept)]
    ends = [*kept, first_kept]
    ranges = [
        Op("delete", keys.release(start), end=keys.release(end).encode())
        for start, end in zip(starts, ends, strict=True)
        if start < end
    ]
    for at in range(0, len(ranges), MAX_OPERATIONS):
        connection().transact(success=ranges[at : at + MAX_OPERATIONS])


def _running(keys: ScopeKeys) -> set[int]:
    """The releases that some instance of the scope runs or was told to run."""
    held, _ = connection().read_prefix(keys.instances)
    numbers: set[int] = set()
    for stored in held.values():
        try:
            status = Status.from_bytes(stored.value)
        except (BadDocument, TypeError):  # an agent's own text
            continue
        numbers.update(each for each in (status.running, status.target) if each and each > 0)
    return numbers


def claim_epoch(epoch: str) -> str:
    """Write `epoch` where the store has none; return the one that stands there. Raises EtcdError."""
    key = keyspace().epoch
    result = connection().transact(
        compare=[etcd.mod_revision_is(key, 0)],
        success=[etcd.put(key, epoch.encode())],
        failure=[etcd.get(key)],
    )
    return epoch if result.succeeded else result.read[key].value.decode(errors="replace")


def replace_epoch(old: str, new: str) -> None:
    """Write `new` where `old` stands: the store was restored, or is taken over. Raises EtcdError."""
    key = keyspace().epoch
    connection().transact(
        compare=[etcd.value_is(key, old.encode())], success=[etcd.put(key, new.encode())]
    )


def standings(scopes: Sequence[ScopeKeys]) -> Iterator[tuple[ScopeKeys, Standing, str | None]]:
    """For each scope: what stands at its pointer, and the checksum of the document behind it.

    The checksum is None where the document is missing or does not hold what it says. Each batch of
    pointers is read at one revision. Raises EtcdError.
    """
    per_batch = MAX_OPERATIONS - 1
    for start in range(0, len(scopes), per_batch):
        batch = scopes[start : start + per_batch]
        reads = [etcd.get(keyspace().epoch), *(etcd.get(keys.current) for keys in batch)]
        result = connection().transact(success=reads)
        for keys in batch:
            standing = Standing.of(result.read, keys, result.revision)
            yield keys, standing, _checksum_behind(keys, standing)


def _checksum_behind(keys: ScopeKeys, standing: Standing) -> str | None:
    if standing.pointer is None:
        return None
    held, _ = connection().get(keys.release(standing.pointer.release))
    try:
        return ReleaseDocument.from_bytes(held.value).checksum if held is not None else None
    except BadDocument:
        return None


def _document_part(release: Release) -> _Part:
    key, value = keys_of(release).release(release.number), document_of(release).to_bytes()
    return _Part(etcd.put(key, value), len(key) + len(value))


def _value_parts(
    keys: ScopeKeys, release: Release, before: Mapping[str, Any] | None
) -> Iterator[_Part]:
    """What changes under `keys/`. Where the last content is not known, everything is written."""
    plain = {key for key, entry in release.entries.items() if "value" in entry}
    if before is None:
        held, _ = connection().read_prefix(keys.values)
        stale = {key.removeprefix(keys.values) for key in held} - plain
        old: Mapping[str, Any] = {}
    else:
        stale = {key for key, entry in before.items() if "value" in entry} - plain
        old = before
    for key in sorted(stale):
        yield _Part(etcd.delete(keys.value(key)), len(keys.value(key)))
    for key, entry in sorted(release.entries.items()):
        if "value" in entry and (key not in old or not same(old[key], entry)):
            value = plain_value(entry["value"])
            yield _Part(etcd.put(keys.value(key), value), len(keys.value(key)) + len(value))


def _batches(parts: Sequence[_Part], *, last: Op) -> Iterator[list[Op]]:
    """`parts` in transactions that etcd accepts, and `last` in the last of them."""
    batch: list[Op] = []
    size_bytes = 0
    for part in parts:
        full = len(batch) >= MAX_OPERATIONS - 1 or size_bytes + part.size_bytes > MAX_BYTES
        if batch and full:
            yield batch
            batch, size_bytes = [], 0
        batch.append(part.op)
        size_bytes += part.size_bytes + PART_BYTES
    yield [*batch, last]
