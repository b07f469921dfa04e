"""What may come in: strict JSON of bounded size, and the texts and headers in it."""

import hashlib
import json
import re
from collections import Counter
from typing import Annotated, Any, ClassVar, NoReturn

from django.conf import settings
from django.http import HttpRequest
from ninja.parser import Parser
from pydantic import AfterValidator, BaseModel, ConfigDict

from confhub.core.errors import ConfHubError


class BadJson(ConfHubError):
    """The body is not JSON (RFC 8259), or JSON that two programs would read differently."""

    code: ClassVar[str] = "body.not_json"
    status: ClassVar[int] = 400


class BadHeader(ConfHubError):
    """A header of the request cannot be read."""

    code: ClassVar[str] = "header.bad"
    status: ClassVar[int] = 400


class PreconditionMissing(ConfHubError):
    """A change without If-Match would overwrite what its caller never saw (RFC 6585, section 3)."""

    code: ClassVar[str] = "if_match.missing"
    status: ClassVar[int] = 428


class Overtaken(ConfHubError):
    """The thing is another than `If-Match` names: somebody changed it meanwhile."""

    code: ClassVar[str] = "if_match.failed"
    status: ClassVar[int] = 412


class BadCursor(ConfHubError):
    """`after` is not a cursor of this list."""

    code: ClassVar[str] = "cursor.bad"
    status: ClassVar[int] = 422


MAX_TEXT_CHARS = 5000  # of a message or a description; the action that keeps it may allow fewer


class StrictJSON(Parser):
    """JSON as RFC 8259 has it: no NaN, no infinities, no key twice in one object.

    Python's own reader takes all three; the first two cannot be written again, and of a doubled
    key every program keeps another value.
    """

    def parse_body(self, request: HttpRequest) -> Any:
        """Raises BadJson, ValueError, RecursionError; ninja turns them into its own."""
        return json.loads(
            request.body,
            object_pairs_hook=_without_twins,
            parse_constant=_not_a_number,
            parse_float=_finite,
        )


class Body(BaseModel):
    """A body's root: fields have exactly their JSON type, and an unknown field is refused.

    Not ninja's Schema, which would look at every value twice and calls those that are callable.
    """

    model_config = ConfigDict(strict=True, extra="forbid")


def max_body_bytes() -> int:
    """What Django reads into memory of one request."""
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        twin = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise BadJson(f"The body has the key {twin[:140]!r} twice in one object. Write it once.")
    return held


def _not_a_number(word: str) -> NoReturn:
    raise BadJson(f"The body has {word}, which is not JSON. Write a number, a string or null.")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise BadJson(f"The number {digits[:40]} is too large to be kept. Write it as a string.")
    return number


def _kept_whole(text: str) -> str:
    if "\x00" in text:
        raise ValueError("It holds a NUL character (U+0000). Remove it.")
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"It has {len(text):,} characters; at most {MAX_TEXT_CHARS:,} are kept.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            "It holds half of a surrogate pair, which is no character. Remove it."
        ) from error
    return text


Text = Annotated[str, AfterValidator(_kept_whole)]  # what every database can keep


_TAG = re.compile(r'\s*(W/)?"([^"]*)"\s*(?:,|$)')


def seen_version(header: str | None, *, of: str) -> int | None:
    """The version that `If-Match` names; None for `*`, which matches whatever is there.

    Raises PreconditionMissing without the header, BadHeader for one that names no version. Bare
    digits pass for `"digits"`, because shells eat quotes.
    """
    if header is None:
        raise PreconditionMissing(
            f"Send If-Match with the ETag of {of} as you saw it, or '*' to change it however it "
            "is. GET answers the ETag."
        )
    if header.strip() == "*":
        return None
    tag = _TAG.fullmatch(header)
    digits = tag[2] if tag and not tag[1] else header.strip()
    if not re.fullmatch(r"[0-9]{1,9}", digits):
        raise BadHeader(
            f"If-Match: {header[:80]!r} names no version of {of}. Send one ETag as it was "
            'answered, for example "7".',
            fields={"If-Match": "Not an ETag of this draft."},
        )
    return int(digits)


def tag_of(shown: BaseModel) -> str:
    """An ETag of what is shown: the same content has the same one."""
    return hashlib.sha256(shown.model_dump_json().encode()).hexdigest()[:32]


def require_match(header: str | None, tag: str, *, of: str) -> None:
    """Return where `If-Match` names `tag`, or is not there. Raises Overtaken."""
    if header is None or header.strip() == "*":
        return
    # Strongly compared (RFC 9110 section 13.1.1): a weak tag matches nothing.
    if not any(found[2] == tag for found in _TAG.finditer(header) if not found[1]):
        raise Overtaken(
            f"{of} was changed after you looked, so nothing was saved. Read it again, and send "
            "If-Match with its new ETag.",
            fields={"If-Match": "Not its ETag any more."},
        )


def matches(header: str | None, tag: str) -> bool:
    """True when `If-None-Match` names `tag`; weakly compared, as RFC 9110 section 13.1.2 asks."""
    if not header:
        return False
    return header.strip() == "*" or any(found[2] == tag for found in _TAG.finditer(header))
