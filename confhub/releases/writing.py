"""What somebody asks a key to be, as the entry that is kept: plain, sealed, or as it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from confhub.catalog import schema_versions
from confhub.catalog.models import Scope
from confhub.catalog.schemas import KeyFacts, facts
from confhub.releases import secrets
from confhub.releases.entries import BadEntries, Entries
from confhub.releases.keyring import Keys
from confhub.releases.layering import Ground
from confhub.releases.places import Frozen, Place
from confhub.releases.secret_forms import Kept, NewSecret, check_secret, read
from watchers.wire.canonical import Json
from watchers.wire.names import BadName

AS_INHERITED: dict[str, Any] = {}  # the key needs no entry of its own


@dataclass
class Writing:
    """One act that sets keys of a place. `drafted` are the draft's entries, where it sets them.

    A key is secret once any of these is: its entry in the draft, in the newest release, in a layer
    below, or the service's schema. It stays so until it was removed by a release.
    """

    place: Place
    head: Frozen | None
    drafted: Mapping[str, Mapping[str, Any]]
    now: datetime
    keys: Keys = field(default_factory=Keys)

    def entries_for(self, set_: Mapping[str, Json]) -> Entries:
        """{KEY: its entry}; {} for a key that shall be as it is inherited.

        `set_` has passed `check_changes`. Raises BadEntries with every key that is refused,
        NoMasterKey, KeyIsSealed; no sentence holds a value.
        """
        found: Entries = {}
        refused: dict[str, str] = {}
        for key, value in set_.items():
            try:
                found[key] = self.entry_for(key, value)
            except BadName as error:
                refused[key] = str(error)
        if refused:
            raise BadEntries(next(iter(refused.values())), fields=refused)
        return found

    def entry_for(self, key: str, value: Json) -> dict[str, Any]:
        """The same for one key. Raises BadName."""
        asked = read(key, value)
        if isinstance(asked, Kept):
            return self._kept(key, asked)
        if asked is None:
            if not self._is_secret(key):
                return {"value": value}
            asked = NewSecret(value)
        check_secret(key, asked.value)
        return self._sealed(key, asked)

    def _kept(self, key: str, asked: Kept) -> dict[str, Any]:
        for entry in self._own(key):
            if asked.is_of(entry):
                return dict(entry)
        if asked.is_of(self._inherited.get(key, {})):
            return AS_INHERITED
        raise BadName(
            f"{key}: this is the mask of another secret, or of an older value, so it cannot be "
            "its value. Leave the key out to keep it as it is, or write the new value."
        )

    def _sealed(self, key: str, asked: NewSecret) -> dict[str, Any]:
        print_ = secrets.fingerprint(asked.value, now=self.now, keys=self.keys)
        for entry in self._own(key):
            if entry.get("secret") and entry["fingerprint"] == print_:
                return dict(entry)
        before = self._published(key)
        write_only = asked.write_only
        if write_only is None:
            write_only = any(each.get("write_only") for each in (*self._own(key), before))
        return secrets.seal(
            self.place, key, asked.value, version=int(before.get("version", 0)) + 1,
            write_only=bool(write_only), now=self.now, keys=self.keys,
        )  # fmt: skip

    def _own(self, key: str) -> list[Mapping[str, Any]]:
        """The place's own entries of the key, the draft's first."""
        published = self.head.own_entries if self.head is not None else {}
        return [each[key] for each in (self.drafted, published) if each.get(key)]

    def _published(self, key: str) -> Mapping[str, Any]:
        """What the key is now, without the draft; {} where it is not there."""
        own = self.head.own_entries if self.head is not None else {}
        return own.get(key) or self._inherited.get(key) or {}

    def _is_secret(self, key: str) -> bool:
        if any(entry.get("secret") for entry in self._own(key)):
            return True
        if self._inherited.get(key, {}).get("secret"):
            return True
        known = self._facts.get(key)
        return known is not None and known.secret

    @cached_property
    def _inherited(self) -> Entries:
        """What the layers below a scope give it; before its first release, as they are now."""
        if not isinstance(self.place, Scope):
            return {}
        if self.head is not None:
            entries: Entries = self.head.entries
            return entries
        found: Entries = {}
        ground = Ground.of([self.place])
        for release in ground.layers_at(ground.numbers(self.place)):
            found.update(release.entries)
        return found

    @cached_property
    def _facts(self) -> dict[str, KeyFacts]:
        return facts_of(self.place)


def facts_of(place: Place) -> dict[str, KeyFacts]:
    """What the schema says of the keys of a scope, or of a service's layer; {} of other layers,
    whose keys are looked at when they reach a scope."""
    service = place.service
    if service is None:
        return {}
    where = place.environment.slug if isinstance(place, Scope) else ""
    return facts(schema_versions.document_of(service), where)
