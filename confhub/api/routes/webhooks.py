"""Webhooks: make, change and remove them, try them, and what was delivered."""

from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from pydantic import BaseModel, Field

from confhub.access.people import place_for
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, Text
from confhub.api.lists import After, Limit, cursor, number_of, page_after
from confhub.api.schemas import Moment, Page
from confhub.core import clock
from confhub.webhooks import actions, queries
from confhub.webhooks.queries import DeliveryView, WebhookView

router = Router(tags=["webhooks"])
PATH = "/webhooks/{name}"


class WebhookIn(Body):
    name: Text = Field(description="1 to 63 small letters, digits or '-'. It never changes.")
    to: Text = Field(description="A URL; of an e-mail the addresses, with commas between.")
    form: Text = Field("standard", description="standard (signed JSON), slack or email.")
    kinds: list[Text] = Field(
        default_factory=list, description="What is told; left out: all of it, later kinds as well."
    )
    service: Text | None = Field(None, description="Its slug; every one where left out.")
    environment: Text | None = Field(None, description="Its slug; every one where left out.")


class WebhookChange(Body):
    to: Text | None = Field(None, description="Left out: as it is.")
    kinds: list[Text] | None = Field(None, description="Left out: as they are; []: every kind.")
    on: bool | None = Field(None, description="false switches it off; true on, with what waits.")


class WebhookOut(BaseModel):
    name: str
    form: Literal["standard", "slack", "email"]
    to: str = Field(description="Of Slack only its beginning and end, because it is the secret.")
    kinds: list[str] = Field(description="Empty: every kind.")
    service: str | None
    environment: str | None
    on: bool
    off_because: str = Field(description="Why ConfHub switched it off by itself; empty otherwise.")
    failing_since: Moment | None = Field(description="Nothing arrived since then.")
    waiting: int = Field(description="Deliveries that are not done.")
    arrived_at: Moment | None = Field(description="When the newest delivery arrived.")
    made_by: str
    made_at: Moment


class WebhookMade(WebhookOut):
    secret: str = Field(description="Signs; told here and never again. Empty where nothing is.")


class WebhookSecretOut(BaseModel):
    secret: str = Field(description="Told here and never again; the one before is good for a day.")


class WebhookDeliveryOut(BaseModel):
    id: str = Field(description="The header `webhook-id`, the same at every try.")
    kind: str
    state: Literal["waiting", "sent", "given_up"]
    behind: bool = Field(description="It waits for an earlier one of its service and environment.")
    tries: int
    next_try_at: Moment | None
    status: int | None = Field(description="The receiver's, of the newest try.")
    answer: str = Field(description="Its beginning, or why none came.")
    made_at: Moment
    sent_at: Moment | None
    body: dict[str, Any]


@router.get("/webhooks", response=Page[WebhookOut])
def list_webhooks(request: HttpRequest, after: After, limit: Limit) -> Page[WebhookOut]:
    """Those that you administer, by name."""
    found = sorted(queries.webhooks_for(who_asks(request)), key=_name)
    rows, following = page_after(found, after=after, limit=limit, key=_name)
    return Page(items=[_out(each) for each in rows], next=following)


@router.post("/webhooks", response={201: WebhookMade})
def create_webhook(request: HttpRequest, body: WebhookIn, response: HttpResponse) -> Any:
    """It is told what happens from now on. The answer is the only place where its secret stands."""
    who = who_asks(request)
    service, environment = place_for(who, body.service, body.environment)
    made = actions.make_webhook(
        body.name, form=body.form, to=body.to, kinds=body.kinds, service=service,
        environment=environment, who=who, now=clock.now(),
    )  # fmt: skip
    response["Location"] = f"{request.path}/{body.name}"
    response["Cache-Control"] = "no-store"
    held = _out(queries.webhook_for(who, body.name))
    return Status(201, WebhookMade(secret=made.secret, **held.model_dump()))


@router.get(PATH, response=WebhookOut)
def get_webhook(request: HttpRequest, name: str) -> WebhookOut:
    """One webhook and how it does."""
    return _out(queries.webhook_for(who_asks(request), name))


@router.patch(PATH, response=WebhookOut)
def change_webhook(request: HttpRequest, name: str, body: WebhookChange) -> WebhookOut:
    """Change its address or kinds, switch it off or on. What happens while it is off is not told."""
    who = who_asks(request)
    held = queries.webhook_for(who, name)
    actions.change_webhook(
        held.row, to=body.to, kinds=body.kinds, is_on=body.on, who=who, now=clock.now()
    )
    return _out(queries.webhook_for(who, name))


@router.delete(PATH, response={204: None})
def delete_webhook(request: HttpRequest, name: str) -> Any:
    """Remove it with its deliveries; what waits is never sent."""
    who = who_asks(request)
    actions.remove_webhook(queries.webhook_for(who, name).row, who=who, now=clock.now())
    return Status(204, None)


@router.post(PATH + "/secret", response=WebhookSecretOut)
def renew_webhook_secret(request: HttpRequest, name: str, response: HttpResponse) -> Any:
    """Give it another secret. The one before signs beside it for 24 hours."""
    who = who_asks(request)
    held = queries.webhook_for(who, name)
    response["Cache-Control"] = "no-store"
    return WebhookSecretOut(secret=actions.new_secret(held.row, who=who, now=clock.now()))


@router.post(PATH + "/test", response={202: WebhookDeliveryOut})
def test_webhook(request: HttpRequest, name: str) -> Any:
    """Send a message of the kind `test`, once; its delivery says what came of it."""
    who = who_asks(request)
    held = queries.webhook_for(who, name)
    made = actions.send_test(held.row, who=who, now=clock.now())
    return Status(202, _delivery(queries.delivery_for(held.row, made.message_id)))


@router.get(PATH + "/deliveries", response=Page[WebhookDeliveryOut])
def list_webhook_deliveries(
    request: HttpRequest, name: str, after: After, limit: Limit
) -> Page[WebhookDeliveryOut]:
    """The newest first; those that wait, and the newest 500 that are done."""
    held = queries.webhook_for(who_asks(request), name)
    rows = queries.deliveries_of(held.row, before=number_of(after), limit=limit + 1)
    shown = rows[:limit]
    return Page(
        items=[_delivery(each) for each in shown],
        next=cursor(str(shown[-1].row.pk)) if len(rows) > limit else None,
    )


@router.post(PATH + "/deliveries/{message_id}/redeliver", response={202: WebhookDeliveryOut})
def redeliver_webhook(request: HttpRequest, name: str, message_id: str) -> Any:
    """Send it again under the same id: one that waits at once, one that is done with a single try."""
    who = who_asks(request)
    held = queries.webhook_for(who, name)
    found = queries.delivery_for(held.row, message_id)
    actions.redeliver(held.row, found.row, who=who, now=clock.now())
    return Status(202, _delivery(queries.delivery_for(held.row, message_id)))


def _name(held: WebhookView) -> str:
    return held.row.name


def _out(held: WebhookView) -> WebhookOut:
    row = held.row
    return WebhookOut(
        name=row.name,
        form=row.form,  # type: ignore[arg-type]  # the column holds one of them
        to=row.to,
        kinds=row.kinds,
        service=held.service,
        environment=held.environment,
        on=row.is_on,
        off_because=row.off_because,
        failing_since=clock.stamp(row.failing_since) if row.failing_since else None,
        waiting=held.waiting,
        arrived_at=clock.stamp(held.arrived_at) if held.arrived_at else None,
        made_by=row.made_by,
        made_at=clock.stamp(row.made_at),
    )


def _delivery(held: DeliveryView) -> WebhookDeliveryOut:
    row = held.row
    return WebhookDeliveryOut(
        id=row.message_id,
        kind=row.kind,
        state=row.state,  # type: ignore[arg-type]  # the column holds one of them
        behind=held.behind,
        tries=row.tries,
        next_try_at=clock.stamp(row.next_try_at) if row.state == "waiting" else None,
        status=row.status,
        answer=row.answer,
        made_at=clock.stamp(row.made_at),
        sent_at=clock.stamp(row.sent_at) if row.sent_at else None,
        body=row.body,
    )
