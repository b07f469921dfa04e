"""redis.conf as Redis reads it: its directives, what they come to, and which of it is secret.

https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

SECRET = ("requirepass", "masterauth", "tls-key-file-pass", "tls-client-key-file-pass")
MAX_INCLUDES = 16
UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}  # fmt: skip
WORD = re.compile(
    r"""\s*(?:"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\'|[^'])*)'|(?P<bare>[^\s"']\S*))(?=\s|$)""",
    re.DOTALL,
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


class BadFile(ValueError):
    """A line that cannot be followed; the text names it, without what it says."""


@dataclass
class File:
    """What a redis.conf and its includes come to."""

    settings: dict[str, str] = field(default_factory=dict)  # {"maxmemory": "100mb"}, as CONFIG SET
    users: dict[str, tuple[str, ...]] = field(default_factory=dict)  # {"bob": ("on", ">…", "~*")}
    modules: list[str] = field(default_factory=list)  # paths
    renames: dict[str, str] = field(default_factory=dict)  # {"flushall": ""}

    def secrets(self) -> set[str]:
        """Texts that may stand in no log, receipt or state."""
        held = {self.settings.get(name, "") for name in SECRET}
        held |= {rule[1:] for rules in self.users.values() for rule in rules if rule[:1] in "><#!"}
        return held - {""}

    def passwords(self) -> list[tuple[str, str]]:
        """(user, password) of everybody that the file lets in, the default user first."""
        found = [("default", self.settings.get("requirepass", ""))]
        found += [
            (name, rule[1:])
            for name, rules in self.users.items()
            for rule in rules
            if rule[:1] == ">"
        ]
        return [(name, password) for name, password in found if password]

    def hide(self, text: str) -> str:
        """`text` without the secrets of the file."""
        for secret in sorted(self.secrets(), key=len, reverse=True):
            text = text.replace(secret, "***")
        return hide_lines(text)


def hide_lines(text: str) -> str:
    """`text` without what follows the name of a secret setting or of a user in it."""
    named = "|".join((*SECRET, "user"))
    return re.sub(rf"(?im)^([>'\"\s]*)({named})\s.*$", r"\1\2 ***", text)


def read_file(text: str, include: Callable[[str], str]) -> File:
    """What `text` comes to; `include` gives the text at a path. Raises BadFile, and what that does."""
    file = File()
    buffers: dict[str, str] = {}
    for name, words in _directives(text, include, [0]):
        if name == "user" and words:
            file.users[words[0]] = tuple(words[1:])
        elif name == "loadmodule" and words:
            file.modules.append(words[0])
        elif name == "rename-command" and len(words) > 1:
            file.renames[words[0].lower()] = words[1].lower()
        elif name == "save":
            # Lines add up, and an empty one takes back those before it.
            before = file.settings.get("save", "")
            file.settings["save"] = f"{before} {' '.join(words)}".strip() if any(words) else ""
        elif name == "client-output-buffer-limit":
            for at in range(0, len(words), 4):  # four words a class: normal, replica, pubsub
                buffers[words[at].lower()] = " ".join(words[at : at + 4])
            file.settings[name] = " ".join(buffers.values())
        elif name in ("replicaof", "slaveof") and [word.lower() for word in words] == ["no", "one"]:
            file.settings[name] = ""
        else:
            file.settings[name] = " ".join(words)
    return file


def _directives(
    text: str, include: Callable[[str], str], depth: list[int]
) -> Iterator[tuple[str, list[str]]]:
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r\n")
        if not line or line.startswith("#"):
            continue
        name, *words = _words(line, number)
        if name.lower() != "include":
            yield name.lower(), words
            continue
        for path in words:
            depth[0] += 1
            if not path.startswith("/") or re.search(r"[*?[]", path) or depth[0] > MAX_INCLUDES:
                raise BadFile(
                    f"line {number}: include {path} cannot be followed: write the absolute path of "
                    f"one file, {MAX_INCLUDES} at most."
                )
            yield from _directives(include(path), include, depth)


def _words(line: str, number: int) -> list[str]:
    """Words as Redis splits them: double quotes with escapes, single quotes without."""
    words, at = [], 0
    while at < len(line):
        found = WORD.match(line, at)
        if found is None:
            raise BadFile(f"line {number}: unbalanced quotes.")
        if found["double"] is not None:
            words.append(re.sub(r"\\(x[0-9a-fA-F]{2}|.)", _unescape, found["double"]))
        elif found["single"] is not None:
            words.append(found["single"].replace("\\'", "'"))
        else:
            words.append(found["bare"])
        at = found.end()
    return words


def _unescape(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) > 1:
        return bytes([int(escape[1:], 16)]).decode(errors="surrogateescape")
    return ESCAPES.get(escape, escape)


def same(wanted: str, runs: str) -> bool:
    """True when Redis, told `wanted`, certainly answers with `runs`.

    >>> same("100mb", "104857600"), same("YES", "yes"), same("Exg", "gxE")
    (True, True, False)
    """
    if wanted == runs or (runs in ("yes", "no") and wanted.lower() == runs):
        return True
    amount = _amount(wanted)
    return amount is not None and amount == _amount(runs)


def _amount(text: str) -> int | None:
    found = re.fullmatch(r"(-?\d+)([kmg]?b?)", text.lower())
    return int(found[1]) * UNITS[found[2]] if found and found[2] in UNITS else None
