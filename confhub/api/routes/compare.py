"""Two to six sets of entries side by side: environments, drafts, releases, instances."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import BaseModel, Field

from confhub.api.auth import who_asks
from confhub.api.schemas import ChangeOut, JsonValue
from confhub.fleet.sides import side_of
from confhub.releases.comparing import Line, check_count, matrix
from confhub.releases.diff import diff
from confhub.releases.entries import answered

router = Router(tags=["compare"])
WORDS = "checkout@dev, checkout@dev/draft, checkout@dev/r42, checkout@dev/instances/ID, and behind the latter /target."

SideWord = Annotated[str, Query("", max_length=400)]


class SideOut(BaseModel):
    side: str = Field(description="As it was asked for.")
    title: str = Field(description="For people.")
    release: int | None = Field(description="null for a draft, and where nothing is published.")


class CellOut(BaseModel):
    there: bool = Field(description="false: the side has no such key.")
    value: JsonValue


class ComparedKey(BaseModel):
    key: str
    differs: bool
    cells: list[CellOut] = Field(description="One for each side, in the sides' order.")


class ComparisonOut(BaseModel):
    sides: list[SideOut]
    keys: list[ComparedKey]
    changes: list[ChangeOut] | None = Field(
        description="Of two sides what turns the first into the second; null for more."
    )


@router.get("/compare", response=ComparisonOut)
def compare(
    request: HttpRequest,
    a: Annotated[str, Query(max_length=400, description=WORDS)],
    b: Annotated[str, Query(max_length=400, description=WORDS)],
    c: SideWord, d: SideWord, e: SideWord, f: SideWord,
    show: Annotated[
        Literal["differences", "all"], Query("differences", description="all: equal keys as well.")
    ],
) -> ComparisonOut:  # fmt: skip
    """Key by key, as containers get them; secrets by their fingerprint."""
    who = who_asks(request)
    asked = {"a": a, "b": b, "c": c, "d": d, "e": e, "f": f}
    named = {name: word for name, word in asked.items() if word.strip()}
    check_count(len(named))
    sides = [side_of(who, word, field=name) for name, word in named.items()]
    changes = None
    if len(sides) == 2:
        changes = [
            ChangeOut(key=each.key, kind=each.kind, old=each.old, new=each.new)
            for each in diff(sides[0].entries, sides[1].entries)
        ]
    return ComparisonOut(
        sides=[SideOut(side=each.name, title=each.title, release=each.release) for each in sides],
        keys=[_key(line) for line in matrix(sides, everything=show == "all")],
        changes=changes,
    )


def _key(line: Line) -> ComparedKey:
    cells: list[Any] = [
        CellOut(there=entry is not None, value=None if entry is None else answered(entry))
        for entry in line.entries
    ]
    return ComparedKey(key=line.key, differs=line.differs, cells=cells)
