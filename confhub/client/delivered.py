"""A delivered directory as its reader sees it: one generation at a time, never two mixed.

DIR/current is a link to one generation, and is replaced by a rename. Opened once, it stays the same
directory whatever comes meanwhile, so everything is read below what was opened.
"""

import json
import os
import time
from pathlib import Path

from confhub.client.errors import NoConfiguration
from confhub.client.snapshot import Snapshot

TRIES = 5  # each time that two releases came while one was read
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Delivered:
    """Reads what an agent, `confhub run` or our own follower writes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def moment(self) -> str:
        """Which generation is shown, and since which swap; "" where none is.

        Another text after each swap, also after one that leads back to a generation seen before.
        """
        shown = swapped = ""
        for _ in range(TRIES):
            shown, swapped = self._link("current"), self._link(".swapped")
            if not shown or not swapped or swapped.endswith(f":{shown}"):
                break
            time.sleep(0.002)  # a swap is on its way: the one link is moved, the other one not yet
        else:
            swapped = ""
        return f"{shown} {swapped}" if shown else ""

    def read(self) -> Snapshot:
        """The release that is shown now. Raises NoConfiguration."""
        missing = ""
        for _ in range(TRIES):
            try:
                descriptor = os.open(self.directory / "current", _OPEN)
            except OSError as error:
                raise NoConfiguration(self._nothing(error)) from error
            try:
                return self._read_below(descriptor)
            except FileNotFoundError as error:
                missing = str(error.filename)
            finally:
                os.close(descriptor)
        raise NoConfiguration(
            f"{self.directory}/current holds no {missing}: have it delivered with confhub.files=json "
            "(or --files json)."
        )

    def _read_below(self, descriptor: int) -> Snapshot:
        """Raises FileNotFoundError also where the generation was removed in the meantime."""
        shown = Path(f"/proc/self/fd/{descriptor}").readlink().name
        try:
            release = int(_content(descriptor, "release"))
            values = dict(json.loads(_content(descriptor, "config.json")))
        except (ValueError, TypeError) as error:
            raise NoConfiguration(
                f"{self.directory}/current does not hold what ConfHub writes, so something else has "
                f"changed it: {type(error).__name__} in release or config.json. Remove {shown} there."
            ) from error
        return Snapshot(release, values, generation=shown.removesuffix(" (deleted)"))

    def _nothing(self, error: OSError) -> str:
        if isinstance(error, FileNotFoundError):
            return f"Nothing has been delivered to {self.directory} yet."
        return f"{self.directory}/current cannot be read: {error.strerror}."

    def _link(self, name: str) -> str:
        try:
            return str((self.directory / name).readlink())
        except OSError:
            return ""


def _content(below: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=below), "rb") as file:  # noqa: PTH123  # pathlib has no dir_fd
        return file.read()
