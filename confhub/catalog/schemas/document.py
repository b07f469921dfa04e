"""What a schema may be, and what it is in one environment."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

from confhub.core import limited
from confhub.core.errors import ConfHubError
from confhub.core.limited import Limited
from watchers.wire.canonical import canonical
from watchers.wire.names import BadName, check_key, check_slug

Document: TypeAlias = Mapping[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
RELOADS = ("live", "restart")
MAX_BYTES = 512 * 1024
MAX_DEPTH = 32
MAX_KEYS = 10_000
PER_ENVIRONMENT = ("required", "properties", "additionalProperties")
_DATA = frozenset(
    {"default", "const", "enum", "examples"}
)  # values, in which "$ref" is only a name
_BY_NAME = ("properties.", "patternProperties.", "$defs.", "definitions.", "dependentSchemas.")
_CHECK = "confhub.catalog.schemas.checking:document_problems"


class BadSchema(ConfHubError):
    """It cannot be a service's schema; `fields` maps a path (`properties.POOL.minimum`) to why."""

    code: ClassVar[str] = "schema.bad"
    status: ClassVar[int] = 422


def check_document(document: Any) -> None:
    """Raise BadSchema unless `document` can be a service's schema."""
    _check_size(document)
    problems = {**_shape_problems(document), **_reference_problems(document)}
    if not problems:
        problems = _word_problems(document)
    if not problems:
        names = sorted(_environments_named(document))
        try:
            problems = limited.call(
                _CHECK, {name: effective(document, name) for name in ["", *names]}
            )
        except Limited as error:
            why = (
                "It refers to itself without an end."
                if error.limit == "depth"
                else f"Its check did not end. {error.detail}"
            )
            raise BadSchema(f"The schema cannot be kept. {why}", fields={"schema": why}) from error
    if problems:
        _refuse(problems)


def effective(document: Document, environment: str) -> dict[str, Any]:
    """The schema as it is in `environment`, without the word `environments`."""
    there = document.get("environments", {}).get(environment, {})
    whole = {name: held for name, held in document.items() if name != "environments"}
    whole.update({name: held for name, held in there.items() if name != "properties"})
    properties = {
        key: _in_environment(rule, environment)
        for key, rule in document.get("properties", {}).items()
    }
    for key, overrides in there.get("properties", {}).items():
        base = properties.get(key, {})
        properties[key] = {**(base if isinstance(base, dict) else {}), **overrides}
    return {**whole, "properties": properties}


def _in_environment(rule: Any, environment: str) -> Any:
    if not isinstance(rule, dict) or "environments" not in rule:
        return rule
    plain = {name: held for name, held in rule.items() if name != "environments"}
    return {**plain, **rule["environments"].get(environment, {})}


def _refuse(problems: Mapping[str, str]) -> None:
    path, sentence = next(iter(problems.items()))
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    raise BadSchema(f"The schema cannot be kept. {path}: {sentence}{more}", fields=problems)


def _check_size(document: Any) -> None:
    if _is_deeper(document, MAX_DEPTH):
        _refuse({"schema": f"It nests deeper than {MAX_DEPTH} levels. Take some out."})
    try:
        size_bytes = len(canonical(document))
    except (ValueError, TypeError) as error:
        raise BadSchema(
            f"The schema is not JSON: {error}.", fields={"schema": str(error)}
        ) from error
    if size_bytes > MAX_BYTES:
        _refuse({"schema": f"It has {size_bytes:,} bytes; at most {MAX_BYTES:,} are kept."})


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels + 1):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _shape_problems(document: Any) -> dict[str, str]:
    """Is it the schema of one object with keys that can be entries?"""
    if not isinstance(document, dict):
        return {"schema": 'Write an object: {"type": "object", "properties": {…}}.'}
    problems: dict[str, str] = {}
    if document.get("$schema", DIALECT) not in (DIALECT, f"{DIALECT}#"):
        problems["$schema"] = f"Only {DIALECT} is understood. Write that, or leave it out."
    if document.get("type") != "object":
        problems["type"] = 'Write "object": a configuration is one object of keys.'
    properties = document.get("properties")
    if not isinstance(properties, dict):
        problems["properties"] = 'Write an object: {"KEY": {"type": "string"}}.'
        return problems
    if len(properties) > MAX_KEYS:
        problems["properties"] = f"{len(properties):,} keys; at most {MAX_KEYS:,} can stand."
    for key in properties:
        try:
            check_key(key)
        except BadName as error:
            problems[f"properties.{key[:140]}"] = str(error)
    return problems


def _reference_problems(document: Any) -> dict[str, str]:
    """Nothing is fetched from anywhere: a reference stays within the schema."""
    problems: dict[str, str] = {}
    for path, node in schema_nodes(document):
        for word in ("$ref", "$dynamicRef"):
            target = node.get(word, "#")
            if not isinstance(target, str) or not target.startswith("#"):
                problems[f"{path}{word}"] = (
                    "Refer within this schema only (#/$defs/NAME); nothing is fetched from elsewhere."
                )
        if "$id" in node:
            problems[f"{path}$id"] = "Leave it out: references stay within this schema."
    return problems


def schema_nodes(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path with a dot behind it, object) of everything but values."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            yield path, node
            holds_names = path.endswith(_BY_NAME)  # in which "default" is a key of somebody's
            waiting.extend(
                (f"{path}{name}.", held)
                for name, held in node.items()
                if holds_names or name not in _DATA
            )
        elif isinstance(node, list):
            waiting.extend((f"{path}{at}.", held) for at, held in enumerate(node))


def _word_problems(document: Document) -> dict[str, str]:
    """Our own words: secret, reload, deprecated, environments."""
    problems: dict[str, str] = {}
    for key, rule in document["properties"].items():
        if isinstance(rule, dict):
            path = f"properties.{key}"
            problems.update(_own_words(path, rule))
            problems.update(_override_problems(path, rule.get("environments", {})))
    there = document.get("environments", {})
    problems.update(_environment_names("environments", there))
    if not problems and isinstance(there, dict):
        for name, overrides in there.items():
            problems.update(_whole_override_problems(f"environments.{name}", overrides))
    return problems


def _own_words(path: str, rule: Document) -> dict[str, str]:
    problems: dict[str, str] = {}
    if not isinstance(rule.get("secret", False), bool):
        problems[f"{path}.secret"] = "Write true or false."
    if rule.get("reload", "live") not in RELOADS:
        problems[f"{path}.reload"] = 'Write "live" or "restart".'
    if not isinstance(rule.get("deprecated", False), bool | str):
        problems[f"{path}.deprecated"] = "Write true, false, or a sentence that says what to use."
    return problems


def _override_problems(path: str, overrides: Any) -> dict[str, str]:
    problems = _environment_names(f"{path}.environments", overrides)
    if problems:
        return problems
    for name, rule in overrides.items():
        where = f"{path}.environments.{name}"
        if not isinstance(rule, dict) or "environments" in rule:
            problems[where] = 'Write an object of what is different there: {"minimum": 10}.'
        else:
            problems.update(_own_words(where, rule))
    return problems


def _environment_names(path: str, named: Any) -> dict[str, str]:
    if not isinstance(named, dict):
        return {path: 'Write an object by environment: {"prod": {…}}.'}
    problems: dict[str, str] = {}
    for name in named:
        try:
            check_slug(name, what="environment")
        except BadName as error:
            problems[f"{path}.{name[:80]}"] = str(error)
    return problems


def _whole_override_problems(path: str, overrides: Any) -> dict[str, str]:
    if not isinstance(overrides, dict) or not set(overrides) <= set(PER_ENVIRONMENT):
        return {path: f"Write an object with {', '.join(PER_ENVIRONMENT)} only."}
    properties = overrides.get("properties", {})
    if not isinstance(properties, dict):
        return {f"{path}.properties": 'Write an object: {"KEY": {…}}.'}
    problems: dict[str, str] = {}
    for key, rule in properties.items():
        where = f"{path}.properties.{key[:140]}"
        try:
            check_key(key)
        except BadName as error:
            problems[where] = str(error)
            continue
        if not isinstance(rule, dict) or "environments" in rule:
            problems[where] = 'Write an object of what is different there: {"minimum": 10}.'
        else:
            problems.update(_own_words(where, rule))
    return problems


def _environments_named(document: Document) -> set[str]:
    named = set(document.get("environments", {}))
    for rule in document["properties"].values():
        if isinstance(rule, dict):
            named |= set(rule.get("environments", {}))
    return named
