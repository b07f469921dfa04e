"""How a running server was started: its arguments, and which of them name delivered files."""

import posixpath
from collections.abc import Collection, Sequence

from watchers.attempt import Attempt
from watchers.processes import Gone
from watchers.reload.base import NotTaken


def arguments(attempt: Attempt, programs: Collection[str]) -> tuple[str, ...]:
    """The argv, as it is now, of the first process that runs one of `programs`. Raises Gone.

    Not simply of the process that is watched: that may be an init, or a script that must not be run
    again to ask it something.
    """
    found = [one for one in attempt.inside.processes() if one.exe in programs]
    pids = {one.process.pid for one in found}
    for one in found:
        if one.parent not in pids:
            return one.argv
    raise Gone(f"{' or '.join(programs)} does not run")


def options(argv: Sequence[str], *names: str) -> list[str]:
    """The values of `--NAME=VALUE` and `--NAME VALUE`, in their order; "" for a name without one.

    >>> options(("prometheus", "--web.listen-address", ":9090", "--web.enable-lifecycle"),
    ...         "web.listen-address", "web.enable-lifecycle")
    [':9090', '']
    """
    found = []
    for at, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if not name.startswith("--") or name[2:] not in names:
            continue
        follows = argv[at + 1] if at + 1 < len(argv) else ""
        found.append(value if equals else "" if follows.startswith("-") else follows)
    return found


def delivered(attempt: Attempt, path: str) -> str:
    """Which of the delivered files `path` is, as the workload names it; "" for any other file.

    >>> one = Attempt(2, "/run/confhub", "gen-2", {"a.yml": b""}, {}, frozenset(), None, None)
    >>> delivered(one, "/run/confhub/a.yml"), delivered(one, "/run/confhub/current/a.yml")
    ('a.yml', 'a.yml')
    """
    folder, name = posixpath.split(posixpath.normpath(path))
    is_ours = folder in (attempt.directory, f"{attempt.directory}/current")
    return name if is_ours and name in attempt.files else ""


def staged(attempt: Attempt, path: str) -> str:
    """Where the new text of `path` stands before it is swapped in; `path` itself for other files."""
    name = delivered(attempt, path)
    return f"{attempt.staged}/{name}" if name else path


def must_see(attempt: Attempt, path: str) -> None:
    """Raises NotTaken unless the workload finds at `path` what was delivered; other files pass.

    A server that reads a stale mount takes the reload and answers that all is well.
    """
    name = delivered(attempt, path)
    if not name:
        return
    try:
        seen = attempt.inside.read(path)
    except OSError as error:
        raise NotTaken(
            f"The server cannot read {path} ({error.strerror or error}), so it was not told. Mount "
            f"the volume of confhub.deliver at {attempt.directory}."
        ) from error
    if seen != attempt.files[name]:
        raise NotTaken(
            f"The server sees another {path} than release {attempt.release} delivered, so it was "
            "not told. Mount the directory, not the single file."
        )
