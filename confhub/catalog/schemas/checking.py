"""Schema and values through the library. Runs in a limited child (confhub.core.limited) and nowhere
else, because a pattern or a reference to itself can keep it busy for ever. JSON in, JSON out."""

import ipaddress
import re
import uuid
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from confhub.catalog.schemas import sentences
from confhub.catalog.schemas.document import schema_nodes

OURS = ("secret", "reload", "environments")
_NOTHING = Registry()  # so that no reference is ever fetched
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def document_problems(by_environment: dict[str, dict[str, Any]]) -> dict[str, str]:
    """{path: sentence} of what no value could be checked by; the schema as it is in each environment
    that it names, and in any other (""). A default is checked as a value would be."""
    problems: dict[str, str] = {}
    for environment, document in by_environment.items():
        found = _meta_problems(document) or _use_problems(document)
        for path, sentence in found.items():
            problems.setdefault(
                path, f"{sentence} (In {environment}.)" if environment else sentence
            )
    return problems


def value_problems(
    document: dict[str, Any], values: dict[str, Any], unseen: list[str], opened: list[str]
) -> dict[str, str]:
    """{key: sentence} of `values` in one environment's schema; "" stands for all keys together.

    `unseen` are keys with a value that is not given. The values of `opened` are not repeated in
    sentences.
    """
    whole = {**values, **dict.fromkeys(unseen, "")}
    unchecked, hidden = set(unseen), set(opened)
    problems: dict[str, str] = {}
    try:
        for error in _validator(document).iter_errors(whole):
            if not error.path:
                problems.update(_whole_problems(error, document, whole, problems))
            elif (key := str(error.path[0])) not in unchecked:
                problems.setdefault(key, sentences.of(error, hide=key in hidden))
    except (Unresolvable, OverflowError) as error:  # a reference to nothing; a number of 400 digits
        problems[""] = f"The schema cannot be applied to these values ({type(error).__name__})."
    return problems


def _whole_problems(
    error: ValidationError, document: dict[str, Any], whole: dict[str, Any], known: dict[str, str]
) -> dict[str, str]:
    wanted: Any = error.validator_value
    match error.validator:
        case "required":
            missing = [key for key in wanted if key not in whole]
            return {key: f"{key} is missing; it is required." for key in missing}
        case "additionalProperties" | "unevaluatedProperties":
            extra = _not_named(document, whole)
            found = {
                key: f"{key} is not in the schema, which allows no other keys."
                for key in extra
                if key not in known
            }
            return found or {"": sentences.of_whole(error)}
        case "dependentRequired":
            return {
                needed: f"{needed} is missing; it is required beside {key}."
                for key, others in wanted.items()
                for needed in others
                if key in whole and needed not in whole
            }
    return {} if "" in known else {"": sentences.of_whole(error)}


def _not_named(document: dict[str, Any], whole: Iterable[str]) -> list[str]:
    named = document.get("properties", {})
    patterns = [re.compile(each) for each in document.get("patternProperties", {})]
    return [
        key
        for key in whole
        if key not in named and not any(pattern.search(key) for pattern in patterns)
    ]


def _validator(document: dict[str, Any]) -> Any:
    plain = _plain(document)
    return Draft202012Validator(plain, registry=_NOTHING, format_checker=FORMATS)


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Without our words, so that what remains is the standard's."""
    return {**document, "properties": {k: _rule(v) for k, v in document["properties"].items()}}


def _rule(rule: Any) -> Any:
    if rule is False:
        return {"not": {}}  # the library would not say which key it was
    if not isinstance(rule, dict):
        return rule
    plain = {name: held for name, held in rule.items() if name not in OURS}
    if "deprecated" in plain:
        plain["deprecated"] = bool(plain["deprecated"])
    return plain


def _meta_problems(document: dict[str, Any]) -> dict[str, str]:
    meta = Draft202012Validator.META_SCHEMA
    validator = validator_for(meta)(meta, format_checker=FORMATS)
    problems: dict[str, str] = {}
    for error in validator.iter_errors(_plain(document)):
        path = ".".join(map(str, error.path)) or "schema"
        problems.setdefault(path, f"{error.message[:300]}.")
    return problems


def _use_problems(document: dict[str, Any]) -> dict[str, str]:
    """References that lead nowhere, and defaults that would not be accepted as values."""
    plain = _plain(document)
    lost = _lost_references(plain)
    if lost:
        return lost
    validator = _validator(document)
    list(validator.iter_errors({}))  # one that refers to itself runs into the limit here
    problems: dict[str, str] = {}
    for key, rule in plain["properties"].items():
        has_default = isinstance(rule, dict) and "default" in rule
        tried = rule["default"] if has_default else ""
        for error in validator.descend(tried, rule, path=key):  # a circle shows here, too
            if has_default:
                sentence = f"As a default, {sentences.of(error, hide=False)}"
                problems.setdefault(f"properties.{key}.default", sentence)
    return problems


def _lost_references(plain: dict[str, Any]) -> dict[str, str]:
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(plain))
    problems: dict[str, str] = {}
    for path, node in schema_nodes(plain):
        for word in ("$ref", "$dynamicRef"):
            if not isinstance(target := node.get(word), str):
                continue
            try:
                resolver.lookup(target)
            except (Unresolvable, ValueError):
                problems[f"{path}{word}"] = f"There is nothing at {target[:200]}."
    return problems


def _is_uri(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme and (parts.netloc or parts.path)) and not re.search(r"\s", text)


def _is_host(text: str) -> bool:
    return len(text) <= 253 and all(_HOST.fullmatch(part) for part in text.split("."))


def _is_date(text: str) -> bool:
    return len(text) == 10 and bool(date.fromisoformat(text)) and text[4] == text[7] == "-"


def _is_moment(text: str) -> bool:
    return text[10:11] in ("T", "t", " ") and datetime.fromisoformat(text).tzinfo is not None


# Those that are checked; any other is a note for people, as the standard has it.
_CHECKS: dict[str, Callable[[str], object]] = {
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "hostname": _is_host,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uri": _is_uri,
    "uuid": uuid.UUID,
    "date": _is_date,
    "date-time": _is_moment,
    "regex": re.compile,
}


def _formats() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, check in _CHECKS.items():
        checker.checks(name, raises=(ValueError, OverflowError, re.error))(_of_texts(check))
    return checker


def _of_texts(check: Callable[[str], object]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or check(value) is not False


FORMATS = _formats()
