"""A JSON column that gives back the very value it was given."""

import json
from typing import TYPE_CHECKING, Any

from django.db import models

from watchers.wire.canonical import canonical

if TYPE_CHECKING:
    _Text = models.TextField[Any, Any]
else:
    _Text = models.TextField


class ExactJSONField(_Text):
    """JSON kept as its canonical text.

    Not Django's JSONField, because PostgreSQL's jsonb writes numbers in its own form: 1e16 comes
    back as the integer 10000000000000000, and a release's checksum would no longer be its own.
    """

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def from_db_value(self, held: str | None, *_: object) -> Any:
        return None if held is None else json.loads(held)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else canonical(value).decode()
