"""Documents of other tools: JSON, and YAML (https://yaml.org/spec/1.2.2/) with several documents,
anchors and merge keys, as Compose files and manifests have them.

Scalars of YAML stay the texts that they are: `1.50` as an environment variable is "1.50". Aliases
share what they name and are counted as if they were written out, so that a text of 400 bytes cannot
become a billion values. Tags are refused.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from confhub.releases.imports.base import Unfit
from confhub.releases.texts import json_form
from confhub.releases.texts.base import Bad, line_and_column
from watchers.wire.canonical import Json

MAX_VALUES = 200_000  # with every alias written out; 5,000 keys in several objects are fewer
MAX_NESTING = 65
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where the wheel has it
_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
_LEAD = '{"document":'


def json_of(text: str) -> Json:
    """The one JSON value that `text` is. Raises Unfit."""
    try:
        items = json_form.parse(f"{_LEAD}{text}}}")
    except Bad as error:
        line, _ = line_and_column(text, max(0, error.at - len(_LEAD)))
        raise Unfit(error.message, line=line) from error
    if len(items) != 1:
        raise Unfit("This is more than one JSON value. Leave one of them.", line=1)
    return items[0].value


def documents(text: str) -> list[Any]:
    """The documents of a YAML or JSON text, without empty ones; every scalar a text, or None.

    Raises Unfit.
    """
    if text.lstrip().startswith(("{", "[")):
        try:
            return [_as_texts(json_of(text))]
        except Unfit as error:  # YAML has braces as well, without JSON's quotes
            return _of_yaml(text, error)
    return _of_yaml(text)


def _of_yaml(text: str, otherwise: Unfit | None = None) -> list[Any]:
    """Raises Unfit: `otherwise` where it is given, as what the text seems to be."""
    try:
        return _read_yaml(text)
    except Unfit as error:
        raise otherwise or error from None


def _read_yaml(text: str) -> list[Any]:
    reader = _Reader(iter(yaml.parse(text, Loader=_LOADER)))
    try:
        return [each for each in reader.documents() if each is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unfit(
            f"This cannot be read as YAML: {error.problem or 'it is not whole'}. Mend this line.",
            line=mark.line + 1 if mark else None,
        ) from error
    except yaml.YAMLError as error:  # a character that YAML does not take
        at = int(getattr(error, "position", 0) or 0)
        line, _ = line_and_column(text, min(at, len(text)))
        raise Unfit("YAML takes no control characters. Remove this one.", line=line) from error


def _as_texts(value: Json) -> Any:
    match value:
        case dict():
            return {name: _as_texts(held) for name, held in value.items()}
        case list():
            return [_as_texts(held) for held in value]
        case str() | None:
            return value
    return json.dumps(value)


class _Reader:
    """Builds values from the parser's events. Each method answers (value, how many it holds)."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events = events
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0
        self.depth = 0

    def documents(self) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors = {}
                yield self.value(next(self.events))[0]

    def value(self, event: Any) -> tuple[Any, int]:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag is not None:
            raise _unfit(event, f"Tags ({event.tag[:40]}) are not read. Leave it out.")
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise _unfit(event, "Lists and mappings nest too deeply here. Take some levels out.")
        made = self.made(event)
        self.depth -= 1
        if event.anchor is not None:
            # Only now, so that nothing can hold itself.
            self.anchors[event.anchor] = made
        return made

    def made(self, event: Any) -> tuple[Any, int]:
        if isinstance(event, yaml.ScalarEvent):
            self.add(1, event)
            is_null = not event.style and event.value in _NULLS
            return (None if is_null else event.value), 1
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence()
        return self.mapping()

    def alias(self, event: Any) -> tuple[Any, int]:
        if event.anchor not in self.anchors:
            raise _unfit(event, f"There is no anchor &{event.anchor[:40]} before this alias.")
        held, size = self.anchors[event.anchor]
        self.add(size, event)
        return held, size

    def add(self, size: int, event: Any) -> None:
        self.count += size
        if self.count > MAX_VALUES:
            raise _unfit(
                event,
                f"The text holds more than {MAX_VALUES:,} values once its aliases are written out. "
                "Make it smaller.",
            )

    def sequence(self) -> tuple[list[Any], int]:
        values, total = [], 1
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            held, size = self.value(event)
            values.append(held)
            total += size
        return values, total

    def mapping(self) -> tuple[dict[str, Any], int]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        total = 1
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            name, is_merge = self.name(event)
            if name in values:
                raise _unfit(event, f"{name[:140]} stands here a second time. Remove one.")
            held, size = self.value(next(self.events))
            total += size
            if is_merge:
                _merge(merged, held, event)
            else:
                values[name] = held
        return {**merged, **values}, total

    def name(self, event: Any) -> tuple[str, bool]:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
            raise _unfit(event, "Only a name can be a key here. Write one.")
        if event.anchor is not None:
            self.anchors[event.anchor] = (event.value, 1)
        return event.value, event.value == "<<" and not event.style


def _merge(into: dict[str, Any], held: Any, event: Any) -> None:
    """YAML's merge key: mappings whose members count where nothing else names them."""
    for each in held if isinstance(held, list) else [held]:
        if not isinstance(each, dict):
            raise _unfit(event, "Only mappings can be merged with '<<'. Name an anchor of one.")
        for name, value in each.items():
            into.setdefault(name, value)


def _unfit(event: Any, message: str) -> Unfit:
    return Unfit(message, line=event.start_mark.line + 1)
