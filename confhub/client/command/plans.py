"""What bringing a file into a place would change there, and what stands in its way."""

from dataclasses import dataclass, field
from typing import Any

from confhub.client.command import documents, own
from confhub.client.command.calls import Api
from confhub.client.command.documents import Config, Service
from confhub.client.command.failures import Failure, Problem
from confhub.client.command.own import ABSENT
from confhub.client.command.places import Place
from confhub.client.command.words import is_mask

Document = dict[str, Any]


class InTheWay(Failure):
    """The draft holds other people's edits to keys of the file."""


@dataclass(frozen=True)
class Plan:
    """For one place, made from what it is now. `set`, `unset`, `revert` are the draft's PATCH; with
    `publishes` they are the release's change and, behind it, what is cleared from the draft."""

    place: Place
    source: str
    publishes: bool
    release: int  # the newest one
    draft: int  # its version
    changes: list[Document]
    set: dict[str, Any] = field(default_factory=dict)
    unset: list[str] = field(default_factory=list)
    revert: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # own keys that the file does not have
    others: list[Document] = field(default_factory=list)  # drafted keys in the way: {key, author}

    @property
    def is_empty(self) -> bool:
        return not (self.set or self.unset or self.revert)

    @property
    def document(self) -> Document:
        return {"place": str(self.place), "source": self.source, "changes": self.changes, "left": self.left}  # fmt: skip


def plan_of(api: Api, config: Config, *, publishes: bool, prune: bool, me: str) -> Plan:
    """Raises Failure where the file has the mask of a secret that is not there."""
    held = own.held(api, config.place)
    drafted = own.draft(api, config.place)
    base = held.own if publishes else own.with_draft(held, drafted)
    _refuse_missing(config, base)
    wanted = {key: value for key, value in config.entries.items() if not is_mask(value)}
    gone = sorted(held.own.keys() - config.entries.keys()) if prune else []
    differing = {key: value for key, value in wanted.items() if not _is(base, key, value)}
    back = [] if publishes else [key for key in differing if _is(held.own, key, differing[key])]
    in_way = [each for each in drafted["changes"] if _differs(each, wanted, gone)]
    after = {key: value for key, value in {**base, **differing}.items() if key not in gone}
    return Plan(
        config.place, config.source, publishes, held.release, drafted["version"],
        changes=own.differences(base, after),
        set={key: value for key, value in differing.items() if key not in back},
        unset=[key for key in gone if key in base],
        revert=_cleared(drafted["changes"], in_way, differing, gone) if publishes else back,
        left=sorted(base.keys() - config.entries.keys() - set(gone)),
        others=[{"key": each["key"], "author": each["author"]} for each in in_way if each["author"] != me],
    )  # fmt: skip


def refuse_others(plans: list[Plan]) -> None:
    """Raise InTheWay where a draft holds somebody else's unpublished edits to the same keys."""
    found = [f"{plan.place}: {each['key']} by {each['author']}" for plan in plans for each in plan.others]  # fmt: skip
    if found:
        raise InTheWay(
            f"Drafts hold unpublished edits to the same keys, and nothing was written. {'; '.join(found)}. "
            "Publish or revert them, or write over them with --over-drafts.",
            code="apply.drafted", in_the_way=[{"place": str(plan.place), **each} for plan in plans for each in plan.others],
        )  # fmt: skip


def _refuse_missing(config: Config, base: dict[str, Any]) -> None:
    if missing := documents.missing_secrets(config.entries, base):
        raise Failure(
            f"{config.source}: {config.place} has no secret {missing[0]}, and the file has only its mask. "
            f"Set it first: confhub set {config.place} --secret {missing[0]}",
            code="apply.secret_missing", keys=missing,
        )  # fmt: skip


def _cleared(
    drafted: list[Document], in_way: list[Document], differing: dict[str, Any], gone: list[str]
) -> list[str]:
    """Drafted keys that the release decides, so that no half of an edit stays behind."""
    decided = {*differing, *gone, *(each["key"] for each in in_way)}
    return [each["key"] for each in drafted if each["key"] in decided]


def _is(entries: dict[str, Any], key: str, value: Any) -> bool:
    there = entries.get(key, ABSENT)
    return there is not ABSENT and own.same(there, value)


def _differs(drafted: Document, wanted: dict[str, Any], gone: list[str]) -> bool:
    """True for a drafted key that the file wants otherwise."""
    key = drafted["key"]
    if key in gone:
        return not drafted["removed"]
    if key not in wanted:
        return False
    return bool(drafted["removed"]) or not own.same(drafted["value"], wanted[key])


# ── services ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ServicePlan:
    """What differs of a service. `exists` false: it is made first."""

    wanted: Service
    exists: bool
    fields: Document  # for PATCH
    schema: Document | None  # for PUT; None: as it is
    schema_number: int = 0

    @property
    def is_empty(self) -> bool:
        return self.exists and not self.fields and self.schema is None

    @property
    def document(self) -> Document:
        schema = {} if self.schema is None else {"schema": self.schema}
        return {"service": self.wanted.slug, "source": self.wanted.source, "new": not self.exists, "changes": {**self.fields, **schema}}  # fmt: skip


def service_plan_of(api: Api, wanted: Service, *, create: bool) -> ServicePlan:
    """Raises Problem where there is no such service and it is not to be made."""
    asked = {"name": wanted.name, "description": wanted.description, "includes": wanted.includes}
    asked = {name: value for name, value in asked.items() if value is not None}
    try:
        there = api.get(f"/services/{wanted.slug}")
    except Problem as problem:
        if problem.status != 404 or not create:
            raise
        return ServicePlan(wanted, False, asked, wanted.schema)
    fields = {name: value for name, value in asked.items() if there[name] != value}
    number, schema = _schema(api, wanted.slug) if wanted.schema is not None else (0, None)
    is_same = wanted.schema is None or (schema is not None and own.same(schema, wanted.schema))
    return ServicePlan(wanted, True, fields, None if is_same else wanted.schema, number)


def _schema(api: Api, slug: str) -> tuple[int, Document | None]:
    try:
        found = api.get(f"/services/{slug}/schema")
    except Problem as problem:
        if problem.status == 404:
            return 0, None
        raise
    return found["number"], found["document"]
