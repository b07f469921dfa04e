"""One release on its way to one workload: what a check, a reload and a proof are told about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from watchers.inside import Inside
from watchers.processes import ProcessId
from watchers.wire.canonical import Json


@dataclass(frozen=True)
class Attempt:
    """One release, written and not yet proven."""

    release: int
    directory: str  # the delivered directory as the workload sees it: "/run/confhub"
    generation: str  # "gen-43", a directory in it; `current` is a link to one
    files: Mapping[str, bytes]  # {"nginx.conf": …}: what stands in the generation
    values: Mapping[str, Json]  # the release's entries
    changed: frozenset[str]  # entries that differ from the release before (for profiles and env)
    inside: Inside
    process: ProcessId | None  # the one that is told; None where nothing runs
    checksum: str = ""  # of the release, as its document says; "" where only its files are known
    told_at_ns: int = 0  # boot clock, right before the reload began; 0 = it was not told (yet)
    noted: Mapping[str, Json] = field(
        default_factory=dict
    )  # by Proof.note; empty for a fresh start

    @property
    def staged(self) -> str:
        """The generation's directory as the workload sees it: "/run/confhub/gen-43"."""
        return f"{self.directory}/{self.generation}"

    def words(self, text: str) -> str:
        """`text` with {dir} as the staged directory and {release} as its number."""
        return text.replace("{dir}", self.staged).replace("{release}", str(self.release))

    def but(self, **changes: Any) -> Self:
        return replace(self, **changes)
