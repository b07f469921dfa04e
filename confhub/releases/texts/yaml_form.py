"""YAML (https://yaml.org/spec/1.2.2/), plain words by the core schema: `yes`, `on`, 12:30 and
2026-11-24 are texts; `true`, `null`, 7 and 0.5 are what they are in JSON.

Read from the parser's events, so that an alias is refused where it stands and never expanded.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from confhub.releases.texts import json_form
from confhub.releases.texts.base import (
    MAX_NESTING,
    Bad,
    Edit,
    Item,
    appended,
    edited,
    line_end,
    line_start,
    newline_of,
    number,
    same,
)
from watchers.render.yaml_form import write_yaml
from watchers.wire.canonical import Json

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where the wheel has it
_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
_BOOLS = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}  # fmt: skip
_WHOLE = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SENTENCES = {
    "mapping values are not allowed": "A ': ' stands inside a text here. Put the text in quotes.",
    "cannot start any token": "This character cannot begin a value. Indent with blanks, not tabs, "
    "and put texts with special characters in quotes.",
    "could not find expected ':'": "This line, or the one before it, lacks its ':'. Write KEY: value.",
    "did not find expected key": "This line is not a KEY: value of the lines around it. Look at "
    "its indentation and its quotes.",
    "unexpected end of stream": "A quote or a bracket is never closed. Close it.",
}


@dataclass
class Node:
    """A value and where it stands; `members` of a mapping. `style` as PyYAML names it: |, ", …"""

    value: Any
    start: int
    end: int
    style: str = ""
    is_flow: bool = True  # on its line: a scalar, [] or {}
    members: list["Member"] = field(default_factory=list)


@dataclass
class Member:
    key: str
    at: int
    name_end: int
    node: Node


def parse(text: str) -> list[Item]:
    """The keys of the one mapping that the text is; none of a text without any. Raises Bad."""
    root = _root(text)
    return [Item(each.key, each.at, each.node.value) for each in (root.members if root else ())]


def write(values: Mapping[str, Json]) -> str:
    """Keys sorted, nested values indented by two."""
    return write_yaml(values).decode() if values else ""


def splice(text: str, values: Mapping[str, Json]) -> str:
    """`text` with the values that differ replaced, removed and added."""
    root = _root(text)
    if root is None:
        return edited(text, _new_lines(text, len(text), values, ""))
    if root.is_flow:
        return _spliced_flow(text, root, dict(values))
    edits: list[Edit] = []
    _change_members(text, root, values, edits)
    return edited(text, edits)


# ── what the text means, and where it stands ──────────────────────────────────────────────────────


def _root(text: str) -> Node | None:
    reader = _Reader(text)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        raise Bad(mark.index if mark else 0, _sentence(error)) from error
    except yaml.YAMLError as error:  # a character that YAML does not take
        at = int(getattr(error, "position", 0) or 0)
        raise Bad(
            min(at, len(text)), "YAML takes no control characters. Remove this one."
        ) from error


def _sentence(error: yaml.MarkedYAMLError) -> str:
    told = " ".join(filter(None, [error.context, error.problem]))
    if "expected ',' or" in told and error.context_mark is not None:
        opened = error.context_mark.line + 1
        return (
            f"The bracket that opens on line {opened} is not closed here. Write a ',' or close it."
        )
    for part, sentence in _SENTENCES.items():
        if part in told:
            return sentence
    return f"This cannot be read as YAML: {told}. Mend this line."


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.depth = 0

    def document(self) -> Node | None:
        root, count = None, 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > 1:
                    raise Bad(_at(event), "A second document begins here. Remove it.")
                root = self.value(next(self.events))
        if root is None or (root.value is None and root.start == root.end):
            return None
        if not isinstance(root.value, dict):
            raise Bad(root.start, "Keys belong on the top level. Write KEY: value lines.")
        return root

    def value(self, event: Any) -> Node:
        self.refuse(event)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Bad(_at(event), "Lists and mappings nest too deeply here. Take some levels out.")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        node = self.mapping(event) if is_mapping else self.sequence(event)
        self.depth -= 1
        return node

    def refuse(self, event: Any) -> None:
        at = _at(event)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise Bad(at, "Anchors (&) and aliases (*) are not read. Write the value out.")
        if event.tag is not None:
            raise Bad(at, f"Tags ({event.tag[:40]}) are not read. Leave it out.")

    def scalar(self, event: Any) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        if event.style in ("|", ">"):
            header = self.text[start : line_end(self.text, start)]
            if "+" not in header.partition("#")[0]:
                end = start + len(self.text[start:end].rstrip())
            return Node(event.value, start, end, event.style, is_flow=False)
        if event.style in ("'", '"'):
            return Node(event.value, start, end, event.style)
        return Node(_plain(event.value, start), start, end)

    def sequence(self, event: Any) -> Node:
        values, end = [], event.end_mark.index
        while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
            node = self.value(inner)
            values.append(node.value)
            end = max(node.end, inner.start_mark.index)
        start = _at(event)
        if event.flow_style:
            return Node(values, start, _end_of(inner))
        return Node(values, start, end, is_flow=False)

    def mapping(self, event: Any) -> Node:
        members: list[Member] = []
        values: dict[str, Any] = {}
        while not isinstance(name := next(self.events), yaml.MappingEndEvent):
            key = self.key(name, values)
            node = self.value(next(self.events))
            values[key] = node.value
            members.append(Member(key, name.start_mark.index, name.end_mark.index, node))
        start = _at(event)
        if event.flow_style:
            return Node(values, start, _end_of(name), members=members)
        end = max(members[-1].node.end, members[-1].name_end)
        return Node(values, start, end, is_flow=False, members=members)

    def key(self, event: Any, values: Mapping[str, Any]) -> str:
        at = _at(event)
        self.refuse(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise Bad(at, "A list or a mapping cannot be a key. Write a name.")
        key = str(event.value)
        if not event.style and key in ("", "<<"):
            raise Bad(at, "A key has no name here. Write one; merge keys (<<) are not read.")
        if key in values:
            raise Bad(at, f"{key[:140]} stands here a second time. Remove one of the two.")
        return key


def _at(event: Any) -> int:
    index: int = event.start_mark.index
    return index


def _end_of(event: Any) -> int:
    index: int = event.end_mark.index
    return index


def _plain(word: str, at: int) -> Json:
    """A word without quotes, by the core schema."""
    if word in _NULLS:
        return None
    if word in _BOOLS:
        return _BOOLS[word]
    if _WHOLE.fullmatch(word):
        if len(word.lstrip("+-")) > 1 and word.lstrip("+-").startswith("0"):
            raise Bad(at, f"{word[:40]} begins with 0, which readers take differently. Put it in quotes to keep it as text.")  # fmt: skip
        return number(word, at, whole=True)
    if _BASED.fullmatch(word):
        return int(word, 0) if len(word) < 1000 else number("9" * 5000, at, whole=True)
    if _NO_NUMBER.fullmatch(word):
        raise Bad(at, f"{word} is no number that JSON has. Put it in quotes to keep it as text.")
    return number(word, at, whole=False) if _FLOAT.fullmatch(word) else word


# ── edits ─────────────────────────────────────────────────────────────────────────────────────────


def _change_members(text: str, node: Node, values: Mapping[str, Any], edits: list[Edit]) -> None:
    for member in node.members:
        if member.key not in values:
            edits.append(Edit(line_start(text, member.at), _whole_end(text, member)))
        elif not same(member.node.value, values[member.key]):
            _change(text, member, values[member.key], edits)
    there = {member.key for member in node.members}
    new = {key: value for key, value in values.items() if key not in there}
    first, last = node.members[0], node.members[-1]
    pad = text[line_start(text, first.at) : first.at]
    edits += _new_lines(text, _whole_end(text, last), new, pad)


def _change(text: str, member: Member, value: Any, edits: list[Edit]) -> None:
    node = member.node
    is_block = isinstance(value, dict) and not node.is_flow and bool(node.members)
    if is_block and any(each.key in value for each in node.members):
        _change_members(text, node, value, edits)
        return
    fresh = _fragment(text, member, value)
    if node.is_flow and fresh.startswith(" ") and "\n" not in fresh:
        lead = " " if node.start == node.end else ""
        edits.append(Edit(node.start, node.end, lead + fresh[1:]))
        return
    colon = text.index(":", member.name_end)
    tail = newline_of(text) if node.end > colon and text[node.end - 1] == "\n" else ""
    edits.append(Edit(colon + 1, max(node.end, colon + 1), fresh + tail))


def _fragment(text: str, member: Member, value: Any) -> str:
    """What follows the colon: " text" on its line, or lines below it."""
    node = member.node
    has_more_on_line = bool(text[node.end : line_end(text, node.end)].strip()) and node.is_flow
    if isinstance(value, str) and node.style == '"':
        return f" {_flow(value)}"
    if isinstance(value, str) and node.style == "'" and value.isprintable():
        quoted = value.replace("'", "''")
        return f" '{quoted}'"
    nested = isinstance(value, dict | list) and bool(value)
    if (nested and node.is_flow and node.start < node.end) or has_more_on_line:
        is_scalar = not isinstance(value, dict | list | str) or "\n" not in str(value)
        return f" {_flow(value)}" if nested or not is_scalar else _written(value, "", "\n")
    pad = text[line_start(text, member.at) : member.at]
    return _written(value, pad, newline_of(text))


def _written(value: Any, pad: str, newline: str) -> str:
    """`value` as the writer has it, its further lines indented by `pad`."""
    lines = write_yaml({"k": value}).decode()[len("k:") :].rstrip("\n").split("\n")
    return newline.join([lines[0], *(f"{pad}{line}" if line else "" for line in lines[1:])])


def _flow(value: Any) -> str:
    """`value` on one line, as JSON."""
    found = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return _UNPRINTABLE.sub(lambda character: f"\\u{ord(character[0]):04x}", found)


def _new_lines(text: str, at: int, new: Mapping[str, Any], pad: str) -> list[Edit]:
    lines: list[str] = []
    for key in sorted(new):
        written = write_yaml({key: new[key]}).decode().rstrip("\n").split("\n")
        lines += [f"{pad}{line}" if line else "" for line in written]
    return appended(text, at, lines)


def _whole_end(text: str, member: Member) -> int:
    """Where the member's last line is over."""
    end = max(member.node.end, member.name_end)
    return end if text[end - 1] == "\n" else line_end(text, end)


def _spliced_flow(text: str, root: Node, values: dict[str, Any]) -> str:
    """A root in braces: JSON keeps its form, anything else is written on one line."""
    try:
        return json_form.splice(text, values)
    except Bad:
        return edited(text, [Edit(root.start, root.end, _flow(values))])
