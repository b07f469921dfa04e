"""The library's errors as people would say them: "POOL is 0; at least 1 is asked for." """

import json
from collections.abc import Sequence
from typing import Any

from jsonschema.exceptions import ValidationError

from confhub.catalog.schemas.facts import KINDS, either

MAX_SHOWN_CHARS = 60
FORMATS = {
    "email": "an e-mail address",
    "hostname": "a host name",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "uri": "an absolute URI",
    "uuid": "a UUID",
    "date": "a date (2026-11-24)",
    "date-time": "a time with its offset (2026-11-24T12:00:00Z)",
    "regex": "a regular expression",
}


def of(error: ValidationError, *, hide: bool) -> str:
    """One value's problem. `hide`: without the value, because it is a secret's."""
    where = _where(list(error.path))
    if not isinstance(error.validator, str):  # the schema `false`
        return f"{where} may not be set; the schema forbids it."
    is_, asked = _is_and_asked(error)
    if hide:
        return f"The secret {where} does not fit; {asked}."
    return f"{where} {is_}; {asked}."


def of_whole(error: ValidationError) -> str:
    """What is wrong with the keys together."""
    match error.validator:
        case "minProperties":
            return f"At least {error.validator_value} keys are asked for."
        case "maxProperties":
            return f"At most {error.validator_value} keys are asked for."
    return f"The keys together do not fit what the schema says under {error.validator!r}."


def shown(value: Any) -> str:
    """A value within a sentence, cut where it is long."""
    if isinstance(value, list | dict) and len(json.dumps(value)) > MAX_SHOWN_CHARS:
        what = "a list of" if isinstance(value, list) else "an object of"
        return f"{what} {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 1]}…"


def _where(path: Sequence[str | int]) -> str:
    """`HOSTS[2].port`"""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".")[:200]


def _is_and_asked(error: ValidationError) -> tuple[str, str]:
    value: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case (
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        ):
            return _counted(str(error.validator), value, wanted)
        case "required":
            missing = [name for name in wanted if name not in value]
            return f"has no {either([str(name) for name in missing])}", "it is required"
        case "additionalProperties" | "unevaluatedProperties":
            return f"is {shown(value)}", "the schema allows no other names in it"
    return f"is {shown(value)}", _asked(error, wanted)


def _asked(error: ValidationError, wanted: Any) -> str:
    match error.validator:
        case "type":
            types = [wanted] if isinstance(wanted, str) else wanted
            return f"{either([KINDS.get(each, str(each)) for each in types])} is asked for"
        case "minimum":
            return f"at least {wanted} is asked for"
        case "maximum":
            return f"at most {wanted} is asked for"
        case "exclusiveMinimum":
            return f"more than {wanted} is asked for"
        case "exclusiveMaximum":
            return f"less than {wanted} is asked for"
        case "multipleOf":
            return f"a multiple of {wanted} is asked for"
        case "pattern":
            return f"it must match {str(wanted)[:200]}"
        case "enum":
            return f"{either([shown(each) for each in wanted[:20]])} is asked for"
        case "const":
            return f"{shown(wanted)} is asked for"
        case "format":
            return f"{FORMATS.get(wanted, wanted)} is asked for"
        case "uniqueItems":
            return "each item may stand in it once"
        case "contains" | "minContains" | "maxContains":
            return "it does not contain what the schema asks for"
        case "not":
            return "the schema excludes it"
    return f"it fits nothing that the schema allows ({error.validator})"


def _counted(word: str, value: Any, wanted: int) -> tuple[str, str]:
    what = {"Length": "character", "Items": "item", "Properties": "name"}[word[3:]]
    least = word.startswith("min")
    is_ = f"has {_number(len(value), what)}" if len(value) else "is empty"
    return is_, f"at {'least' if least else 'most'} {_number(wanted, what)} " + (
        "is asked for" if wanted == 1 else "are asked for"
    )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
