"""KEY=VALUE and its like: what stands behind `set` and `--set`."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from confhub.client.command.words import SECRET, printable
from watchers.wire.names import BadName, check_key

FORMS = "KEY=TEXT, KEY:=JSON, KEY@FILE (a text) or KEY:=@FILE (JSON)"
_FORM = re.compile(r"([^=:@]*)(:=@|:=|=|@)(.*)", re.DOTALL)


def read(words: Iterable[str]) -> dict[str, Any]:
    """{KEY: value}. Raises click.UsageError naming the word, never quoting a value."""
    found: dict[str, Any] = {}
    for word in words:
        parts = _FORM.fullmatch(word)
        if parts is None:
            raise click.UsageError(f"{printable(word)[:140]!r} sets nothing. Write {FORMS}.")
        key, mark, text = parts.groups()
        _add(found, key, _value(key, mark, text))
    return found


def read_secrets(words: Sequence[str]) -> dict[str, Any]:
    """{KEY: {"$secret": text}} of `KEY` (asked for, or read from stdin) and KEY@FILE.

    Raises click.UsageError for a value in the command line.
    """
    found: dict[str, Any] = {}
    bare = [word for word in words if not _FORM.fullmatch(word)]
    if len(bare) > 1 and not sys.stdin.isatty():
        raise click.UsageError(
            "Only one secret can come from stdin. Write KEY@FILE for the others."
        )
    for word in words:
        parts = _FORM.fullmatch(word)
        if parts is None:
            _add(found, word, {SECRET: _asked(word)})
        elif parts[2] == "@":
            _add(found, parts[1], {SECRET: _file(parts[1], parts[3])})
        else:
            raise click.UsageError(
                f"{printable(parts[1])}: a secret in the command line is seen by everybody on this machine and "
                "stays in the shell's history. Write KEY to be asked (or pipe it in), or KEY@FILE."
            )
    return found


def keys(words: Iterable[str]) -> list[str]:
    """Raises click.UsageError for what is no key."""
    for word in words:
        _checked(word)
    return [*dict.fromkeys(words)]


def strict_json(text: str) -> Any:
    """What JSON text says. Raises ValueError for a key that stands twice, NaN, or a number too large."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held: dict[str, Any] = {}
        for name, value in pairs:
            if name in held:
                raise ValueError(f"{name[:140]!r} stands there twice")
            held[name] = value
        return held

    def finite(word: str) -> float:
        number = float(word)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"{word[:40]} is too large a number")
        return number

    def no_number(word: str) -> Any:
        raise ValueError(f"{word} is no number that JSON has")

    try:
        return json.loads(
            text, object_pairs_hook=once, parse_float=finite, parse_constant=no_number
        )
    except RecursionError as error:
        raise ValueError("it nests too deeply") from error


def _value(key: str, mark: str, text: str) -> Any:
    if mark == "=":
        return text
    if mark == "@":
        return _file(key, text)
    if mark == ":=@":
        text = _file(key, text)
    try:
        return strict_json(text)
    except ValueError as error:
        raise click.UsageError(f"{printable(key)[:140]}: this is no JSON ({_where(error)}). Write KEY=TEXT for a text.") from error  # fmt: skip


def _where(error: ValueError) -> str:
    """Without the text itself, which could be meant as a secret."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return printable(str(error))


def _file(key: str, name: str) -> str:
    """The text of a file as it is, with its last line's end."""
    _checked(key)
    try:
        return Path(name).read_bytes().decode()
    except OSError as error:
        raise click.UsageError(f"{key}@{name}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{key}@{name} is no UTF-8 text.") from error


def _asked(key: str) -> str:
    """Typed unseen, or all of stdin without its last line's end."""
    _checked(key)
    if sys.stdin.isatty():
        return str(click.prompt(key, hide_input=True, err=True))
    text = sys.stdin.buffer.read().decode("utf-8", "strict")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise click.UsageError(f"{key}: stdin is empty. Pipe the secret in, or write {key}@FILE.")
    return text


def _add(found: dict[str, Any], key: str, value: Any) -> None:
    _checked(key)
    if key in found:
        raise click.UsageError(f"{key} is set twice. Decide for one.")
    found[key] = value


def _checked(key: str) -> None:
    try:
        check_key(key)
    except BadName as error:
        raise click.UsageError(printable(str(error))) from error
