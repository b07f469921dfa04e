"""Generations of files in one directory, swapped by one rename; last-known-good is kept.

    DIR/gen-42/config.json …      whole before anything points at it, never changed afterwards
    DIR/current -> gen-42         its rename is the moment at which readers see the release
    DIR/config.json -> current/config.json
    DIR/.good -> gen-41           the newest generation that passed its soak
    DIR/.swapped -> BOOT:NS:GEN   when `current` was last moved, on the boot clock

Whoever opens `current` once and reads below that, reads one release. Everything goes through an open
directory and refuses symbolic links, so that no container can send a write somewhere else. The
directory may belong to a container, so what stands in it is checked, not believed.
"""

import contextlib
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import NamedTuple, Self

from watchers import moments
from watchers.swap import folders

GENERATION = re.compile(r"gen-\d{1,10}(\.\d{1,4})?")
SECRET_MODE = 0o500  # of a generation's directory
LOCK_S = 5.0  # another agent needs milliseconds; longer means that something holds it on purpose


class Owner(NamedTuple):
    """Who alone may read a generation that holds secrets."""

    uid: int
    gid: int

    @classmethod
    def ours(cls) -> Self:
        return cls(os.geteuid(), os.getegid())


class CannotWrite(Exception):
    """The directory could not be made to hold the release; the old one stands. The text says why."""


class Directory:
    """One delivered directory, held open and locked against other agents. Use it in a `with` block."""

    def __init__(self, descriptor: int, name: str, *, seen_from_inside: bool = False) -> None:
        """Takes over `descriptor`; `name` is for sentences only. Raises CannotWrite.

        `seen_from_inside`: it was opened through the workload's own root, at the path where the
        workload reads, so there is no doubt that both mean the same directory.
        """
        self._fd, self.name, self.seen_from_inside = descriptor, name, seen_from_inside
        try:
            self._lock()
        except BaseException:
            os.close(descriptor)
            raise

    def _lock(self) -> None:
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CannotWrite(
                        f"{self.name} has been locked by another process for {LOCK_S:g} s."
                    ) from None
                time.sleep(0.01)

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let others in for a while. What stands here may be another afterwards. Raises CannotWrite."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        try:
            yield
        finally:
            self._lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    def identity(self) -> tuple[int, int]:
        """(device, inode): the same for every path that leads here."""
        held = os.fstat(self._fd)
        return held.st_dev, held.st_ino

    def is_in_memory(self) -> bool:
        """True where no disk ever holds what is written here. Raises CannotWrite."""
        from watchers.swap.filesystems import is_in_memory  # only asked for secrets

        try:
            return is_in_memory(self._fd)
        except OSError as error:
            raise self._cannot(error) from error

    # ── what stands here ──────────────────────────────────────────────────────────────────────

    def owner(self) -> Owner | None:
        """Whose secrets the current generation holds; None where it holds none."""
        current = self.current()
        return self._owner(current) if current is not None else None

    def current(self) -> str | None:
        """The generation that readers see."""
        return self._generation_at("current")

    def good(self) -> str | None:
        """The generation that last passed its soak: what to start from when nothing newer is proven."""
        return self._generation_at(".good")

    def may_be_written(self) -> bool:
        """Whether this user may, as far as modes, capabilities and the mount say."""
        return os.access(f"/proc/self/fd/{self._fd}", os.W_OK | os.X_OK, effective_ids=True)

    def shows(self, generation: str) -> bool:
        """True when readers find `generation` under every name."""
        try:
            with self._opened(generation) as inside:
                names = folders.names(inside)
        except OSError:
            return False
        linked = all(self._link(name) == f"current/{name}" for name in names)
        return linked and self.current() == generation

    def swapped_at_ns(self, generation: str) -> int | None:
        """When `current` became `generation`, on this boot's clock; 0 = before this boot.

        None when it is not known, so that nobody may conclude anything from it.
        """
        boot, _, rest = (self._link(".swapped") or "").partition(":")
        when, _, which = rest.partition(":")
        if which != generation or self.current() != generation or not when.isdigit():
            return None
        return int(when) if boot == moments.boot_id() else 0

    def generations(self) -> set[str]:
        """All that are here, whether or not anything points at them."""
        try:
            return {name for name in folders.names(self._fd) if GENERATION.fullmatch(name)}
        except OSError:
            return set()

    def read(self, generation: str) -> dict[str, bytes] | None:
        """{name: content} of a generation, None when it is not there or not only plain files."""
        try:
            with self._opened(generation) as inside:
                return {name: folders.content(inside, name) for name in folders.names(inside)}
        except OSError:
            return None

    # ── making it otherwise ───────────────────────────────────────────────────────────────────

    def write(self, release: int, files: Mapping[str, bytes], *, owner: Owner | None = None) -> str:
        """Make a complete, durable generation that nothing points at yet; return its name.

        With `owner` it holds secrets: directory 0500, files 0400, for that user alone. One that
        already holds exactly these files is taken as it is. Raises CannotWrite.
        """
        for number in range(1000):
            name = f"gen-{release}.{number}" if number else f"gen-{release}"
            held = self.read(name)
            if held == files and self._owner(name) == owner:
                return name
            if held is None and not self._exists(name):
                break
        else:
            raise CannotWrite(f"{self.name} holds a thousand generations of release {release}.")
        try:
            self._make(name, files, owner)
        except OSError as error:
            raise self._cannot(error) from error
        return name

    def _make(self, name: str, files: Mapping[str, bytes], owner: Owner | None) -> None:
        new = f".new-{secrets.token_hex(6)}"
        os.mkdir(new, 0o755 if owner is None else 0o700, dir_fd=self._fd)
        try:
            with self._opened(new) as inside:
                if owner is None:
                    os.fchmod(inside, 0o755)  # whatever the umask: the container's user reads it
                folders.write_all(inside, files, owner=owner)
                if owner is not None:
                    folders.give(inside, owner)
                    os.fchmod(inside, SECRET_MODE)
                os.fsync(inside)
            os.rename(new, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError:
            self._remove(new)
            raise

    def swap(self, generation: str) -> None:
        """Point readers at `generation`.

        Not yet durable: call settle() once the process was told, because a machine that loses
        power here has also lost the process, and starts from a whole generation either way.
        Raises CannotWrite when a name is taken by something that ConfHub did not make.
        """
        try:
            with self._opened(generation) as inside:
                names = set(folders.names(inside))
            self._refuse_strangers(names)
            for name in names:
                if self._link(name) != f"current/{name}":
                    self._point(name, f"current/{name}")
            self._point("current", generation)
        except OSError as error:
            raise self._cannot(error) from error
        with contextlib.suppress(
            OSError
        ):  # without it nothing is concluded from process start times
            self._point(".swapped", f"{moments.boot_id()}:{moments.boot_ns()}:{generation}")

    def settle(self, *, good: str | None = None) -> None:
        """Make the last swap durable, and with `good` that this generation passed its soak."""
        try:
            if good is not None:
                self._point(".good", good)
            os.fsync(self._fd)
            self._tidy()
        except OSError as error:
            raise self._cannot(error) from error

    def discard(self, generation: str) -> None:
        """Remove one that was written and that nothing points at."""
        if generation not in (self.current(), self.good()):
            self._remove(generation)

    def _cannot(self, error: OSError) -> CannotWrite:
        return CannotWrite(f"{self.name}: {error.strerror}; the release before stays in place.")

    def _refuse_strangers(self, names: set[str]) -> None:
        for name in (*names, "current"):
            link = self._link(name) or ""
            ours = GENERATION.fullmatch(link) if name == "current" else link == f"current/{name}"
            if not ours and self._exists(name):
                raise CannotWrite(
                    f"{self.name}/{name} was not made by ConfHub, so it is not replaced. Move it away."
                )

    def _point(self, name: str, target: str) -> None:
        new = f".new-{secrets.token_hex(6)}"
        os.symlink(target, new, dir_fd=self._fd)
        try:
            os.rename(new, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError:
            os.unlink(new, dir_fd=self._fd)
            raise

    def _tidy(self) -> None:
        """Keep the current, the good and in any case two generations; remove what a crash left."""
        current, good = self.current(), self.good()
        found = [name for name in folders.names(self._fd) if GENERATION.fullmatch(name)]
        keep = {name for name in (current, good) if name is not None}
        for name in sorted(found, key=_order, reverse=True):
            if len(keep) < 2:
                keep.add(name)
        for name in folders.names(self._fd):
            stale = (name in found and name not in keep) or name.startswith(".new-")
            lost = (self._link(name) or "").startswith("current/") and not self._leads(name)
            if stale or lost:
                self._remove(name)

    def _remove(self, name: str) -> None:
        """Remove a link, or a directory of plain files. What cannot be removed stays and does no harm."""
        with contextlib.suppress(OSError):
            if self._link(name) is not None:
                os.unlink(name, dir_fd=self._fd)
                return
            with self._opened(name) as inside:
                with contextlib.suppress(PermissionError):
                    os.fchmod(inside, 0o700)  # one with secrets is closed even to its owner
                for inner in folders.names(inside):
                    os.unlink(inner, dir_fd=inside)
            os.rmdir(name, dir_fd=self._fd)

    def hide(self) -> None:
        """Take `current` away: for a first generation that must not stand. Raises CannotWrite."""
        try:
            os.unlink("current", dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._cannot(error) from error

    # ── small looks ───────────────────────────────────────────────────────────────────────────

    def _owner(self, generation: str) -> Owner | None:
        try:
            held = os.stat(generation, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return None
        is_secret = stat.S_IMODE(held.st_mode) == SECRET_MODE
        return Owner(held.st_uid, held.st_gid) if is_secret else None

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        descriptor = os.open(name, folders.DIRECTORY, dir_fd=self._fd)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(name, dir_fd=self._fd)
        except OSError:
            return None

    def _generation_at(self, name: str) -> str | None:
        target = self._link(name) or ""
        if not GENERATION.fullmatch(target):
            return None
        try:
            held = os.stat(target, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return None
        return target if stat.S_ISDIR(held.st_mode) else None

    def _exists(self, name: str) -> bool:
        try:
            os.lstat(name, dir_fd=self._fd)
        except FileNotFoundError:
            return False
        return True

    def _leads(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self._fd)
        except OSError:
            return False
        return True


def release_of(generation: str) -> int:
    """42 of `gen-42` and of `gen-42.1`."""
    return int(generation.removeprefix("gen-").partition(".")[0])


def _order(generation: str) -> tuple[int, int]:
    return release_of(generation), int(generation.partition(".")[2] or 0)
