"""Where a process's configuration comes from: a directory that somebody fills, and who hears of it."""

import logging
import select
import time
from pathlib import Path
from typing import Protocol

from confhub.client.delivered import Delivered
from confhub.client.errors import NoConfiguration
from confhub.client.reports import Datagrams, Report

log = logging.getLogger("confhub.client")
# One readlink each time. Not inotify: it does not work on every file system a volume may be on, its
# descriptor would be shared with forked children, and a user has 128 instances for all programs.
POLL_S = 0.25
FIRST_S = 0.05  # as long as nothing is there


class Source(Protocol):
    """A delivered directory, and the way back to whoever delivers."""

    files: Delivered
    takes_back: bool  # a release that is refused is taken back, so waiting for that makes sense

    def open(self, wait_s: float) -> None:
        """Return once something can be read. Raises NoConfiguration after `wait_s`."""

    def wait(self, wake: int, timeout_s: float = POLL_S) -> None:
        """Return when it is time to look: `wake` is readable, we were told to, or the time is over."""

    def report(self, report: Report) -> None:
        """Say what was loaded, without waiting for anybody."""

    def close(self) -> None: ...

    def abandon(self) -> None:
        """In a forked child: let go of what the parent goes on using."""


class DirectorySource:
    """A directory that `confhub agent` or `confhub run` fills."""

    def __init__(self, directory: Path, report_to: str = "") -> None:
        self.files = Delivered(directory)
        self._datagrams = Datagrams(report_to) if report_to else None
        self.takes_back = bool(report_to)

    def open(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while not self.files.moment():
            if time.monotonic() > deadline:
                raise NoConfiguration(
                    f"Nothing has been delivered to {self.files.directory} within {wait_s:g} s. Publish "
                    "a release, and look whether `confhub agent` or `confhub run` serves it."
                )
            time.sleep(FIRST_S)

    def wait(self, wake: int, timeout_s: float = POLL_S) -> None:
        select.select([wake], [], [], timeout_s)
        if self._datagrams is not None:
            self._datagrams.look()

    def report(self, report: Report) -> None:
        if self._datagrams is not None:
            self._datagrams.send(report)

    def close(self) -> None: ...

    def abandon(self) -> None: ...
