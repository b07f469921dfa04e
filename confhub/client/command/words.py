"""Texts for a terminal: nothing that somebody else wrote may move its cursor or colour it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

SECRET = "$secret"  # noqa: S105  # the member's name
_KEPT = 10_000  # characters of one cell


def printable(text: str) -> str:
    """`text` in one line, with what no terminal should see written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns as wide as they must be; "" where there are no rows."""
    cells = [[printable(str("" if cell is None else cell))[:_KEPT] for cell in row] for row in rows]
    if not cells:
        return ""
    widths = [max(len(line[at]) for line in [heads, *cells]) for at in range(len(heads))]
    lines = [[*heads], *cells]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def is_mask(value: Any) -> bool:
    """True for a secret as REST answers it."""
    return isinstance(value, dict) and value.get(SECRET) is True


def hidden(value: Any) -> Any:
    """`value` without a secret that is not sealed yet: {"$secret": "horse"} in a file."""
    is_new = isinstance(value, dict) and SECRET in value and value[SECRET] is not True
    return {SECRET: True, "new": True} if is_new else value


def shown(value: Any) -> str:
    """A value in one line: JSON, a secret as its fingerprint and version."""
    value = hidden(value)
    if is_mask(value) and value.get("new"):
        return "(secret, new)"
    if is_mask(value):
        return f"(secret {printable(str(value.get('fingerprint', '')))[:8]}, version {value.get('version', '?')})"
    return printable(json.dumps(value, ensure_ascii=False))


def assignment(key: str, value: Any) -> str:
    """As `confhub set` takes it: KEY=text, KEY:=JSON."""
    if is_mask(value):
        return f"{key}  {shown(value)}"
    if isinstance(value, str) and value.isprintable():
        return f"{key}={value}"
    return f"{key}:={shown(value)}"


def change_lines(changes: Iterable[dict[str, Any]]) -> list[str]:
    """Of a diff: `+ KEY  new`, `- KEY  old`, `~ KEY  old → new`, coloured at a terminal."""
    lines = []
    for each in changes:
        key = printable(str(each["key"]))
        if each["kind"] == "added":
            lines.append(click.style(f"+ {key}  {shown(each['new'])}", fg="green"))
        elif each["kind"] == "removed":
            lines.append(click.style(f"- {key}  {shown(each['old'])}", fg="red"))
        else:
            told = f"~ {key}  {shown(each['old'])} → {shown(each['new'])}"
            lines.append(click.style(told, fg="yellow"))
    return lines


def change_markdown(changes: Sequence[dict[str, Any]]) -> str:
    """A table for a pull request's comment."""
    if not changes:
        return "Nothing differs."
    rows = [
        f"| `{each['key']}` | {each['kind']} | {_cell(each, 'old')} | {_cell(each, 'new')} |"
        for each in changes
    ]
    return "\n".join(["| key | what | before | after |", "| --- | --- | --- | --- |", *rows])


def _cell(change: dict[str, Any], side: str) -> str:
    absent = "added" if side == "old" else "removed"
    if change["kind"] == absent:
        return ""
    text = shown(change[side]).replace("|", "\\|")
    ticks = "`" * (_longest_run(text) + 1)
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"


def _longest_run(text: str) -> int:
    longest = run = 0
    for char in text:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    return longest


def count(number: int, what: str) -> str:
    """ "1 key", "2 keys"."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
