"""Entries against a schema, and one schema against the next."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from confhub.catalog.schemas.document import Document, effective
from confhub.catalog.schemas.facts import facts
from confhub.core import limited
from confhub.core.errors import ConfHubError
from confhub.core.limited import Limited
from watchers.wire.canonical import Json

Entries: TypeAlias = Mapping[str, Mapping[str, Any]]  # {"MAX": {"value": 200}, …}, sealed or masked
Problems: TypeAlias = dict[str, str]  # {KEY: sentence}; "" stands for the keys together
_CHECK = "confhub.catalog.schemas.checking:value_problems"


class CannotValidate(ConfHubError):
    """The check did not come to an end within its limits, so nobody knows whether the values fit."""

    code: ClassVar[str] = "schema.limited"
    status: ClassVar[int] = 422


def validate(
    document: Document, environment: str, entries: Entries, *, opened: Mapping[str, Json] | None = None
) -> Problems:  # fmt: skip
    """{KEY: sentence for people} of what does not fit `document` in `environment`; {} where all does.

    Of a secret only its presence is checked, unless `opened` has its value; the value is in no
    sentence. Raises CannotValidate where a pattern or a reference would keep the check busy.
    """
    opened = opened or {}
    sealed = {key for key, entry in entries.items() if entry.get("secret")}
    values = {key: entry.get("value") for key, entry in entries.items() if key not in sealed}
    values.update({key: opened[key] for key in sealed if key in opened})
    unseen = sorted(sealed - set(opened))
    there = effective(document, environment)
    try:
        problems: Problems = limited.call(_CHECK, there, values, unseen, list(opened))
    except Limited as error:
        raise CannotValidate(_sentence(document, environment, error), extra=error.extra) from error
    readable = _readable_secrets(document, environment, entries)
    return {**problems, **readable}


def breaking(
    old: Document | None, new: Document, environments: Mapping[str, Entries]
) -> dict[str, Problems]:
    """{environment: problems} of values that `new` refuses and `old` (None: no schema) took.

    What did not fit before does not count: it is no worse than it was.
    """
    broken: dict[str, Problems] = {}
    for environment, entries in environments.items():
        found = validate(new, environment, entries)
        if found and old is not None:
            known = validate(old, environment, entries)
            found = {key: sentence for key, sentence in found.items() if key not in known}
        if found:
            broken[environment] = found
    return broken


def _readable_secrets(document: Document, environment: str, entries: Entries) -> Problems:
    return {
        key: f"{key} is a secret by the schema and stands there readable. Set it as a secret."
        for key, known in facts(document, environment).items()
        if known.secret and key in entries and not entries[key].get("secret")
    }


def _sentence(document: Document, environment: str, error: Limited) -> str:
    patterns = [key for key, known in facts(document, environment).items() if known.pattern]
    look = f" Look at the pattern of {', '.join(patterns[:3])}." if patterns else ""
    return f"The values could not be checked against the schema. {error.detail}{look}"
