"""Lists in pages: `{"items": […], "next": cursor or null}`.

A cursor is opaque: callers hand back `next` as `?after=`. Inside it is the last item's own key, so
a list that grows or shrinks between two pages neither repeats nor skips what stayed.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from ninja import Query

from confhub.api.bodies import BadCursor

Row = TypeVar("Row")

MAX_LIMIT = 500
After = Annotated[str | None, Query(None, description="`next` of the page before.", max_length=400)]
Limit = Annotated[int, Query(100, description="How many at most.", ge=1, le=MAX_LIMIT)]


def cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of(after: str | None) -> str | None:
    """The last key of the page before. Raises BadCursor."""
    if after is None:
        return None
    try:
        padded = after.encode("ascii") + b"=" * (-len(after) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _not_ours(after) from error


def number_of(after: str | None) -> int | None:
    """The same where the key is a release's number. Raises BadCursor."""
    key = key_of(after)
    if key is None:
        return None
    if not (key.isascii() and key.isdigit() and len(key) <= 9):
        raise _not_ours(str(after))
    return int(key)


def page_after(
    rows: Sequence[Row], *, after: str | None, limit: int, key: Callable[[Row], str]
) -> tuple[list[Row], str | None]:
    """(the rows behind the cursor, the next cursor) of rows that stand in `key`'s order."""
    last = key_of(after)
    left = [row for row in rows if last is None or key(row) > last]
    return left[:limit], cursor(key(left[limit - 1])) if len(left) > limit else None


def _not_ours(after: str) -> BadCursor:
    sentence = "Send `next` of the page before, or leave it out for the first page."
    return BadCursor(f"{after[:80]!r} is not a cursor. {sentence}", fields={"after": sentence})
