"""A release as the bytes of files: its formats, entries that are whole files, and templates."""

from collections.abc import Callable, Mapping

from watchers.render.errors import CannotRender
from watchers.render.files import Files
from watchers.render.formats import WRITERS
from watchers.wire.canonical import Json
from watchers.wire.documents import ReleaseDocument

Read = Callable[[str], bytes]  # a file of the workload by its path there; raises OSError


def render(
    document: ReleaseDocument, files: Files, *, read: Read | None = None
) -> dict[str, bytes]:
    """{"config.json": b"…", "release": b"42\\n", …}, the same bytes for the same release.

    `read` is needed where `files` names templates. Raises CannotRender when an entry is missing,
    has no form in a format that was asked for, or a template fails.
    """
    values = document.values
    made = {"release": f"{document.release}\n".encode()}
    for form in files.formats:
        try:
            made[f"config.{form}"] = WRITERS[form](values)
        except RecursionError as error:
            raise CannotRender(f"An entry nests too deep for config.{form}.") from error
    for name in files.entries:
        made[name] = _whole_file(document.release, name, values)
    if files.templates:
        # Here, because a release without templates shall not pay for their machinery.
        from watchers.render.templates import render_all

        made |= render_all(document, files.templates, read)
    return made


def _whole_file(release: int, name: str, values: Mapping[str, Json]) -> bytes:
    if name not in values:
        raise CannotRender(
            f"Release {release} has no entry {name}, which confhub.files asks for as a file."
        )
    value = values[name]
    if not isinstance(value, str):
        raise CannotRender(f"{name} is no text in release {release}, so it cannot be a file.")
    return value.encode()
