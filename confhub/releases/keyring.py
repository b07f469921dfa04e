"""The keys that seal secrets. Each scope and each layer has its own, sealed ("wrapped") by a master key.

    CONFHUB_MASTER_KEYS ── wraps ──► a row's key ── seals ──► an entry's value

A place has two keys at any time: one that seals, and a newer one in reserve that every agent is
given as well. A rotation lets the reserve seal and makes another (`confhub.publishing.rotation`), so
that no agent ever meets a key that it was not given before.

Keys are read once for each act and never kept between acts, because one that was made in a
transaction that is rolled back must not seal anything.
"""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Any, ClassVar

from django.conf import settings
from django.db import transaction

from confhub.core.errors import ConfHubError
from confhub.releases.models import SealingKeyRow
from confhub.releases.places import Place, owner
from watchers.wire.sealing import BadKey, CannotOpen, Keyring, SealingKey, seal, unseal

FINGERPRINT = "fingerprint"  # the name of the one key that fingerprints are made with
HOW = (
    "Print one with `python manage.py new_master_key` (or: "
    'echo "k1:$(openssl rand -base64 32)"), set it as CONFHUB_MASTER_KEYS for every process of '
    "ConfHub, and keep a copy beside your backups."
)


class NoMasterKey(ConfHubError):
    """Nothing can be sealed: CONFHUB_MASTER_KEYS is empty or cannot be used."""

    code: ClassVar[str] = "secrets.no_master_key"
    status: ClassVar[int] = 409


class KeyIsSealed(ConfHubError):
    """A key is wrapped by a master key that is not here, or its row was changed."""

    code: ClassVar[str] = "secrets.no_key"
    status: ClassVar[int] = 409


def master_keys() -> list[SealingKey]:
    """The keys of CONFHUB_MASTER_KEYS, the one that wraps first; [] where none is set.

    Raises BadKey, naming the key by its place in the list and never quoting it.
    """
    text = str(settings.CONFHUB_MASTER_KEYS)
    words = [word.strip() for line in text.splitlines() for word in line.split(",")]
    found: dict[str, SealingKey] = {}
    for number, word in enumerate(filter(None, words), 1):
        try:
            key = SealingKey.from_text(word)
        except BadKey as error:
            raise BadKey(f"Key {number} of CONFHUB_MASTER_KEYS cannot be used: {error}.") from None
        if key.kid in found:
            raise BadKey(f"Key {number} of CONFHUB_MASTER_KEYS has the name of one before it.")
        found[key.kid] = key
    return list(found.values())


@dataclass
class Keys:
    """The keys as one act sees them. Make one for each act, inside its transaction."""

    _masters: list[SealingKey] = field(default_factory=list, repr=False)
    _of: dict[tuple[str, int], list[SealingKey]] = field(default_factory=dict, repr=False)
    _fingerprint: SealingKey | None = field(default=None, repr=False)

    def all_of(self, place: Place) -> list[SealingKey]:
        """Every key of the place, the newest first; [] before its first secret. Raises KeyIsSealed."""
        name = (type(place).__name__, place.pk)
        if name not in self._of:
            rows = SealingKeyRow.objects.filter(**owner(place)).order_by("-id")
            self._of[name] = [self.unwrapped(row) for row in rows]
        return self._of[name]

    def sealing(self, place: Place, *, now: datetime) -> SealingKey:
        """The key that seals there now, made with its reserve where there is none yet.

        Raises NoMasterKey, KeyIsSealed.
        """
        found = self.all_of(place) or self._make_first(place, now=now)
        return found[min(1, len(found) - 1)]

    def ring(self, place: Place) -> Keyring:
        """What opens everything that was ever sealed there."""
        return Keyring({("", key.kid): key for key in self.all_of(place)})

    def fingerprint(self, *, now: datetime) -> SealingKey:
        """The one key of all fingerprints, made at first use. Raises NoMasterKey, KeyIsSealed."""
        if self._fingerprint is None:
            row = SealingKeyRow.objects.filter(kid=FINGERPRINT).first()
            if row is None:
                key = SealingKey.generate(FINGERPRINT)
                # Two may come here at once; the second one takes the first one's row.
                row, _ = SealingKeyRow.objects.get_or_create(
                    kid=FINGERPRINT,
                    defaults={"wrapped": self._wrapped(key, {}), "created_at": now},
                )
            self._fingerprint = self.unwrapped(row)
        return self._fingerprint

    def add(self, place: Place, *, now: datetime) -> SealingKey:
        """Another key for the place, in reserve; the one that was in reserve seals from now on.

        The caller holds the place's lock.
        """
        key = SealingKey.generate(f"{type(place).__name__.lower()}-{place.pk}-{token_hex(4)}")
        SealingKeyRow.objects.create(
            **owner(place), kid=key.kid, wrapped=self._wrapped(key, owner(place)), created_at=now
        )
        self._of.pop((type(place).__name__, place.pk), None)
        return key

    def rewrap(self, row: SealingKeyRow) -> bool:
        """Wrap the row's key with the first master key; False where it is so already."""
        first = self._first_master()
        if row.wrapped.split(":")[1] == first.kid:
            return False
        row.wrapped = self._wrapped(self.unwrapped(row), _named(row))
        row.save(update_fields=["wrapped"])
        return True

    @transaction.atomic
    def _make_first(self, place: Place, *, now: datetime) -> list[SealingKey]:
        rows: Any = type(place).objects  # a scope's or a layer's
        rows.select_for_update().get(pk=place.pk)  # two first secrets at once make one pair
        self._of.pop((type(place).__name__, place.pk), None)
        if not self.all_of(place):
            self.add(place, now=now)
            self.add(place, now=now)
        return self.all_of(place)

    def seal_text(self, text: str, *, name: str) -> str:
        """`text` under the first master key, bound to `name` ("webhook 7"): for what is no entry.

        Raises NoMasterKey.
        """
        return seal(text, self._first_master(), service="", environment="", name=name)

    def open_text(self, sealed: str, *, name: str) -> str:
        """What `seal_text` sealed. Raises NoMasterKey, KeyIsSealed."""
        ring = Keyring({("", key.kid): key for key in self._read_masters()})
        try:
            return str(unseal(sealed, ring, service="", environment="", name=name))
        except CannotOpen:
            raise KeyIsSealed(
                f"The secret of {name} cannot be opened with CONFHUB_MASTER_KEYS. Add the key that "
                "sealed it again, behind the others, or give it a new secret."
            ) from None

    def _first_master(self) -> SealingKey:
        found = self._read_masters()
        if not found:
            raise NoMasterKey(f"Secrets cannot be kept: CONFHUB_MASTER_KEYS is not set. {HOW}")
        return found[0]

    def _read_masters(self) -> list[SealingKey]:
        if not self._masters:
            try:
                self._masters = master_keys()
            except BadKey as error:
                raise NoMasterKey(f"Secrets cannot be kept or opened: {error} {HOW}") from None
        return self._masters

    def _wrapped(self, key: SealingKey, place: dict[str, Place]) -> str:
        raw = base64.b64encode(key.raw).decode()
        name = _bound(key.kid, place)
        return seal(raw, self._first_master(), service="", environment="", name=name)

    def unwrapped(self, row: SealingKeyRow) -> SealingKey:
        """The key that a row holds. Raises NoMasterKey, KeyIsSealed."""
        ring = Keyring({("", key.kid): key for key in self._read_masters()})
        name = _bound(row.kid, _named(row))
        try:
            raw = unseal(row.wrapped, ring, service="", environment="", name=name)
        except CannotOpen:
            master = row.wrapped.split(":")[1] if row.wrapped.count(":") > 1 else "?"
            missing = master not in {key.kid for key in self._read_masters()}
            why = (
                f"it is sealed by the master key {master}, which is not in CONFHUB_MASTER_KEYS. "
                "Add it again, behind the others"
                if missing
                else f"the master key {master} that is here does not open it: another key has "
                "this name, or the row was changed or moved. Set the right one"
            )
            raise KeyIsSealed(f"The key {row.kid} for secrets cannot be used: {why}.") from None
        return SealingKey(row.kid, base64.b64decode(str(raw)))


def rewrap_all() -> tuple[int, int]:
    """Wrap every key with the first master key: (how many were, how many there are).

    Each row in a transaction of its own: whatever stops it, every key stays openable, and the next
    run goes on. Raises NoMasterKey, KeyIsSealed.
    """
    keys, done, total = Keys(), 0, 0
    for pk in SealingKeyRow.objects.order_by("id").values_list("pk", flat=True):
        with transaction.atomic():
            row = SealingKeyRow.objects.select_for_update().filter(pk=pk).first()
            if row is not None:  # its service may have been removed meanwhile
                total += 1
                done += keys.rewrap(row)
    return done, total


def key_named(kid: str, service: str, environment: str) -> SealingKey | None:
    """A key of the scope by its name, for an agent beside this database; None where it has none.

    Raises NoMasterKey, KeyIsSealed.
    """
    row = SealingKeyRow.objects.filter(
        kid=kid, scope__service__slug=service, scope__environment__slug=environment
    ).first()
    return Keys().unwrapped(row) if row is not None else None


def places_of(kids: Collection[str]) -> dict[str, Place]:
    """{name of a key: the scope or layer that it belongs to}, in one query."""
    if not kids:
        return {}
    rows = SealingKeyRow.objects.filter(kid__in=kids)
    rows = rows.select_related("scope__service", "scope__environment", "layer")
    found = {row.kid: row.scope or row.layer for row in rows}
    return {kid: place for kid, place in found.items() if place is not None}


def used_by(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names of the keys that these entries are sealed with."""
    return {str(each["ciphertext"]).split(":")[1] for each in entries if each.get("secret")}


def _named(row: SealingKeyRow) -> dict[str, Any]:
    """The row's owner in the shape of `places.owner`, by row ids alone."""
    if row.scope_id is not None:
        return {"scope": row.scope_id}
    return {"layer": row.layer_id} if row.layer_id is not None else {}


def _bound(kid: str, place: dict[str, Any]) -> str:
    """What a wrapped key is bound to, so that one that was moved to another place does not open."""
    for name, held in place.items():
        return f"{name} {held if isinstance(held, int) else held.pk} key {kid}"
    return f"key {kid}"
