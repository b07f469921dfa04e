"""YAML as JSON values, and nothing twice: no anchors, no tags, no key that stands there twice.

Plain words are read by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), as
drafts in YAML are: `yes`, `on`, 12:30 and 2026-11-24 are texts.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where the wheel has it
_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
MAX_DEPTH = 100
MAX_DIGITS = 4000  # Python reads no longer ones


class BadYaml(ValueError):
    """A sentence with the line."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(f"line {line}: {sentence}")


def documents(text: str) -> list[Any]:
    """Each document of the text; [] of an empty one. Raises BadYaml."""
    try:
        return list(_Reader(text).documents())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYaml(mark.line + 1 if mark else 1, f"{error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise BadYaml(1, "it holds a character that YAML does not have.") from error


class _Reader:
    def __init__(self, text: str) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))

    def documents(self) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                yield self._value(next(self.events), 0)

    def _value(self, event: Any, depth: int) -> Any:
        _refuse(event)
        if depth > MAX_DEPTH:
            raise BadYaml(_line(event), "it nests too deeply.")
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value) if event.style else _plain(str(event.value), _line(event))
        if isinstance(event, yaml.SequenceStartEvent):
            values = []
            while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
                values.append(self._value(inner, depth + 1))
            return values
        return self._mapping(depth)

    def _mapping(self, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(name := next(self.events), yaml.MappingEndEvent):
            _refuse(name)
            if not isinstance(name, yaml.ScalarEvent):
                raise BadYaml(_line(name), "a list or a mapping cannot be a key.")
            key = str(name.value)
            if not name.style and key in ("", "<<"):
                raise BadYaml(_line(name), "a key has no name; merge keys (<<) are not read.")
            if key in values:
                raise BadYaml(_line(name), f"{key[:140]} stands there twice.")
            values[key] = self._value(next(self.events), depth + 1)
        return values


def _refuse(event: Any) -> None:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise BadYaml(
            _line(event), "anchors (&) and aliases (*) are not read. Write the value out."
        )
    if event.tag is not None and event.tag != "!":
        raise BadYaml(_line(event), f"tags ({event.tag[:40]}) are not read. Leave it out.")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _plain(word: str, line: int) -> Any:
    """A word without quotes."""
    if word in _NULLS:
        return None
    if word in _BOOLS:
        return _BOOLS[word]
    if _NO_NUMBER.fullmatch(word):
        raise BadYaml(line, f"{word} is no number that JSON has. Put a text in quotes.")
    if not (_FLOAT.fullmatch(word) or _BASED.fullmatch(word)):
        return word
    if len(word) > MAX_DIGITS:
        raise BadYaml(line, "this number is too long. Put a text in quotes.")
    if _WHOLE.fullmatch(word):
        return int(word)
    if _BASED.fullmatch(word):
        return int(word, 0)
    if re.fullmatch(r"[-+]?0[0-9]+", word):
        raise BadYaml(line, f"{word[:40]} begins with 0, which readers take differently. Put it in quotes.")  # fmt: skip
    number = float(word)
    if number in (float("inf"), float("-inf")):
        raise BadYaml(line, f"{word[:40]} is too large a number.")
    return number
