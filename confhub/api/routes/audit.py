"""The audit: who did what to which thing, chained by digests."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from confhub.access import audit
from confhub.api.auth import who_asks
from confhub.api.lists import After, cursor, number_of
from confhub.api.schemas import AuditEntryOut, Page
from confhub.events import export

router = Router(tags=["audit"])
MAX_LIMIT = 5000  # so that an export takes few calls

Limit = Annotated[int, Query(100, description="How many at most.", ge=1, le=MAX_LIMIT)]
Moment = Annotated[str, Query("", max_length=40, description="As 2026-11-24 or 2026-11-24T12:00Z.")]
_ANSWERS = {
    200: {
        "description": 'OK. `Link` with `rel="next"` leads to the part behind it.',
        "content": {
            "application/jsonl": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}


@router.get("/audit", response=Page[AuditEntryOut], openapi_extra={"responses": _ANSWERS})
def list_audit(
    request: HttpRequest, after: After, limit: Limit,
    person: Annotated[str, Query("", max_length=200, description="Who did it.")],
    target: Annotated[str, Query("", max_length=200, description="What the target begins with.")],
    action: Annotated[str, Query("", max_length=200, description="What the action begins with.")],
    since: Moment, until: Moment,
    format: Annotated[Literal["json", "jsonl", "csv"], Query("json")],  # the contract's word
) -> Any:  # fmt: skip
    """The newest first. You see entries about what you may see; administrators see all."""
    who = who_asks(request)
    wanted = audit.Wanted(
        person=person, target=target, action=action,
        since=audit.moment_of(since, field="since"), until=audit.moment_of(until, field="until"),
    )  # fmt: skip
    rows = audit.entries_for(who, wanted, before=number_of(after), limit=limit + 1)
    shown = rows[:limit]
    following = cursor(str(shown[-1].position)) if len(rows) > limit else None
    if format == "json":
        return Page(
            items=[AuditEntryOut(**export.document(each)) for each in shown], next=following
        )
    response = HttpResponse(
        "".join(export.lines(shown, format)), content_type=export.MEDIA_TYPES[format]
    )
    response["Cache-Control"] = "private, no-store"
    if following:
        again = request.GET.copy()
        again["after"] = following
        response["Link"] = f'<{request.path}?{again.urlencode()}>; rel="next"'
    return response
