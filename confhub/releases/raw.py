"""A draft as a text: the form's other side. One model, the draft's values, stands behind both.

A text that reads becomes changes of single keys; one that does not is kept with its problem, and
the draft's values stay. Form and text never lose each other's edits: what the writer changed is
what the text has otherwise than the text that was opened, and each such key is compared-and-set.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction

from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import texts
from confhub.releases.actions import change_draft, lock
from confhub.releases.entries import BadEntries
from confhub.releases.models import Draft, DraftText
from confhub.releases.places import Place, owner
from confhub.releases.raw_merge import (
    Asked,
    base_to_keep,
    base_version,
    changes,
    kept_text,
    without_secrets,
)
from confhub.releases.raw_now import (
    Held,
    Problem,
    TextIsStale,
    TextView,
    held_of,
    is_as_it_was,
    shown,
    stale,
    versions,
)
from confhub.releases.texts import Format, Reading, TextUnreadable
from confhub.releases.texts.base import Bad, check_characters, line_and_column
from confhub.releases.texts.masks import SECRET
from watchers.wire.canonical import Json

__all__ = ["Problem", "TextIsStale", "TextNotKept", "TextView", "drop_text", "save_text", "text_of"]
_TURNS = 5  # to find the draft as it was read a moment ago


class TextNotKept(ConfHubError):
    """The text does not read, and cannot be kept as it is, because a secret may stand in it."""

    code: ClassVar[str] = "text.not_kept"
    status: ClassVar[int] = 422


def text_of(place: Place, format: Format) -> TextView:  # the contract's word
    """The draft in `format`: as it was last written there, with the values as they are now.

    A text that does not read is answered as it is. Raises TextUnwritable.
    """
    return shown(held_of(place, format), format)


def save_text(
    place: Place, *, format: Format, text: str, opened: str | None, expected: int | None,
    expected_draft: int | None, give_up: Collection[str] = (), who: Actor, now: datetime,
) -> TextView:  # fmt: skip
    """Make the draft say what `text` says, and keep the text. Answers it as it stands then.

    `opened` is the text as it was opened; without it, whatever differs from the draft is taken for
    a change. `expected` and `expected_draft` are the versions that came with it; None compares
    nothing. Keys in `give_up` stay as they are in the draft. A text that does not read is kept, and
    its problem answered. Raises DraftIsStale and TextIsStale with both sides, BadEntries without a
    key, and TextNotKept; then nothing is changed.
    """
    _refuse_characters(text)
    if expected is None:
        expected = text_of(place, format).version
    asked = Asked(format, text, opened, expected, expected_draft, give_up, who, now)
    for _ in range(_TURNS):
        if _save_unless_moved(place, asked, held_of(place, format)):
            return text_of(place, format)
    raise TextIsStale(
        f"The draft of {place} changes faster than this text can be saved. Try again.",
        extra=versions(held_of(place, format)),
    )


@transaction.atomic
def drop_text(
    place: Place, *, format: Format, expected: int | None, who: Actor, now: datetime
) -> TextView:
    """Forget the text and its comments, so that it is written anew. Raises TextIsStale."""
    place = lock(place)
    held = held_of(place, format)
    if held.row is not None:
        if expected is not None and held.row.version != expected:
            raise stale(place, held, format)
        # The row stays with its version, so that an older page is told.
        _keep(held.row.draft, held, format, texts.write(format, held.values), None, who, now)
    return text_of(place, format)


def _save_unless_moved(place: Place, asked: Asked, held: Held) -> bool:
    """False where the draft moved between reading and the lock, so that nothing was done."""
    try:
        read = texts.read_with_lines(asked.format, asked.text, held.values)
        set_, unset, revert = changes(asked, held, read)
    except TextUnreadable as error:
        return _keep_unread(place, asked, held, error)
    kept = kept_text(place, asked, held)
    try:
        with transaction.atomic():
            locked = lock(place)
            if not is_as_it_was(locked, asked.format, held):
                return False
            if set_ or unset or revert:
                change_draft(
                    locked, set=set_, unset=unset, revert=revert, expected=asked.expected_draft,
                    who=asked.who, now=asked.now,
                )  # fmt: skip
            kept = without_secrets(held_of(locked, asked.format), asked.format, kept)
            draft = _draft(locked, asked)
            _keep(draft, held, asked.format, kept, None, asked.who, asked.now)
    except BadEntries as error:
        return _keep_unread(place, asked, held, _at_its_line(error, read, set_))
    return True


def _keep_unread(place: Place, asked: Asked, held: Held, error: TextUnreadable) -> bool:
    """Keep a text that does not read, beside the draft's values."""
    if held.version != asked.expected:
        raise stale(place, held, asked.format)
    _refuse_secrets(asked, held, error)
    problem = {
        "line": error.line,
        "column": error.column,
        "message": error.message,
        # What the writer began with: whoever mends the text is compared with that.
        "base": base_to_keep(asked, held),
        "draft": base_version(asked, held),
    }
    with transaction.atomic():
        locked = lock(place)
        if not is_as_it_was(locked, asked.format, held):
            return False
        draft = _draft(locked, asked)
        _keep(draft, held, asked.format, asked.text, problem, asked.who, asked.now)
    return True


def _refuse_secrets(asked: Asked, held: Held, error: TextUnreadable) -> None:
    """Raise TextNotKept where a new secret may stand in the text: nobody can tell where it ends."""
    for key in held.secret_keys:
        mask = str(held.values.get(key, ""))
        is_named = re.search(rf"(?<![\w.-]){re.escape(key)}(?![\w.-])", asked.text)
        if is_named and (not mask or mask not in asked.text):
            raise _not_kept(error, key)
    if SECRET in asked.text:
        raise _not_kept(error, "")


def _not_kept(error: TextUnreadable, key: str) -> TextNotKept:
    what = f"the new value of the secret {key}" if key else "a new secret"
    return TextNotKept(
        # The problem's own sentence may quote the line.
        f"Line {error.line} does not read, and the text was not saved, because {what} would be "
        "kept readable with it. Mend this line first.",
        fields={"text": f"Line {error.line} does not read."},
        extra={"line": error.line, "column": error.column},
    )


def _refuse_characters(text: str) -> None:
    """Raise TextNotKept for what no database keeps, or what is too long to be read."""
    try:
        check_characters(text.replace("\r", "").removeprefix("\ufeff"))
    except Bad as error:
        line, column = line_and_column(text, error.at)
        raise TextNotKept(
            f"{error.message} Nothing was saved.",
            fields={"text": error.message},
            extra={"line": line, "column": column},
        ) from error


def _at_its_line(error: BadEntries, read: Reading, set_: Mapping[str, Json]) -> TextUnreadable:
    """A refusal of values as a problem of the text, at the first changed key that it names."""
    lines = [(read.lines[key], text) for key, text in error.fields.items() if key in set_]
    line, message = min(lines, default=(1, error.detail))
    return TextUnreadable(line, 1, message)


def _draft(place: Place, asked: Asked) -> Draft:
    draft, _ = Draft.objects.get_or_create(
        **owner(place),
        defaults={
            "base": place.head,
            "version": 0,
            "updated_at": asked.now,
            "updated_by": asked.who.name,
        },
    )
    return draft


def _keep(
    draft: Draft, held: Held, format: Format, text: str, problem: dict[str, Any] | None,
    who: Actor, now: datetime,
) -> None:  # fmt: skip
    """Write the row. The caller holds the place's lock."""
    row = held.row or DraftText(draft=draft, format=format, version=0)
    row.text, row.problem, row.version = text, problem, row.version + 1
    row.author, row.changed_at = who.name, now
    if held.row is None:
        row.save(force_insert=True)
    else:
        row.save(update_fields=["text", "problem", "version", "author", "changed_at"])
