"""What a service's schema says of its keys, for whoever edits them."""

from collections.abc import Collection, Mapping
from typing import Any

from confhub.catalog import schema_versions
from confhub.catalog.schemas import KeyFacts, facts

UNSET_SHOWN = 50


def facts_of(scope: Any) -> dict[str, KeyFacts]:
    """{KEY: what the newest schema says of it in the scope's environment}; one query."""
    return facts(schema_versions.document_of(scope.service), scope.environment.slug)


def hints(known: Mapping[str, KeyFacts]) -> dict[str, str]:
    """{KEY: one short text}, for the list of keys and its script; without keys it says nothing of."""
    texts = {key: hint(each) for key, each in known.items()}
    return {key: text for key, text in texts.items() if text}


def hint(known: KeyFacts) -> str:
    """ "Connections of the pool. A whole number. Needs a restart." """
    parts = []
    if known.deprecated:
        parts.append(f"Deprecated. {known.instead}" if known.instead else "Deprecated.")
    if known.description:
        parts.append(_sentence(known.description))
    if known.kind:
        parts.append(_sentence(known.kind[0].upper() + known.kind[1:]))
    if known.reload == "restart":
        parts.append("Needs a restart.")
    return " ".join(parts)


def unset(known: Mapping[str, KeyFacts], present: Collection[str]) -> list[tuple[str, str, bool]]:
    """[(KEY, hint, is required)] of keys that the schema names and nobody set, required ones first;
    deprecated ones are left alone."""
    found = [
        (key, hint(each), each.required)
        for key, each in known.items()
        if key not in present and not each.deprecated
    ]
    return sorted(found, key=lambda each: (not each[2], each[0]))[:UNSET_SHOWN]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
