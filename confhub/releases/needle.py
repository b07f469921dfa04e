"""What one looks for, and whether a text or an entry holds it.

Letters match in either case, of every alphabet, on every database. A database finds less: SQLite's
LIKE knows the case of ASCII letters only, and values stand in their column as JSON, with escapes. So
the database is asked for rows that may match, by the pieces of the text that both write alike, and
`held_by` decides.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Q

_ESCAPED = '"\\'  # and control characters: as JSON has them, a text's letters look otherwise
_NAME = re.compile(r"[A-Za-z0-9_.-]+")  # what a key's name is made of
LEAST_FINGERPRINT_CHARS = 6


@dataclass(frozen=True)
class Needle:
    """`text` is what somebody typed, without spaces around it."""

    text: str

    @cached_property
    def folded(self) -> str:
        return self.text.lower()

    @cached_property
    def pieces(self) -> list[str]:
        """The runs of characters that every database compares as we do, and JSON does not escape."""
        found, run = [], ""
        for char in self.text:
            if _is_plain(char):
                run += char
            elif run:
                found.append(run)
                run = ""
        return [*found, run] if run else found

    def may_be_in(self, *columns: str) -> Q:
        """Rows of which one of the columns may hold it; wildcards of LIKE are escaped by Django."""
        condition = Q(pk__in=[])
        for column in columns:
            every = Q()
            for piece in self.pieces:
                every &= Q(**{f"{column}__icontains": piece})
            condition |= every or Q(pk__isnull=False)
        return condition

    def may_be_a_key(self, text: str) -> bool:
        """Whether `text`, entries as JSON, may have it in a key's name."""
        return self._in_name is not None and self._in_name.search(text.lower()) is not None

    def may_be_a_value(self, text: str) -> bool:
        """Whether `text`, entries as JSON, may have it in a value: as JSON writes it within a text,
        or as it is across the signs of a list or an object."""
        lowered = text.lower()
        return self._escaped in lowered or self.folded in lowered

    @cached_property
    def _escaped(self) -> str:
        return json.dumps(self.text, ensure_ascii=False)[1:-1].lower()

    @cached_property
    def _in_name(self) -> re.Pattern[str] | None:
        if not _NAME.fullmatch(self.text):
            return None
        return re.compile(re.escape(self.folded) + r'[a-z0-9_.-]*":')

    def held_by(self, text: str) -> bool:
        return self.folded in text.lower()

    def held_by_entry(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry's value holds it; of a secret, whether its fingerprint begins so."""
        if entry.get("secret"):
            fingerprint = str(entry.get("fingerprint", ""))
            return len(self.text) >= LEAST_FINGERPRINT_CHARS and fingerprint.startswith(self.folded)
        return self.folded in readable(entry).lower()


def readable(entry: Mapping[str, Any]) -> str:
    """An entry as a text to look into: a text as it is, anything else as JSON, of a secret its
    fingerprint and never its ciphertext."""
    if entry.get("secret"):
        return str(entry.get("fingerprint", ""))
    value = entry.get("value")
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _is_plain(char: str) -> bool:
    if char in _ESCAPED or char < " ":
        return False
    return char.isascii() or char.lower() == char.upper()
