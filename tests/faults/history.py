"""An independent watcher: polls the pointer with another client and keeps all that it ever said."""

import json
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.parts import etcdctl

EVERY_S = 0.02


@dataclass
class History:
    """Every pointer seen, with whether its document was there and whole at that moment."""

    endpoint: str
    keys: Any
    seen: list[tuple[int, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __enter__(self) -> "History":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="history", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)

    def check(self, published: list[int]) -> None:
        """Numbers never fell, no number had two contents, nothing was half there, none unknown."""
        assert self.faults == []
        numbers = [number for number, _ in self.seen]
        assert numbers == sorted(numbers), "the pointer was moved back"
        contents: dict[int, set[str]] = {}
        for number, checksum in self.seen:
            contents.setdefault(number, set()).add(checksum)
        assert all(len(held) == 1 for held in contents.values()), "one number had two contents"
        assert set(numbers) <= set(published), "a pointer to what nobody published"

    def _poll(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self._look()
            except (OSError, ValueError, KeyError):
                continue  # etcd is away; that is what the test does to it

    def _look(self) -> None:
        raw = etcdctl.get(self.endpoint, self.keys.current)
        if raw is None:
            return  # wiped; everything is written again
        pointer = json.loads(raw)
        at = (pointer["release"], pointer["checksum"])
        if self.seen and self.seen[-1] == at:
            return
        document = etcdctl.get(self.endpoint, self.keys.release(pointer["release"]))
        if document is None or json.loads(document)["checksum"] != pointer["checksum"]:
            again = etcdctl.get(self.endpoint, self.keys.current)  # pruned or wiped in between?
            if again == raw:
                self.faults.append(f"r{pointer['release']} was pointed at before it was there")
        self.seen.append(at)
