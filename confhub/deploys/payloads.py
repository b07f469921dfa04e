"""What a sender's body says: bounded, strict JSON (RFC 8259). Pure.

Kept sealed beside its delivery, because a payload of one's own may hold a secret.
"""

import json
import re
from typing import Any, ClassVar, NoReturn

from confhub.core.errors import ConfHubError
from watchers.wire.canonical import Json, canonical

MAX_DEPTH = 64
KEPT_BYTES = 256 * 1024  # a larger one is carried out, and not kept for later
MASK = "•••"
_SECRET_NAME = re.compile(
    r"secret|passw|token|credential|api.?key|private.?key|authorization", re.IGNORECASE
)


class BadPayload(ConfHubError):
    """The body is no JSON object that could be kept."""

    code: ClassVar[str] = "deploy_hook.payload"
    status: ClassVar[int] = 400


def read(text: bytes) -> dict[str, Any]:
    """The object in `text`. Raises BadPayload."""
    try:
        found = json.loads(
            text, object_pairs_hook=_without_twins, parse_constant=_refuse, parse_float=_finite
        )
        check_depth(found)
        canonical(found)  # half of a surrogate pair has no UTF-8
    except RecursionError:
        raise BadPayload(_TOO_DEEP) from None
    except ValueError as error:
        raise BadPayload(f"The body is not JSON: {_printable(str(error))}.") from None
    if not isinstance(found, dict):
        raise BadPayload('The body is JSON, but no object. Send one, such as {"tag": "1.9"}.')
    return found


def check_depth(document: Json) -> None:
    """Raise BadPayload where it nests too deeply. Without recursion, because the document may."""
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise BadPayload(_TOO_DEEP)


def masked(document: Json) -> Json:
    """The same with MASK for whatever stands under a name that sounds like a secret's."""
    if isinstance(document, dict):
        return {
            name: MASK if _SECRET_NAME.search(name) and held else masked(held)
            for name, held in document.items()
        }
    return [masked(each) for each in document] if isinstance(document, list) else document


_TOO_DEEP = f"The body nests too deeply; {MAX_DEPTH} levels are read."


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise BadPayload("The body has one name twice in an object. Send each once.")
    return held


def _refuse(word: str) -> NoReturn:
    raise BadPayload(f"The body has {word}, which is not JSON.")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise BadPayload("The body has a number that is too large. Send it as a text.")
    return number


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def check(payload: dict[str, Any]) -> None:
    """The same for one that is read already. Raises BadPayload."""
    check_depth(payload)
    try:
        canonical(payload)
    except ValueError as error:
        raise BadPayload(f"The payload cannot be kept: {_printable(str(error))}.") from None
