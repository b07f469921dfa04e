"""What `confhub.files` asks for: formats, entries that are whole files, templates of the image."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from watchers.render.errors import BadSpec
from watchers.wire.names import KEY

FORMATS = ("env", "json", "properties", "toml", "yaml")
FORMS = f"{', '.join(FORMATS)}, entry:NAME, or NAME=/path of a template in the image"
TAKEN = re.compile(r"current|release|config\.(env|json|yaml|toml|properties)|gen-.*")


@dataclass(frozen=True)
class Files:
    """What one instance wants written."""

    formats: tuple[str, ...] = ("env", "json")
    entries: tuple[str, ...] = ()  # entries whose value is the text of a file of that name
    templates: tuple[tuple[str, str], ...] = ()  # (file's name, the template's path in the image)


def parse_files(spec: str) -> Files:
    """`env,json,entry:nginx.conf,app.ini=/etc/app.ini.j2` as Files. Raises BadSpec."""
    words = list(dict.fromkeys(word.strip() for word in spec.split(",") if word.strip()))
    if not words:
        raise BadSpec(f"confhub.files={spec!r} names nothing: write {FORMS}.")
    entries = tuple(word[6:] for word in words if word.startswith("entry:"))
    templates = tuple(
        _template(word) for word in words if "=" in word and not word.startswith("entry:")
    )
    formats = tuple(word for word in words if "=" not in word and not word.startswith("entry:"))
    for word in formats:
        if word not in FORMATS:
            raise BadSpec(f"confhub.files names {word!r}, which is no format; write {FORMS}.")
    files = Files(formats, entries, templates)
    _check_names(files)
    return files


def _template(word: str) -> tuple[str, str]:
    name, _, path = (part.strip() for part in word.partition("="))
    parts = path.split("/")
    if parts[0] or len(parts) < 2 or {"", ".", ".."} & set(parts[1:]):
        raise BadSpec(
            f"confhub.files={word!r}: {path[:80]!r} is no absolute path in the image; write "
            "NAME=/path."
        )
    return name, path


def _check_names(files: Files) -> None:
    seen: set[str] = set()
    for word, name in _named(files):
        if not KEY.fullmatch(name):
            raise BadSpec(f"confhub.files names {word[:80]}, which cannot be the name of a file.")
        if TAKEN.fullmatch(name):
            raise BadSpec(
                f"confhub.files names {word}, but ConfHub uses that name in the directory itself."
            )
        if name in seen:
            raise BadSpec(f"confhub.files names {name} twice; one file has one source.")
        seen.add(name)


def _named(files: Files) -> Iterator[tuple[str, str]]:
    """(as the label has it, the file's name)"""
    for name in files.entries:
        yield f"entry:{name}", name
    for name, path in files.templates:
        yield f"{name}={path}", name
