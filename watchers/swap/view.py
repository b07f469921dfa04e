"""Whether a workload sees the generation that was swapped in, asked through its own eyes."""

import errno
import hashlib
from collections.abc import Mapping

import structlog

from watchers.inside import Inside

log = structlog.get_logger("watchers.view")
ELSEWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EINVAL, errno.ENXIO}


class NotSeen(Exception):
    """The workload reads something else than what was written; the text says what, and the way out."""


def require_seen(inside: Inside, directory: str, files: Mapping[str, bytes]) -> None:
    """Compare each file below `directory`/current, as the workload reads it, with what was written.

    Where this agent may not look, nothing is known, which the log says. Raises NotSeen.
    """
    for name, content in files.items():
        path = f"{directory}/current/{name}"
        try:
            seen = inside.read(path, max_bytes=len(content) + 1)
        except OSError as error:
            if error.errno in ELSEWHERE:
                raise NotSeen(
                    f"{path} is not there for the workload: {_way_out(directory)}"
                ) from error
            if error.errno == errno.EFBIG:
                seen = b""  # larger than what was written, so another file
            else:
                log.warning("view.not_known", path=path, reason=error.strerror or str(error))
                return
        if seen != content:
            raise NotSeen(
                f"{path} is another file for the workload (SHA-256 {_digest(seen)}, written was "
                f"{_digest(content)}): {_way_out(directory)}"
            )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _way_out(directory: str) -> str:
    return (
        f"what is mounted at {directory} there is another volume or path than the one that was "
        "written, so nothing was told. Compare confhub.deliver with the container's mounts, and "
        "make the container anew if what it mounts was replaced since it began."
    )
