"""Where is it used? One text in keys, values, places, releases and people."""

from typing import TYPE_CHECKING, Annotated, Literal

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import BaseModel, Field

from confhub.api.auth import who_asks
from confhub.api.schemas import JsonValue, Moment
from confhub.core import clock
from confhub.releases import searching
from confhub.releases.searching import KINDS, Kind

if TYPE_CHECKING:
    from confhub.releases.places import Place

router = Router(tags=["search"])


class PlaceOut(BaseModel):
    """A service in an environment, or a layer."""

    name: str = Field(examples=["checkout@prod"])
    kind: Literal["scope", "global", "environment", "set", "service"]
    service: str | None
    environment: str | None
    slug: str | None = Field(description="A layer's; null of a scope.")


class UseOut(BaseModel):
    place: PlaceOut
    key: str
    value: JsonValue
    layer: str | None = Field(description="The layer that sets it there; null: the place itself.")
    drafted: Literal["", "set", "removed"] = Field(
        description="By the place's draft; empty: it stands in the newest release."
    )


class FoundRelease(BaseModel):
    place: PlaceOut
    release: int
    message: str
    author: str
    created_at: Moment


class NamedOut(BaseModel):
    slug: str
    name: str


class FoundOut(BaseModel):
    """`more` names the kinds of which only the first are here: ask for that kind alone."""

    keys: list[UseOut]
    values: list[UseOut]
    services: list[NamedOut]
    environments: list[NamedOut]
    layers: list[PlaceOut]
    releases: list[FoundRelease]
    people: list[str]
    more: list[str]


@router.get("/search", response=FoundOut)
def search(
    request: HttpRequest,
    q: Annotated[
        str,
        Query(
            max_length=400,
            description="Letters match in either case. `checkout r42` finds a release; a secret is "
            "found by its key or the beginning of its fingerprint (6 digits at least).",
        ),
    ],
    kind: Annotated[Kind | None, Query(None, description="All kinds where left out.")],
    limit: Annotated[int, Query(20, ge=1, le=200, description="How many of each kind.")],
) -> FoundOut:
    """What you may see that holds the text: newest releases, drafts, layers, names, people."""
    kinds = [kind] if kind else KINDS
    found = searching.search(who_asks(request), q, kinds=kinds, limit=limit)
    return FoundOut(
        keys=[_use(each) for each in found.keys],
        values=[_use(each) for each in found.values],
        services=[NamedOut(slug=each.slug, name=each.name) for each in found.services],
        environments=[NamedOut(slug=each.slug, name=each.name) for each in found.environments],
        layers=[_place(each) for each in found.layers],
        releases=[
            FoundRelease(
                place=_place(each.place),
                release=each.number,
                message=each.message,
                author=each.author,
                created_at=clock.stamp(each.created_at),
            )
            for each in found.releases
        ],
        people=found.people,
        more=sorted(found.more),
    )


def _use(use: searching.Use) -> UseOut:
    return UseOut(
        place=_place(use.place),
        key=use.key,
        value=use.value,
        layer=str(use.layer) if use.layer else None,
        drafted=use.drafted,
    )


def _place(place: "Place") -> PlaceOut:
    kind = getattr(place, "kind", None)
    if kind is not None:
        slug = getattr(place, "slug", "")
        return PlaceOut(name=str(place), kind=kind, service=None, environment=None, slug=slug)
    return PlaceOut(
        name=str(place),
        kind="scope",
        service=place.service.slug,  # type: ignore[union-attr]  # a scope has both
        environment=place.environment.slug,  # type: ignore[union-attr]  # a scope has both
        slug=None,
    )
