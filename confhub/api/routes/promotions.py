"""Keys of one environment's release into the draft of another. Never a publish."""

from typing import TYPE_CHECKING, Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import BaseModel, Field

from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, Text
from confhub.api.schemas import ChangeOut, NamedKey, ReleaseNumber
from confhub.core import clock
from confhub.releases import promoting

if TYPE_CHECKING:
    from confhub.releases.diff import Change

router = Router(tags=["promote"])
PATH = "/services/{service}/promote"
Slug = Annotated[str, Query(max_length=200, description="An environment's slug.")]


class PromoteIn(Body):
    from_: Text = Field(alias="from", description="The environment whose newest release is taken.")
    to: Text = Field(description="The environment whose draft gets it.")
    keys: list[NamedKey] | None = Field(None, description="Left out: every key that may be taken.")
    only_new: bool = Field(False, description="Only keys that the target does not have.")
    expected_release: ReleaseNumber | None = Field(
        None, description="Refuse with 409 when another release of the source is the newest one."
    )
    expected_draft: ReleaseNumber | None = Field(
        None, description="Refuse with 412 a key that changed in the target's draft after it."
    )


class OfferOut(BaseModel):
    """A key that the target's draft has not, or otherwise."""

    change: ChangeOut = Field(description="From the target's draft to the source.")
    refused: str = Field(description="Why you cannot take it; empty where you can.")
    layer: str = Field(description="The source's layer that sets it; empty: the source itself.")


class PlanOut(BaseModel):
    source: str = Field(examples=["checkout@staging"])
    target: str = Field(examples=["checkout@prod"])
    source_release: int
    target_draft: int = Field(description="The version of the target's draft.")
    offers: list[OfferOut]


class PromotedOut(BaseModel):
    target: str
    version: int = Field(description="The target's draft has it now.")
    changes: list[ChangeOut]
    problems: dict[str, str] = Field(description="References without a target there, by key.")


@router.get(PATH, response=PlanOut)
def plan_promotion(
    request: HttpRequest, service: str,
    source: Annotated[str, Query(alias="from", max_length=200, description="Its slug.")],
    to: Slug,
    only_new: Annotated[
        bool, Query(False, description="1: only keys that the target does not have.")
    ],
) -> PlanOut:  # fmt: skip
    """What could be promoted, key by key, secrets by their fingerprint."""
    who = who_asks(request)
    ends = [access.scope_for(who, "see", service, slug) for slug in (source, to)]
    found = promoting.plan(*ends, only_new=only_new, who=who)
    return PlanOut(
        source=str(found.source),
        target=str(found.target),
        source_release=found.source_release,
        target_draft=found.target_version,
        offers=[
            OfferOut(change=_change(each.change), refused=each.refused, layer=each.layer)
            for each in found.offers
        ],
    )


@router.post(PATH, response=PromotedOut)
def promote(request: HttpRequest, service: str, body: PromoteIn) -> Any:
    """Set keys in the target's draft as the source's newest release has them; all or none."""
    who = who_asks(request)
    source = access.scope_for(who, "see", service, body.from_)
    target = access.scope_for(who, "edit", service, body.to)
    keys = body.keys
    if keys is None:
        offers = promoting.plan(source, target, only_new=body.only_new, who=who).offers
        keys = [each.key for each in offers if not each.refused]
    done = promoting.promote(
        source, target, keys, only_new=body.only_new, expected_source=body.expected_release,
        expected=body.expected_draft, is_dry_run=False, who=who, now=clock.now(),
    )  # fmt: skip
    assert done.draft is not None  # noqa: S101  # it is no dry run
    return PromotedOut(
        target=str(target),
        version=done.draft.version,
        changes=[_change(each) for each in done.changes],
        problems=dict(done.problems),
    )


def _change(change: "Change") -> ChangeOut:
    return ChangeOut(key=change.key, kind=change.kind, old=change.old, new=change.new)
