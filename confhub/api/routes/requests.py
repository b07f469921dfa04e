"""Requests for approval: ask, read, comment, decide, publish. For scopes and for layers."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Path, Router, Status
from pydantic import BaseModel, Field

from confhub.access import layers as layer_doors
from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, Text
from confhub.api.idempotency import MAY_REPEAT, once
from confhub.api.layer_schemas import CutOut, ScopeName
from confhub.api.lists import After, Limit, cursor, number_of
from confhub.api.publishes import published_once
from confhub.api.schemas import Confirmed, Moment, Page
from confhub.core import clock
from confhub.publishing import asked, requests
from confhub.publishing.gates import Consent
from confhub.publishing.layers import LayerPublished

if TYPE_CHECKING:
    from confhub.core.actors import Actor
    from confhub.publishing.models import ReleaseRequest
    from confhub.releases.places import Place

router = Router(tags=["requests"])
SCOPE = "/services/{service}/environments/{environment}/requests"
LAYER = "/layers/{kind}/{slug}/requests"
GLOBAL = "/layers/global/requests"
Kind = Annotated[Literal["environments", "sets", "services"], Path()]
KINDS = {"environments": "environment", "sets": "set", "services": "service"}


class RequestIn(Body):
    message: Text = Field(description="Why; the release gets it where nothing else is said.")
    expected_draft: int | None = Field(
        None, ge=0, description="Refuse with 412 when the draft has another version."
    )


class LayerRequestIn(RequestIn):
    targets: Literal["all"] | list[ScopeName] = Field(
        "all", description="The scopes for which a release shall be cut."
    )


class ApproveIn(Body):
    """`text`: a comment, where there is something to say."""

    text: Text = ""


class CommentIn(Body):
    text: Text = Field(description="1 to 2,000 characters.")


class PublishIn(Body):
    """`message`: the request's own where it is left out."""

    message: Text = ""
    confirm: Confirmed = Field(default_factory=list)


class CommentOut(BaseModel):
    author: str
    text: str
    at: Moment


class RequestOut(BaseModel):
    """Somebody asks others to agree with a draft."""

    id: int
    service: str | None = Field(description="With `environment`: the scope; null of a layer.")
    environment: str | None
    layer: str | None = Field(description='"global", "set tls" …; null of a scope.')
    state: Literal["open", "approved", "rejected", "withdrawn", "published"]
    out_of_date: bool = Field(
        description="Something else would be published now, so it must be asked anew. In a list: "
        "the draft or the newest release moved since."
    )
    message: str
    author: str
    asked_at: Moment
    decided_by: str
    decided_at: Moment | None
    draft_version: int
    targets: list[dict[str, str]] | None = Field(description="Of a layer, as far as you see them.")
    comments: list[CommentOut]


class RequestPublished(BaseModel):
    request: RequestOut
    releases: list[CutOut] = Field(description="Each release that was cut.")


@router.get("/requests", response=Page[RequestOut])
def list_requests(
    request: HttpRequest, after: After, limit: Limit, mine: bool = False
) -> Page[RequestOut]:
    """Requests that are open or not published yet, the oldest first; `mine=true`: those that wait
    for you."""
    who, last = who_asks(request), number_of(after)
    if mine:
        found = asked.waiting_for(who, after=last)
    else:
        found = asked.standing_for(who, after=last, limit=limit + 1)
    shown = found[:limit]
    following = cursor(str(shown[-1].pk)) if len(found) > limit else None
    return Page(items=_listed(who, shown), next=following)


@router.get(SCOPE, response=Page[RequestOut])
def list_scope_requests(
    request: HttpRequest, service: str, environment: str, after: After, limit: Limit
) -> Page[RequestOut]:
    """Every request of the scope, the newest first."""
    who = who_asks(request)
    return _page(who, access.scope_for(who, "see", service, environment), after, limit)


@router.post(SCOPE, response={201: RequestOut}, openapi_extra=MAY_REPEAT)
def ask_for_scope(
    request: HttpRequest, service: str, environment: str, body: RequestIn, response: HttpResponse
) -> Any:
    """Ask another person to agree with the draft. One that is out of date gives way."""
    who, now = who_asks(request), clock.now()
    scope = access.scope_for(who, "edit", service, environment)

    def act() -> Status[RequestOut]:
        made = requests.ask(
            scope, message=body.message, expected_draft=body.expected_draft, who=who, now=now
        )
        return Status(201, _one(who, made))

    return once(request, response, act, who=who, now=now)


@router.get(GLOBAL, response=Page[RequestOut])
def list_global_layer_requests(
    request: HttpRequest, after: After, limit: Limit
) -> Page[RequestOut]:
    """Every request of the global layer, the newest first."""
    who = who_asks(request)
    return _page(who, layer_doors.layer_for(who, "see", "global"), after, limit)


@router.post(GLOBAL, response={201: RequestOut}, openapi_extra=MAY_REPEAT)
def ask_for_global_layer(request: HttpRequest, body: LayerRequestIn, response: HttpResponse) -> Any:
    """Ask another person to agree with the draft of the global layer."""
    return _ask_layer(request, "global", "", body, response)


@router.get(LAYER, response=Page[RequestOut])
def list_layer_requests(
    request: HttpRequest, kind: Kind, slug: str, after: After, limit: Limit
) -> Page[RequestOut]:
    """Every request of a layer, the newest first."""
    who = who_asks(request)
    return _page(who, layer_doors.layer_for(who, "see", KINDS[kind], slug), after, limit)


@router.post(LAYER, response={201: RequestOut}, openapi_extra=MAY_REPEAT)
def ask_for_layer(
    request: HttpRequest, kind: Kind, slug: str, body: LayerRequestIn, response: HttpResponse
) -> Any:
    """Ask another person to agree with the draft of a layer."""
    return _ask_layer(request, KINDS[kind], slug, body, response)


@router.get("/requests/{number}", response=RequestOut)
def get_request(request: HttpRequest, number: int) -> RequestOut:
    """One request of whatever place."""
    who = who_asks(request)
    return _one(who, requests.request_for(who, "see", number))


@router.post("/requests/{number}/approve", response=RequestOut)
def approve_request(request: HttpRequest, number: int, body: ApproveIn | None = None) -> RequestOut:
    """Agree with it, as another person than who asked."""
    who = who_asks(request)
    held = requests.request_for(who, "approve", number)
    text = body.text if body is not None else ""
    return _one(who, requests.approve(held, text=text, who=who, now=clock.now()))


@router.post("/requests/{number}/reject", response=RequestOut)
def reject_request(request: HttpRequest, number: int, body: CommentIn) -> RequestOut:
    """Say no, and why."""
    who = who_asks(request)
    held = requests.request_for(who, "approve", number)
    return _one(who, requests.reject(held, text=body.text, who=who, now=clock.now()))


@router.post("/requests/{number}/withdraw", response=RequestOut)
def withdraw_request(request: HttpRequest, number: int) -> RequestOut:
    """Take it back."""
    who = who_asks(request)
    held = requests.request_for(who, "see", number)
    return _one(who, requests.withdraw(held, who=who, now=clock.now()))


@router.post("/requests/{number}/comments", response={201: CommentOut}, openapi_extra=MAY_REPEAT)
def comment_on_request(
    request: HttpRequest, number: int, body: CommentIn, response: HttpResponse
) -> Any:
    """Say something about it."""
    who, now = who_asks(request), clock.now()
    held = requests.request_for(who, "see", number)

    def act() -> Status[CommentOut]:
        made = requests.comment(held, text=body.text, who=who, now=now)
        return Status(201, CommentOut(author=made.author, text=made.text, at=clock.stamp(made.at)))

    return once(request, response, act, who=who, now=now)


@router.post(
    "/requests/{number}/publish", response={201: RequestPublished}, openapi_extra=MAY_REPEAT
)
def publish_request(
    request: HttpRequest, number: int, response: HttpResponse, body: PublishIn | None = None
) -> Any:
    """Publish what was approved."""
    who, now, said = who_asks(request), clock.now(), body or PublishIn()
    held = requests.request_for(who, "publish", number)

    def act(consent: Consent) -> Status[RequestPublished]:
        done = requests.publish_request(
            held, message=said.message, consent=consent, who=who, now=now
        )
        cut = done.cut if isinstance(done, LayerPublished) else [done]
        named = [
            CutOut(
                service=each.release.scope.service.slug,
                environment=each.release.scope.environment.slug,
                release=each.release.number,
            )
            for each in cut
        ]
        fresh = requests.request_for(who, "see", held.pk)
        return Status(201, RequestPublished(request=_one(who, fresh), releases=named))

    consent = Consent(confirmed=said.confirm)
    return published_once(request, response, act, consent, who=who, now=now)


def _ask_layer(
    request: HttpRequest, kind: str, slug: str, body: LayerRequestIn, response: HttpResponse
) -> Any:
    who, now = who_asks(request), clock.now()
    layer = layer_doors.layer_for(who, "edit", kind, slug)
    named = body.targets
    targets = named if named == "all" else [(each.service, each.environment) for each in named]

    def act() -> Status[RequestOut]:
        made = requests.ask(
            layer, message=body.message, targets=targets, expected_draft=body.expected_draft,
            who=who, now=now,
        )  # fmt: skip
        return Status(201, _one(who, made))

    return once(request, response, act, who=who, now=now)


def _page(who: "Actor", place: "Place", after: str | None, limit: int) -> Page[RequestOut]:
    rows = asked.requests_of(place, before=number_of(after), limit=limit + 1)
    shown = rows[:limit]
    following = cursor(str(shown[-1].pk)) if len(rows) > limit else None
    return Page(items=_listed(who, shown), next=following)


def _listed(who: "Actor", rows: "list[ReleaseRequest]") -> list[RequestOut]:
    comments = asked.comments_of(rows)
    return [
        _out(
            who, each.request, each.place, comments[each.request.pk],
            out_of_date=each.moved and each.request.state in ("open", "approved"),
        )
        for each in asked.listed(rows)
    ]  # fmt: skip


def _one(who: "Actor", held: "ReleaseRequest") -> RequestOut:
    comments = asked.comments_of([held])[held.pk]
    out_of_date = asked.is_out_of_date(held)
    return _out(who, held, asked.place_of(held), comments, out_of_date=out_of_date)


def _out(
    who: "Actor", held: "ReleaseRequest", place: Any, comments: "list[Any]", *, out_of_date: bool
) -> RequestOut:
    is_scope = held.layer_id is None
    return RequestOut(
        id=held.pk,
        service=place.service.slug if is_scope else None,
        environment=place.environment.slug if is_scope else None,
        layer=None if is_scope else str(place),
        state=held.state,  # type: ignore[arg-type]  # its column has these choices
        out_of_date=out_of_date,
        message=held.message,
        author=held.author,
        asked_at=clock.stamp(held.asked_at),
        decided_by=held.decided_by,
        decided_at=clock.stamp(held.decided_at) if held.decided_at else None,
        draft_version=held.draft_version,
        targets=None if is_scope else asked.targets_for(who, held)[0],
        comments=[
            CommentOut(author=each.author, text=each.text, at=clock.stamp(each.at))
            for each in comments
        ],
    )
