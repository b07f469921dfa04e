"""What a schema says of each key, for pages, guards and the editor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from confhub.catalog.schemas.document import Document, effective

KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_MAX_HOPS = 10  # from reference to reference


@dataclass(frozen=True)
class KeyFacts:
    """One key in one environment. None: the schema does not say."""

    type: tuple[str, ...] = ()  # JSON Schema's words; none: any
    default: Any = None
    has_default: bool = False
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    enum: tuple[Any, ...] = ()
    secret: bool = False
    write_only: bool = False  # a secret that nobody may reveal
    reload: Literal["live", "restart"] | None = None
    deprecated: bool = False
    instead: str = ""  # what to use where it is deprecated
    required: bool = False

    @property
    def takes_null(self) -> bool:
        return not self.type or "null" in self.type

    @property
    def kind(self) -> str:
        """ "a whole number or null"; "" where any type will do."""
        return either([KINDS.get(each, each) for each in self.type])


def either(words: Sequence[str]) -> str:
    """ "a, b or c" """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} or {words[-1]}"


def facts(document: Document | None, environment: str) -> dict[str, KeyFacts]:
    """{KEY: what the schema says of it in `environment`}, in the schema's order; {} without one."""
    if document is None:
        return {}
    there = effective(document, environment)
    required = set(there.get("required", ()))
    found = {
        key: _facts(_followed(rule, there), key in required)
        for key, rule in there["properties"].items()
    }
    for key in sorted(required - set(found)):
        found[key] = KeyFacts(required=True)
    return found


def _facts(rule: Mapping[str, Any], required: bool) -> KeyFacts:
    type_ = rule.get("type", ())
    deprecated = rule.get("deprecated", False)
    return KeyFacts(
        type=(type_,) if isinstance(type_, str) else tuple(type_),
        default=rule.get("default"),
        has_default="default" in rule,
        description=str(rule.get("description") or rule.get("title") or ""),
        minimum=rule.get("minimum", rule.get("exclusiveMinimum")),
        maximum=rule.get("maximum", rule.get("exclusiveMaximum")),
        pattern=rule.get("pattern"),
        enum=tuple(rule.get("enum", ())),
        secret=rule.get("secret", False),
        write_only=rule.get("writeOnly") is True,
        reload=rule.get("reload"),
        deprecated=bool(deprecated),
        instead=deprecated if isinstance(deprecated, str) else "",
        required=required,
    )


def _followed(rule: Any, document: Document) -> Mapping[str, Any]:
    """`rule` with what it refers to laid under it."""
    found: dict[str, Any] = dict(rule) if isinstance(rule, dict) else {}
    target = found.get("$ref")
    for _ in range(_MAX_HOPS):
        there = _at(document, target)
        if there is None:
            return found
        found = {**there, **found}
        target = there.get("$ref")
    return found


def _at(document: Document, target: object) -> dict[str, Any] | None:
    if not isinstance(target, str) or not target.startswith("#/"):
        return None
    node: Any = document
    for step in target[2:].split("/"):
        node = (
            node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
        )
    return node if isinstance(node, dict) else None
