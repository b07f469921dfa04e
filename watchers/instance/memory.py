"""What the agent must still know of an instance after it was killed: one small file each.

Why it is written when it is, and what may happen twice: docs/decisions/0007-agent-journal.md.
"""

import json
import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from watchers.processes import ProcessId
from watchers.wire.canonical import Json

Stage = Literal["new", "pending", "soaking", "awaits_restart", "confirmed", "reverting", "failed"]


@dataclass(frozen=True)
class Memory:
    """How far the newest release got in one instance, and what to fall back on.

    pending: its generation is (about to be) swapped in, and the process was not told yet.
    soaking: the process runs it, since its reload or since its start; the proof is still open.
    awaits_restart: the process runs only a part of it; the rest is read when it begins anew.
    reverting: it failed; the last good generation is (about to be) swapped in and told.
    """

    stage: Stage = "new"
    release: int = 0
    checksum: str = ""
    generation: str = ""
    process: ProcessId | None = None  # that was told, or began with it
    running: int | None = None  # the release that `process` runs
    running_checksum: str | None = None
    rung: int = 0  # of the ladder, by which it was told last
    told_at_ns: int = 0  # boot clock, right before that; 0 = it began with the release
    noted: Mapping[str, Json] = field(default_factory=dict)  # what the proof compares with
    changed: tuple[str, ...] = ()  # entries that differ from the release before
    pending_restart: tuple[str, ...] = ()
    delivered_at: str | None = None
    applied_at: str | None = None
    confirmed_at: str | None = None
    failed_at: str | None = None
    fail_stage: str = ""
    reason: str = ""
    passing: bool = False  # the failure is this machine's (rights, disk), so it is tried again
    good_release: int | None = None  # the newest that passed its soak here
    good_checksum: str | None = None
    pointer_seen: int = (
        0  # the highest `current` seen in `epoch`: an older store is not followed down
    )
    epoch: str | None = None
    request_id: str = ""  # of the call that published `release`

    def but(self, **changes: Any) -> Self:
        return replace(self, **changes)

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Raises ValueError or TypeError for anything that this class did not write."""
        held = json.loads(raw)
        known = {each.name for each in fields(cls)}
        made: dict[str, Any] = {name: held[name] for name in held if name in known}
        if isinstance(made.get("process"), Mapping):
            made["process"] = ProcessId(**made["process"])
        for name in ("changed", "pending_restart"):
            made[name] = tuple(made.get(name, ()))
        return cls(**made)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode() + b"\n"


class Journal:
    """The files of all instances' memories, below one directory that only the agent writes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "instances"
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._directory.glob("*.new"):
            left.unlink(missing_ok=True)  # of an agent that was killed while it wrote

    def _path(self, instance_id: str) -> Path:
        return self._directory / f"{quote(instance_id, safe='')}.json"

    def load(self, instance_id: str) -> Memory:
        """What was kept, or a new memory where nothing was or it cannot be read."""
        try:
            return Memory.from_json(self._path(instance_id).read_bytes())
        except FileNotFoundError:
            return Memory()
        except (ValueError, TypeError):
            # Half a file cannot come from us, because a rename puts it there. Beginning anew costs
            # one reload more; refusing would stop the instance for ever.
            return Memory()

    def save(self, instance_id: str, memory: Memory, *, durable: bool) -> None:
        """Keep `memory`, whole or not at all. `durable` outlives a loss of power, and costs a flush.

        Raises OSError when the disk does not take it.
        """
        path = self._path(instance_id)
        new = path.with_suffix(f".{secrets.token_hex(4)}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, memory.to_json())
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(path)
        if durable:
            self._settle()

    def forget(self, instance_id: str) -> None:
        """For an instance that is gone for good."""
        self._path(instance_id).unlink(missing_ok=True)

    def keep_only(self, instance_ids: Collection[str]) -> None:
        """Forget those that went while no agent ran."""
        wanted = {self._path(instance_id) for instance_id in instance_ids}
        for path in self._directory.glob("*.json"):
            if path not in wanted:
                path.unlink(missing_ok=True)

    def _settle(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class ReadOnlyJournal(Journal):
    """Another agent's journal, for whoever only looks: nothing is made, kept or removed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "instances"

    def load(self, instance_id: str) -> Memory:
        try:
            return super().load(instance_id)
        except PermissionError:
            return Memory()

    def save(self, instance_id: str, memory: Memory, *, durable: bool) -> None:
        """What was only tried is not kept."""

    def forget(self, instance_id: str) -> None:
        """Nothing of another agent is removed."""

    def keep_only(self, instance_ids: Collection[str]) -> None:
        """Nothing of another agent is removed."""
