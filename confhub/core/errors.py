"""The root of every failure that a caller can do something about.

    ConfHubError
    ├── NotFound, NotAllowed      confhub.access.policies
    ├── BadEntries                confhub.releases.entries
    ├── DraftIsStale, …           beside the function that raises them
    └── …

Each has a permanent `code` for programs and a sentence for people: what happened to which thing,
and the way out. Interfaces turn them into a problem document or a message at the field.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class ConfHubError(Exception):
    """Something the caller asked for cannot be done, and nothing was changed."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400

    def __init__(
        self,
        detail: str,
        *,
        fields: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """`fields` maps an input's name to its own sentence; `extra` holds facts for programs."""
        super().__init__(detail)
        self.detail = detail
        self.fields = dict(fields or {})
        self.extra = dict(extra or {})
