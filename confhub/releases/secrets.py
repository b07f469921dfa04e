"""Seal, open and re-seal secrets; compare them without opening them.

A sealed value is bound to its place and its key (`watchers/wire/sealing.py`): for a scope by the
names of service and environment, as an agent will say them. A layer has neither, so its kind and
name stand in their place, as "layer:set" and "redis"; the colon is in no service's name.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, ClassVar

from confhub.catalog.models import Scope
from confhub.core.errors import ConfHubError
from confhub.releases.keyring import Keys, places_of, used_by
from confhub.releases.places import Place
from watchers.wire import sealing
from watchers.wire.canonical import Json, canonical
from watchers.wire.sealing import CannotOpen

FINGERPRINT_DIGITS = 12
Entry = Mapping[str, Any]


class CannotOpenSecret(ConfHubError):
    """A sealed value does not open with the keys of its place."""

    code: ClassVar[str] = "secrets.cannot_open"
    status: ClassVar[int] = 409


def seal(
    place: Place, key: str, value: Json, *, version: int, write_only: bool = False, now: datetime,
    keys: Keys | None = None,
) -> dict[str, Any]:  # fmt: skip
    """`value` as the entry `key` of the place. Raises NoMasterKey, KeyIsSealed.

    `keys`: those of the act, where it seals more than one value.
    """
    keys = keys or Keys()
    entry = {
        "secret": True,
        "ciphertext": _sealed(place, key, value, keys=keys, now=now),
        "fingerprint": fingerprint(value, now=now, keys=keys),
        "version": version,
    }
    return entry | {"write_only": True} if write_only else entry


def open_entry(place: Place, key: str, entry: Entry, *, keys: Keys | None = None) -> Json:
    """The value of a secret entry. Raises CannotOpenSecret, NoMasterKey, KeyIsSealed."""
    keys = keys or Keys()
    service, environment = bound_to(place)
    try:
        return sealing.unseal(
            str(entry.get("ciphertext", "")), keys.ring(place),
            service=service, environment=environment, name=key,
        )  # fmt: skip
    except CannotOpen:
        raise CannotOpenSecret(
            f"{key} of {place} does not open: its key is not in this database, or the sealed value "
            "was changed or moved. Set the secret again."
        ) from None


def opened(entries: Mapping[str, Entry]) -> dict[str, Json]:
    """{KEY: value} of the secrets among `entries`, wherever each was sealed, for a check that
    repeats no value. What does not open is left out."""
    hidden = {key: entry for key, entry in entries.items() if entry.get("secret")}
    found: dict[str, Json] = {}
    keys = Keys()
    places = places_of(used_by(hidden.values()))
    for key, entry in hidden.items():
        place = places.get(str(entry["ciphertext"]).split(":")[1])
        try:
            if place is not None:
                found[key] = open_entry(place, key, entry, keys=keys)
        except ConfHubError:  # its presence is all that can be checked then
            continue
    return found


def reseal(
    entry: Entry, key: str, *, source: Place, target: Place, source_key: str | None = None,
    now: datetime, keys: Keys | None = None,
) -> dict[str, Any]:  # fmt: skip
    """`entry` of `source` as the entry `key` of `target`; under `source_key` there, where it had
    another name. Fingerprint and version stay. Raises as `open_entry` and `seal`."""
    keys = keys or Keys()
    value = open_entry(source, source_key or key, entry, keys=keys)
    return {**entry, "ciphertext": _sealed(target, key, value, keys=keys, now=now)}


def fingerprint(value: Json, *, now: datetime, keys: Keys | None = None) -> str:
    """12 hexadecimal digits by which equal secrets are known everywhere; HMAC-SHA-256, because a
    bare hash of a short secret could be guessed back. Raises NoMasterKey, KeyIsSealed."""
    made = (keys or Keys()).fingerprint(now=now)
    return hmac.new(made.raw, canonical(value), sha256).hexdigest()[:FINGERPRINT_DIGITS]


def sealed_for(
    scope: Scope, key: str, entry: dict[str, Any], source: Place, parent: Entry | None, *,
    now: datetime, keys: Keys,
) -> dict[str, Any]:  # fmt: skip
    """`entry` of `source`, a layer or the scope itself, as it goes into a release of the scope.

    Where `parent`, the entry of the release before, holds the same value, its ciphertext stays, so
    that a release that changes nothing has the same checksum. None: seal it anew where its key is
    not the one that seals now.
    """
    if not entry.get("secret"):
        return entry
    if parent is not None and parent.get("secret") and _equal(parent, entry):
        return {**entry, "ciphertext": parent["ciphertext"]}
    if source == scope:
        kid = str(entry["ciphertext"]).split(":")[1]
        if kid == keys.sealing(scope, now=now).kid:
            return entry
    return reseal(entry, key, source=source, target=scope, now=now, keys=keys)


def bound_to(place: Place) -> tuple[str, str]:
    """The two names that a sealed value of the place is bound to."""
    if isinstance(place, Scope):
        return place.service.slug, place.environment.slug
    return f"layer:{place.kind}", place.slug


def _sealed(place: Place, key: str, value: Json, *, keys: Keys, now: datetime) -> str:
    service, environment = bound_to(place)
    with_key = keys.sealing(place, now=now)
    return sealing.seal(value, with_key, service=service, environment=environment, name=key)


def _equal(one: Entry, other: Entry) -> bool:
    return "fingerprint" in one and one["fingerprint"] == other.get("fingerprint")
