"""Directories and files by descriptor, through no symbolic link, so that no path can be bent on the way."""

import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import PurePosixPath

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# On the way down, searching is all that is needed: a parent may be closed to us for reading.
_ON_THE_WAY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_below(base: int, path: str, *, make: bool = False) -> int:
    """A descriptor of the directory `path` below the directory `base`, through no symbolic link.

    With `make`, missing directories are made, mode 0755. Raises OSError.
    """
    held = os.dup(base)
    try:
        for part in PurePosixPath(path.lstrip("/")).parts:
            if part == "..":
                raise OSError(errno.EINVAL, "a path may not lead upward", path)
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=held)
            deeper = os.open(part, _ON_THE_WAY, dir_fd=held)
            os.close(held)
            held = deeper
        # The same directory again, now to be listed, locked and synced.
        return os.open(".", DIRECTORY, dir_fd=held)
    finally:
        os.close(held)


def open_directory(path: str, *, make: bool = False) -> int:
    """A descriptor of the absolute `path`, through no symbolic link. Raises OSError."""
    root = os.open("/", DIRECTORY)
    try:
        return open_below(root, path, make=make)
    finally:
        os.close(root)


def names(descriptor: int) -> list[str]:
    """What stands in a directory."""
    with os.scandir(descriptor) as found:
        return [entry.name for entry in found]


def content(inside: int, name: str) -> bytes:
    """What a plain file holds. Raises OSError for anything else."""
    descriptor = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside
    )
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", name)
        return file.read()


def write_all(
    inside: int, files: Mapping[str, bytes], *, owner: tuple[int, int] | None = None
) -> None:
    """Write every file, then wait for all of them together: one wait instead of one for each.

    Mode 0644; with `owner`, 0400 and that user's and group's before there is anything in it.
    """
    with contextlib.ExitStack() as opened:
        descriptors = []
        for name, content in files.items():
            descriptor = os.open(name, _NEW, 0o644 if owner is None else 0o600, dir_fd=inside)
            file = opened.enter_context(os.fdopen(descriptor, "wb", buffering=0))
            if owner is not None:
                give(descriptor, owner)
            os.fchmod(descriptor, 0o644 if owner is None else 0o400)
            _write(file.fileno(), content)
            descriptors.append(descriptor)
        for descriptor in descriptors:
            # Linux begins to write out here and does not wait; dirty pages are kept.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor in descriptors:
            os.fsync(descriptor)


def give(descriptor: int, owner: tuple[int, int]) -> None:
    """Make `owner` (uid, gid) its owner, unless it is. Raises OSError saying what it takes."""
    held = os.fstat(descriptor)
    if (held.st_uid, held.st_gid) == owner:
        return
    try:
        os.fchown(descriptor, *owner)
    except PermissionError as error:
        raise PermissionError(
            error.errno, f"secrets cannot be given to user {owner[0]} without CAP_CHOWN"
        ) from error


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
