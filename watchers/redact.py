"""Secret values are taken out of every sentence before it leaves this process: receipts and logs.

A program may print what it was given. One redactor serves the whole process, because its log is one.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "•••"
MIN_CHARS = 4  # shorter ones would take half of every sentence with them
KEPT = 2  # releases of an instance: the one on its way, and the one that runs


class Redactor:
    """Knows the secret values of each instance's newest releases, in memory alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, list[frozenset[str]]] = {}
        self._found: re.Pattern[str] | None = None

    def learn(self, instance_id: str, values: Mapping[str, Any]) -> None:
        """`values`: {key: value} of the secret entries of a release that was opened."""
        forms = frozenset(form for value in values.values() for form in _forms(value))
        with self._lock:
            held = self._known.setdefault(instance_id, [])
            if forms not in held:
                self._known[instance_id] = [*held, forms][-KEPT:]
                self._compile()

    def forget(self, instance_id: str) -> None:
        with self._lock:
            if self._known.pop(instance_id, None):
                self._compile()

    def text(self, text: str) -> str:
        """`text` with MASK for each secret value, and for its base64 and URL forms."""
        found = self._found
        return found.sub(MASK, text) if found is not None else text

    def anything(self, value: Any) -> Any:
        """The same for what a log line may hold: texts, and lists and mappings of them."""
        if self._found is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.anything(one) for one in value]
        if isinstance(value, Mapping):
            return {self.anything(key): self.anything(one) for key, one in value.items()}
        return value if isinstance(value, int | float | None) else self.text(str(value))

    def _compile(self) -> None:
        # The longest first, so that nothing is left of one that holds another.
        forms = sorted(
            {form for kept in self._known.values() for forms in kept for form in forms},
            key=lambda form: (-len(form), form),
        )
        self._found = re.compile("|".join(map(re.escape, forms))) if forms else None


REDACTOR = Redactor()


def in_log_line(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor; the last before the one that draws the line."""
    return {
        # What begins with "_" is structlog's own and is not drawn.
        name: value if name.startswith("_") else REDACTOR.anything(value)
        for name, value in line.items()
    }


def _forms(value: Any) -> Iterator[str]:
    """What a program may make of `value` when it prints it."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _forms(inner)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value)
        if value is None or isinstance(value, bool):
            return  # "true" is no secret, whatever it is the value of
    # A program that complains of one line prints that line: of a key in PEM, say.
    for part in {text, text.strip(), *(line.strip() for line in text.splitlines())}:
        if len(part) >= MIN_CHARS:
            yield from _written(part)


def _written(text: str) -> Iterator[str]:
    yield text
    raw = text.encode()
    for turned in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        yield turned.decode().rstrip("=")
    for encoded in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    for escaped in (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text)):
        yield escaped[1:-1]
