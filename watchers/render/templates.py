"""Templates of the image, rendered in a process of their own that can do nothing but compute.

Whoever publishes chooses the values and whoever builds the image the template; neither shall be able
to run code in the agent, to read its files, or to keep it busy.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from watchers.render.errors import CannotRender
from watchers.wire.documents import ReleaseDocument, plain_value
from watchers.wire.names import env_name

WALL_S = 20.0  # a busy machine may let it wait; its own time is limited in sandbox.py
MAX_ERROR_CHARS = 1500
# By its file and not by its name: it needs no import path, and we need none of what it imports.
SANDBOX = Path(__file__).with_name("sandbox.py")


def render_all(
    document: ReleaseDocument,
    templates: Sequence[tuple[str, str]],
    read: Callable[[str], bytes] | None,
) -> dict[str, bytes]:
    """{name: bytes} of [(name, the template's path in the workload)]. Raises CannotRender."""
    job = {
        "templates": [[name, path, _source(path, read)] for name, path in templates],
        **_offered(document),
    }
    answer = _run(json.dumps(job).encode(), [name for name, _ in templates])
    head, _, body = answer.partition(b"\n")
    told: dict[str, Any] = json.loads(head)
    if "error" in told:
        raise CannotRender(str(told["error"])[:MAX_ERROR_CHARS])
    made, at = {}, 0
    for name, size in told["sizes"]:
        made[name], at = body[at : at + size], at + size
    return made


def _offered(document: ReleaseDocument) -> dict[str, Any]:
    """What a template finds: docs/container-side.md lists it."""
    values = dict(sorted(document.values.items()))
    return {
        "values": values,
        "env": {env_name(key): plain_value(value).decode() for key, value in values.items()},
        "release": document.release,
        "service": document.service,
        "environment": document.environment,
    }


def _source(path: str, read: Callable[[str], bytes] | None) -> str:
    if read is None:
        raise CannotRender(f"The template {path} cannot be read from here.")
    try:
        return read(path).decode()
    except OSError as error:
        # It may be there later: a stopped container's files are not always in reach.
        why = str(error.strerror or error).removeprefix(f"{path}: ").rstrip(".")
        raise CannotRender(
            f"The template {path} cannot be read in the workload: {why}.", passing=True
        ) from error
    except UnicodeDecodeError as error:
        raise CannotRender(f"The template {path} is not UTF-8: {error.reason}.") from error


def _run(job: bytes, names: Sequence[str]) -> bytes:
    """What the sandbox answers. Raises CannotRender when it was ended."""
    command = [sys.executable, "-I", str(SANDBOX)]
    try:
        # The values go through a pipe, because arguments and environments can be read by others.
        ended = subprocess.run(
            command, input=job, capture_output=True, env={}, cwd="/", timeout=WALL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRender(f"{_these(names)}: no end after {WALL_S:g} s.") from error
    except OSError as error:
        raise CannotRender(f"{_these(names)}: {error}.", passing=True) from error
    if ended.returncode == 0:
        return ended.stdout
    if ended.returncode < 0:
        raise CannotRender(
            f"{_these(names)} was ended, because it computed for too long. A template may loop over "
            "what a release holds, and little more."
        )
    raise CannotRender(f"{_these(names)}: {ended.stderr.decode(errors='replace')[-500:].strip()}")


def _these(names: Sequence[str]) -> str:
    return f"The template of {' or '.join(names)}"
