"""The process in which templates are rendered: one job on stdin, one answer on stdout, nothing else.

Run by its file (`python -I …/sandbox.py`), so it imports nothing of ConfHub. Before it looks at a
template it gives up opening anything (files, sockets), writing files, memory beyond MEMORY_BYTES,
time beyond CPU_S, and where the kernel lets it, its user and its network.

Answers `{"sizes": [[name, bytes], …]}` and a line's end, then the bytes; or `{"error": sentence}`.
"""

import contextlib
import ctypes
import json
import re
import resource
import sys
from typing import Any

from jinja2 import (
    FunctionLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    Undefined,
)
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

CPU_S = 3
MEMORY_BYTES = 512 * 1024 * 1024  # of address space, the interpreter included
MAX_FILE_BYTES = 1024 * 1024
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # sched.h
OBJECT = re.compile(r"<[^<>\n]{1,200} at 0x[0-9a-f]+>")  # an address: another one each time


class TemplateFailed(Exception):
    """The sentence for whoever wrote the template."""


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    warm_up()
    confine()
    try:
        made = [
            (name, rendered(name, path, source, job)) for name, path, source in job["templates"]
        ]
        head: dict[str, Any] = {"sizes": [[name, len(content)] for name, content in made]}
    except TemplateFailed as error:
        head, made = {"error": str(error)}, []
    out = sys.stdout.buffer
    out.write(json.dumps(head).encode() + b"\n")
    for _, content in made:
        out.write(content)
    out.flush()


def warm_up() -> None:
    """Import what is only imported at its first use: no file can be opened afterwards."""
    for source in ("{% macro m() %}{{ 'ü' }}{% endmacro %}{{ m() }}", "{{ missing }}", "{% if %}"):
        with contextlib.suppress(TemplateError):
            environment().from_string(source).render()


def confine() -> None:
    """Give up what a template has no use for."""
    libc = ctypes.CDLL(None)
    libc.unshare(NEW_USER | NEW_NETWORK)  # not everywhere allowed; the limits below hold anyway
    for what, limit in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 3),  # those that are open: no file and no socket can be added
    ):
        resource.setrlimit(what, (limit, limit))


def rendered(name: str, path: str, source: str, job: dict[str, Any]) -> bytes:
    """The template's text. Raises TemplateFailed."""
    try:
        return _rendered(source, job)
    except TemplateFailed as error:
        raise TemplateFailed(f"{name} ({path}): {error}") from error
    except TemplateSyntaxError as error:
        raise TemplateFailed(f"{name} ({path}, line {error.lineno}): {error.message}") from error
    except TemplateNotFound as error:
        raise TemplateFailed(
            f"{_where(name, path, error)}: it includes {error.name}, but a template stands alone."
        ) from error
    except MemoryError as error:
        raise TemplateFailed(
            f"{name} ({path}): it needs more than {MEMORY_BYTES >> 20} MiB of memory."
        ) from error
    except SecurityError as error:
        raise TemplateFailed(f"{_where(name, path, error)}: not allowed: {error}") from error
    except RecursionError as error:
        raise TemplateFailed(
            f"{_where(name, path, error)}: it calls itself without end."
        ) from error
    except Exception as error:  # whatever a template's own expressions raise
        raise TemplateFailed(f"{_where(name, path, error)}: {error}") from error


def _rendered(source: str, job: dict[str, Any]) -> bytes:
    template = environment().from_string(source)
    parts, size = [], 0
    for part in template.generate(variables(job)):
        raw = part.encode()
        size += len(raw)
        if size > MAX_FILE_BYTES:
            raise TemplateFailed(f"it makes more than {MAX_FILE_BYTES >> 20} MiB.")
        parts.append(raw)
    made = b"".join(parts)
    if found := OBJECT.search(made.decode()):
        raise TemplateFailed(f"it prints {found[0]}, which is no value.")
    return made


def variables(job: dict[str, Any]) -> dict[str, Any]:
    """Each entry whose key is a name of Jinja's; `config` has all of them. Ours go first."""
    values: dict[str, Any] = job["values"]
    named = {key: value for key, value in values.items() if key.isidentifier()}
    ours = {name: job[name] for name in ("env", "release", "service", "environment")}
    return {**named, "config": values, **ours}


def environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        loader=FunctionLoader(lambda _: None),  # so that an include fails by its name
        finalize=printed,
        autoescape=False,  # configuration files, no HTML
        keep_trailing_newline=True,
    )
    made.filters |= {"tojson": as_json, "quote": quoted}
    # What gives another text each time.
    for table, name in ((made.filters, "random"), (made.globals, "lipsum")):
        del table[name]
    return made


def printed(value: Any) -> Any:
    """What `{{ value }}` prints: a text as it is, anything else as JSON, as in config.env."""
    if isinstance(value, str | Undefined):
        return value
    if value is None or isinstance(value, bool | int | float | list | tuple | dict):
        return as_json(value)
    raise TypeError(f"a {type(value).__name__} cannot be printed")


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON with sorted keys; without `indent` on one line and without blanks."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(
        value, sort_keys=True, indent=indent, separators=separators, ensure_ascii=False
    )


def quoted(value: Any) -> str:
    """One word for a POSIX shell."""
    return "'" + str(printed(value)).replace("'", "'\"'\"'") + "'"


def _where(name: str, path: str, error: BaseException) -> str:
    """`nginx.conf (/etc/nginx.conf.j2, line 3)`, by the template's own frames in the traceback."""
    line, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == "<template>":
            line = at.tb_lineno
        at = at.tb_next
    return f"{name} ({path}, line {line})" if line else f"{name} ({path})"


if __name__ == "__main__":
    main()
