"""One service in all its environments, and drafts of several places changed in one call."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import BaseModel, Field

from confhub.access import places
from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, Text, seen_version
from confhub.api.lists import After, Limit, page_after
from confhub.api.schemas import JsonValue, Key, NamedKey, ReleaseNumber
from confhub.core import clock
from confhub.releases import bulk
from confhub.releases.bulk import Edit
from confhub.releases.entries import answered
from confhub.releases.side_by_side import Cell, KeyLine, side_by_side

router = Router(tags=["every environment"])
PATH = "/services/{service}/all"


class ColumnOut(BaseModel):
    environment: str
    version: int = Field(description="Of its draft, for `versions`.")
    release: int = Field(description="The newest; 0 before the first.")
    drafted: int = Field(description="How many keys its draft changes.")


class KeyCellOut(BaseModel):
    there: bool = Field(description="false: the environment has no such key.")
    value: JsonValue
    drafted: bool = Field(description="The draft says otherwise than the newest release.")
    layer: str = Field(description="The layer that sets it; empty: the environment's own.")


class KeyLineOut(BaseModel):
    key: str
    differs: bool
    missing: bool = Field(description="Some environment does not have it.")
    cells: list[KeyCellOut] = Field(description="One for each environment, in their order.")


class AllOut(BaseModel):
    environments: list[ColumnOut]
    items: list[KeyLineOut]
    next: str | None


class KeyEverywhereIn(Body):
    key: Key
    set: dict[Text, JsonValue] = Field(
        default_factory=dict, description="{environment: the key's value there}"
    )
    unset: list[Text] = Field(default_factory=list, description="Environments that shall lose it.")
    versions: dict[Text, ReleaseNumber] = Field(
        description="{environment: its draft's version as you saw it}, for each that is named."
    )


class EditIn(Body):
    place: Text = Field(description=places.WORDS, examples=["checkout@prod"])
    set: dict[Key, JsonValue] = Field(default_factory=dict)
    unset: list[Key] = Field(default_factory=list)
    revert: list[NamedKey] = Field(default_factory=list)
    if_match: Text | None = Field(
        None, description="The draft's ETag as you saw it, or '*'. Needed.", examples=['"7"', "*"]
    )


class EditedOut(BaseModel):
    place: str
    version: int = Field(description="Of the draft, now.")
    changes: int = Field(description="How many keys the draft changes.")


@router.get(PATH, response=AllOut)
def get_all_environments(
    request: HttpRequest, service: str, after: After, limit: Limit,
    q: Annotated[str, Query("", max_length=120, description="In the key or a readable value.")],
    show: Annotated[Literal["all", "differs", "missing"], Query("all")],
) -> AllOut:  # fmt: skip
    """Every key of every environment that you may see, as the drafts have them, side by side."""
    who = who_asks(request)
    table = side_by_side(access.scopes_of(who, access.service_for(who, "see", service)))
    lines, following = page_after(
        table.narrowed(wanted=q.strip(), only=show), after=after, limit=limit, key=_key
    )
    return AllOut(
        environments=[
            ColumnOut(
                environment=each.scope.environment.slug, version=each.version, release=each.head,
                drafted=each.drafted,
            )
            for each in table.columns
        ],
        items=[_line(each) for each in lines],
        next=following,
    )  # fmt: skip


@router.patch(PATH, response=list[EditedOut])
def set_in_environments(request: HttpRequest, service: str, body: KeyEverywhereIn) -> Any:
    """One key with its own value in the drafts of several environments; in all or in none."""
    who = who_asks(request)
    both = set(body.set) & set(body.unset)
    missing = {*body.set, *body.unset} - set(body.versions)
    for slugs, what in ((both, "is both set and unset"), (missing, "has no version in `versions`")):
        if slugs:
            sentence = f"{min(slugs)[:80]} {what}."
            raise bulk.BadBulk(f"Nothing was changed. {sentence}", fields={"set": sentence})
    named = [*body.set, *dict.fromkeys(body.unset)]
    edits = [
        Edit(
            access.scope_for(who, "edit", service, slug),
            set={body.key: body.set[slug]} if slug in body.set else {},
            unset=[body.key] if slug not in body.set else [],
            version=body.versions[slug],
        )
        for slug in named
    ]
    return _edited(edits, bulk.edit_all(edits, who=who, now=clock.now()))


@router.post("/edits", response=list[EditedOut])
def edit_drafts(request: HttpRequest, body: list[EditIn]) -> Any:
    """Change the drafts of several places, all of them or none. 412 where one of them moved."""
    who = who_asks(request)
    edits = [
        Edit(
            places.place_named(who, "edit", each.place),
            set=each.set, unset=each.unset, revert=each.revert,
            version=seen_version(each.if_match, of=f"the draft of {each.place[:120]}"),
        )
        for each in body[: bulk.MAX_EDITS + 1]
    ]  # fmt: skip
    return _edited(edits, bulk.edit_all(edits, who=who, now=clock.now()))


def _edited(edits: list[Edit], views: list[Any]) -> list[EditedOut]:
    return [
        EditedOut(place=places.name_of(edit.place), version=view.version, changes=len(view.changes))
        for edit, view in zip(edits, views, strict=True)
    ]


def _key(line: KeyLine) -> str:
    return line.key


def _line(line: KeyLine) -> KeyLineOut:
    return KeyLineOut(
        key=line.key, differs=line.differs, missing=line.missing,
        cells=[_cell(each) for each in line.cells],
    )  # fmt: skip


def _cell(cell: Cell) -> KeyCellOut:
    is_there = cell.entry is not None
    value: Any = answered(cell.entry) if cell.entry is not None else None
    return KeyCellOut(there=is_there, value=value, drafted=cell.drafted, layer=cell.layer)
