"""JSON (RFC 8259) with the place of every member, so that one value can be replaced alone."""

import json
import re
from dataclasses import dataclass, field
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]  # untyped there
from typing import Any

from confhub.releases.texts.base import (
    MAX_NESTING,
    Bad,
    Edit,
    Item,
    edited,
    line_start,
    newline_of,
    number,
    same,
)
from watchers.render.formats import write_json
from watchers.wire.canonical import Json

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_WORD = re.compile(r"[A-Za-z_]+")
_CONSTANTS: dict[str, Json] = {"null": None, "true": True, "false": False}


@dataclass
class Node:
    """A value and where it stands; `members` of an object."""

    value: Json
    start: int
    end: int
    members: list["Member"] | None = None


@dataclass
class Member:
    key: str
    start: int
    node: Node


@dataclass
class _Reader:
    text: str
    depth: int = field(default=0)

    def skip(self, at: int) -> int:
        found = _BLANK.match(self.text, at)
        return found.end() if found else at

    def value(self, at: int) -> Node:
        match self.text[at : at + 1]:
            case "{":
                return self.nested(at, self.object)
            case "[":
                return self.nested(at, self.list)
            case '"':
                value, end = self.string(at)
                return Node(value, at, end)
            case "":
                raise Bad(at, "The text ends where a value belongs. Write one.")
        if found := _NUMBER.match(self.text, at):
            return Node(number(found[0], at, whole=not found[1]), at, found.end())
        found = _WORD.match(self.text, at)
        if found and found[0] in _CONSTANTS:
            return Node(_CONSTANTS[found[0]], at, found.end())
        raise Bad(at, f"{self.shown(at)} is no JSON value. Put a text in double quotes.")

    def nested(self, at: int, read: Any) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Bad(at, "Lists and objects nest too deeply here. Take some levels out.")
        node: Node = read(at)
        self.depth -= 1
        return node

    def string(self, at: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self.text, at + 1, True)
        except JSONDecodeError as error:
            raise Bad(min(error.pos, len(self.text)), f"{error.msg}. Mend the text.") from error
        return text, end

    def object(self, start: int) -> Node:
        members: list[Member] = []
        names: dict[str, Json] = {}
        at = self.skip(start + 1)
        if self.text[at : at + 1] == "}":
            return Node({}, start, at + 1, [])
        while True:
            if self.text[at : at + 1] != '"':
                raise Bad(at, f"A key in double quotes belongs here, not {self.shown(at)}.")
            key, end = self.string(at)
            if key in names:
                raise Bad(at, f"{key[:140]} stands here a second time. Remove one of the two.")
            colon = self.skip(end)
            if self.text[colon : colon + 1] != ":":
                raise Bad(colon, f"A ':' belongs after the key {key[:140]}. Write it.")
            node = self.value(self.skip(colon + 1))
            members.append(Member(key, at, node))
            names[key] = node.value
            at = self.skip(node.end)
            if self.text[at : at + 1] == "}":
                return Node(names, start, at + 1, members)
            at = self.after_comma(at, "}")

    def list(self, start: int) -> Node:
        values: list[Json] = []
        at = self.skip(start + 1)
        if self.text[at : at + 1] == "]":
            return Node(values, start, at + 1)
        while True:
            node = self.value(at)
            values.append(node.value)
            at = self.skip(node.end)
            if self.text[at : at + 1] == "]":
                return Node(values, start, at + 1)
            at = self.after_comma(at, "]")

    def after_comma(self, at: int, closing: str) -> int:
        if self.text[at : at + 1] != ",":
            raise Bad(at, f"A ',' or a '{closing}' belongs here, not {self.shown(at)}.")
        after = self.skip(at + 1)
        if self.text[after : after + 1] == closing:
            raise Bad(at, f"Nothing follows this ',' before '{closing}'. Remove it.")
        return after

    def shown(self, at: int) -> str:
        if at >= len(self.text):
            return "the end of the text"
        found = re.compile(r"[^\s,:{}\[\]]{1,40}").match(self.text, at)
        return f"`{found[0] if found else self.text[at]}`"


def parse(text: str) -> list[Item]:
    """The members of the one object that the text is. Raises Bad."""
    return [Item(each.key, each.start, each.node.value) for each in _root(text).members or ()]


def _root(text: str) -> Node:
    reader = _Reader(text)
    start = reader.skip(0)
    if start == len(text):
        raise Bad(start, "The text is empty. Write {} for no keys.")
    if text[start] != "{":
        raise Bad(start, 'An object belongs here: {"KEY": "value"}.')
    root = reader.value(start)
    rest = reader.skip(root.end)
    if rest < len(text):
        raise Bad(rest, f"The text goes on after its object with {reader.shown(rest)}. Remove it.")
    return root


def write(values: dict[str, Json]) -> str:
    """Keys sorted, indented by two."""
    return write_json(values).decode()


def splice(text: str, values: dict[str, Json]) -> str:
    """`text` with the members that differ replaced, removed and added."""
    root = _root(text)
    edits: list[Edit] = []
    _change(text, root, values, edits)
    return edited(text, edits)


def _change(text: str, node: Node, value: Json, edits: list[Edit]) -> None:
    if same(node.value, value):
        return
    kept = isinstance(value, dict) and any(each.key in value for each in node.members or ())
    if isinstance(value, dict) and kept:
        _change_members(text, node, value, edits)
    else:
        new = _written(text, node.start, value, several=_is_several(text, node))
        edits.append(Edit(node.start, node.end, new))


def _change_members(text: str, node: Node, value: dict[str, Json], edits: list[Edit]) -> None:
    members = node.members or []
    last = max(number for number, each in enumerate(members) if each.key in value)
    for at, member in enumerate(members):
        if member.key in value:
            _change(text, member.node, value[member.key], edits)
        elif at < last:
            edits.append(Edit(member.start, members[at + 1].start))
        else:
            edits.append(Edit(members[at - 1].node.end, member.node.end))
    there = {each.key for each in members}
    lead = text[node.start + 1 : members[0].start]
    lead = lead[lead.rfind("\n") :] if "\n" in lead else " "
    lead = lead.replace("\n", newline_of(text))
    several = "\n" in lead
    new = "".join(
        f",{lead}{json.dumps(key, ensure_ascii=False)}: "
        f"{_written(text, members[0].start, value[key], several=several)}"
        for key in sorted(value.keys() - there)
    )
    if new:
        end = members[last].node.end
        edits.append(Edit(end, end, new))


def _is_several(text: str, node: Node) -> bool:
    """Is the value written over several lines, or would it be if it were longer?"""
    is_nested = isinstance(node.value, dict | list) and node.value
    return "\n" in (text[node.start : node.end] if is_nested else text.strip())


def _written(text: str, near: int, value: Json, *, several: bool) -> str:
    """`value` for the line of `near`: over several lines where its neighbours are."""
    if not several or not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    margin = re.compile(r"[ \t]*").match(text, line_start(text, near))
    pad = margin[0] if margin else ""
    root = re.match(r"\s*\{[^\S\n]*\r?\n([ \t]+)", text)
    unit = root[1] if root else "  "
    lines = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=unit).split("\n")
    return f"{newline_of(text)}{pad}".join(lines)
