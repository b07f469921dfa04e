"""Configuration of other tools as keys and values. Pure: nothing is written, nothing is fetched.

    env, json, yaml, toml, properties    the formats of a draft
    compose       the environment of one service
    kubernetes    ConfigMaps and Secrets
    consul, etcd  an export of a key-value store
    chef          data bag items, environments, roles

How names become keys: `base.py`. Texts are read in a child process with limits.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, get_args

from confhub.core import limited
from confhub.core.errors import ConfHubError
from confhub.releases.imports.guessing import guess
from watchers.wire.canonical import Json

__all__ = ["MAX_BYTES", "SOURCES", "ImportUnreadable", "Imported", "Options", "Source", "guess", "read"]  # fmt: skip

Source = Literal["env", "json", "yaml", "toml", "properties", "compose", "kubernetes", "consul", "etcd", "chef"]  # fmt: skip
SOURCES: tuple[Source, ...] = get_args(Source)
MAX_BYTES = 1 << 20  # of one text
_LIMITS = limited.Limits(cpu_s=10.0)


class ImportUnreadable(ConfHubError):
    """The text is no document of its source. `line` counts from 1, where one is known."""

    code: ClassVar[str] = "import.unreadable"
    status: ClassVar[int] = 422

    def __init__(
        self, message: str, *, line: int | None = None, choices: Sequence[str] = ()
    ) -> None:
        """`choices`: what the text holds several of, one of which has to be named as `item`."""
        sentence = f"Line {line}: {message}" if line else message
        extra: dict[str, Any] = {"line": line} if line else {}
        if choices:
            extra["choices"] = list(choices)
        super().__init__(sentence, fields={"item" if choices else "text": sentence}, extra=extra)
        self.line, self.message, self.choices = line, message, list(choices)


@dataclass(frozen=True)
class Options:
    """How a text is to be read."""

    flatten: bool | None = None  # objects into keys with dots; None: as is usual for the source
    prefix: str = ""  # of names in a store; "" leaves out what all have in common, "/" nothing
    item: str = ""  # the service of a Compose file, the object of a manifest


@dataclass(frozen=True)
class Imported:
    """What a text holds. Nothing of it is lost silently: it is in `set` or in `skipped`."""

    source: Source
    set: dict[str, Json]
    secrets: frozenset[str] = frozenset()
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (name in the text, why)
    renamed: list[tuple[str, str]] = field(default_factory=list)  # (name in the text, key)
    notes: list[str] = field(default_factory=list)
    texts_only: bool = False  # the source knows no numbers: "20" may be one


def read(source: str, text: str, *, options: Options | None = None) -> Imported:
    """What `text` holds. `source` is one of SOURCES, or "" to guess. Raises ImportUnreadable."""
    kind: Any = source or guess(text)
    if kind not in SOURCES:
        raise ImportUnreadable(f"{kind[:40]!r} is no source: write one of {', '.join(SOURCES)}.")
    size_bytes = len(text.encode(errors="surrogatepass"))
    if size_bytes > MAX_BYTES:
        raise ImportUnreadable(
            f"The text has {size_bytes:,} bytes; at most {MAX_BYTES:,} are read. Divide it."
        )
    if not text.strip():
        raise ImportUnreadable("There is no text. Paste it, or choose a file.")
    name = "confhub.releases.imports.reading:read"
    try:
        answer = limited.call(name, kind, text, asdict(options or Options()), limits=_LIMITS)
    except limited.Limited as error:
        raise ImportUnreadable(f"The text was not read to its end. {error.detail}") from error
    if problem := answer.get("problem"):
        raise ImportUnreadable(problem["message"], line=problem["line"], choices=problem["choices"])
    return Imported(
        source=kind,
        set=answer["set"],
        secrets=frozenset(answer["secrets"]),
        skipped=[(name, why) for name, why in answer["skipped"]],
        renamed=[(name, key) for name, key in answer["renamed"]],
        notes=answer["notes"],
        texts_only=answer["texts_only"],
    )
