"""What a release holds, and what may be put into it. Pure: no database, no clock."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, TypeAlias

from confhub.core.errors import ConfHubError
from confhub.releases import secret_forms
from watchers.wire.canonical import Json, canonical
from watchers.wire.names import BadName, check_key, check_value, colliding, env_name

Entries: TypeAlias = dict[str, dict[str, Any]]  # {"MAX_CONNECTIONS": {"value": 200}, …}
MAX_KEYS = 10_000  # in one scope
_SEEN = ("fingerprint", "version", "write_only")  # of a secret


class BadEntries(ConfHubError):
    """Keys or values that may not stand in a draft or a release; `fields` names each."""

    code: ClassVar[str] = "entries.bad"
    status: ClassVar[int] = 422


def values(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Json]:
    """{"MAX_CONNECTIONS": 200, "PASSWORD": {"$secret": true, …}, …}"""
    return {key: answered(entry) for key, entry in entries.items()}


def answered(entry: Mapping[str, Any]) -> Json:
    """An entry's value as REST answers it; a secret's is {"$secret": true, "fingerprint", "version"}."""
    if entry.get("secret"):
        return {"$secret": True, **{name: entry[name] for name in _SEEN if name in entry}}
    return entry.get("value")


def masked(entries: Mapping[str, Mapping[str, Any]]) -> Entries:
    """`entries` for everybody's eyes: of a secret its fingerprint and version, and no ciphertext."""
    return {key: masked_entry(entry) for key, entry in entries.items()}


def masked_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    if not entry.get("secret"):
        return entry if isinstance(entry, dict) else dict(entry)
    return {"secret": True, **{name: entry[name] for name in _SEEN if name in entry}}


def as_document(entries: Mapping[str, Mapping[str, Any]]) -> Entries:
    """`entries` as they stand in etcd: of a secret the ciphertext alone."""
    return {
        key: {"secret": True, "ciphertext": entry["ciphertext"]}
        if entry.get("secret")
        else {"value": entry.get("value")}
        for key, entry in entries.items()
    }


def check_changes(*, set_: Mapping[str, Json], unset: Collection[str]) -> None:
    """Raise BadEntries unless every key and value may be kept and no key is both set and unset."""
    fields: dict[str, str] = {}
    for key in [*set_, *unset]:
        try:
            check_key(key)
            if key in set_:
                check_value(key, set_[key])
                secret_forms.check(key, set_[key])
                _refuse_nul(key, set_[key])
        except BadName as error:
            fields[key[:140]] = str(error)
    for key in set(set_) & set(unset):
        fields[key] = f"{key} is both set and unset. Decide for one."
    if fields:
        raise BadEntries(_all_of(fields), fields=fields)


def check_whole(entries: Entries, *, max_bytes: int) -> None:
    """Raise BadEntries unless `entries` can be a release: no two keys one variable, not too large.

    `max_bytes` bounds the canonical JSON, because the document is one value in etcd.
    """
    fields: dict[str, str] = {}
    for group in colliding(entries):
        for key in group:
            others = " and ".join(other for other in group if other != key)
            fields[key] = (
                f"{key} and {others} would both be the environment variable {env_name(key)}. "
                "Rename one of them."
            )
    if fields:
        raise BadEntries(_all_of(fields), fields=fields)
    if len(entries) > MAX_KEYS:
        raise BadEntries(
            f"The release would have {len(entries):,} keys; at most {MAX_KEYS:,} are kept. "
            "Divide the service's configuration."
        )
    size_bytes = len(canonical(entries))
    if size_bytes > max_bytes:
        largest = max(entries, key=lambda key: len(canonical(entries[key])))
        raise BadEntries(
            f"The release would have {size_bytes:,} bytes; at most {max_bytes:,} are kept "
            f"(CONFHUB_MAX_RELEASE_BYTES). The largest key is {largest}. Make it smaller, or put "
            "large data into the image or a volume.",
            fields={largest: "The largest key of a release that is too large."},
        )


def changed(entries: Mapping[str, Mapping[str, Any]], *, set_: Entries, unset: Collection[str]) -> Entries:  # fmt: skip
    """`entries` with the changes made; the argument stays as it is."""
    after = {key: dict(entry) for key, entry in entries.items() if key not in unset}
    after.update({key: dict(entry) for key, entry in set_.items()})
    return after


def plain(values: Mapping[str, Json]) -> Entries:
    """{"MAX": 200} as entries."""
    return {key: {"value": value} for key, value in values.items()}


def _refuse_nul(key: str, value: Json) -> None:
    if _holds_nul(value):
        # Neither an environment variable nor a PostgreSQL text can hold it.
        raise BadName(f"{key}: the value holds a NUL character (U+0000). Remove it.")


def _holds_nul(value: Json) -> bool:
    match value:
        case str():
            return "\x00" in value
        case list():
            return any(map(_holds_nul, value))
        case dict():
            return any("\x00" in name or _holds_nul(held) for name, held in value.items())
    return False


def _all_of(fields: Mapping[str, str]) -> str:
    first = next(iter(fields.values()))
    more = len(fields) - 1
    return first if not more else f"{first} ({more} more key{'s' if more > 1 else ''} refused.)"
