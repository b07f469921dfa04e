"""Deploy hooks: make them, try their mapping, and look at what came."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.deploy_schemas import (
    DeliveryAnswer,
    DeliveryOut,
    DeliveryWithPayload,
    DeployHookChange,
    DeployHookIn,
    DeployHookMade,
    DeployHookOut,
    PreviewIn,
    PreviewOut,
    RefusalOut,
    RetryIn,
    SecretIn,
    SecretOut,
)
from confhub.api.lists import After, Limit, cursor, number_of, page_after
from confhub.api.routes.incoming import answer_of, changes_out, refusal_of
from confhub.api.routes.releases import image_out
from confhub.api.schemas import Page
from confhub.core import clock
from confhub.deploys import actions, carrying, payloads, previewing, queries

if TYPE_CHECKING:
    from confhub.core.errors import ConfHubError
    from confhub.deploys.models import Delivery, DeployHook

router = Router(tags=["deploy hooks"])
PATH = "/deploy-hooks"
ONE = PATH + "/{name}"


@router.get(PATH, response=Page[DeployHookOut])
def list_deploy_hooks(request: HttpRequest, after: After, limit: Limit) -> Page[DeployHookOut]:
    """Every deploy hook at a place where you may publish, by name."""
    hooks = queries.hooks_for(who_asks(request))
    rows, following = page_after(hooks, after=after, limit=limit, key=lambda hook: hook.name)
    return Page(items=[_out(hook) for hook in rows], next=following)


@router.post(PATH, response={201: DeployHookMade})
def make_deploy_hook(request: HttpRequest, body: DeployHookIn, response: HttpResponse) -> Any:
    """Make a hook that acts as you at one service in one environment. The answer is the only place
    where its secret stands."""
    who = who_asks(request)
    scope = access.scope_for(who, "publish", body.service, body.environment)
    made, secret = actions.make_hook(
        scope, name=body.name, kind=body.kind, mapping=body.mapping, filters=body.filters,
        wait_s=body.wait_s, secret=body.secret, who=who, now=clock.now(),
    )  # fmt: skip
    response["Location"] = f"{request.path}/{made.name}"
    response["Cache-Control"] = "no-store"
    return Status(201, DeployHookMade(secret=secret, **_out(made).model_dump()))


@router.get(ONE, response=DeployHookOut)
def get_deploy_hook(request: HttpRequest, name: str) -> DeployHookOut:
    """One hook, without its secret."""
    return _out(queries.hook_for(who_asks(request), "publish", name))


@router.patch(ONE, response=DeployHookOut)
def change_deploy_hook(request: HttpRequest, name: str, body: DeployHookChange) -> DeployHookOut:
    """Change what it maps, what it takes, how long it waits; switch it off; or let it act as you."""
    who = who_asks(request)
    hook = queries.hook_for(who, "publish", name)
    changed = actions.change_hook(
        hook, mapping=body.mapping, filters=body.filters, wait_s=body.wait_s, is_on=body.on,
        takes_over=body.take_over, who=who, now=clock.now(),
    )  # fmt: skip
    return _out(queries.hook_for(who, "publish", changed.name))


@router.delete(ONE, response={204: None})
def remove_deploy_hook(request: HttpRequest, name: str) -> Any:
    """Remove the hook and its deliveries; what it published stays."""
    who = who_asks(request)
    actions.remove_hook(queries.hook_for(who, "publish", name), who=who, now=clock.now())
    return Status(204, None)


@router.post(ONE + "/secret", response=SecretOut)
def change_deploy_hook_secret(
    request: HttpRequest, name: str, response: HttpResponse, body: SecretIn | None = None
) -> SecretOut:
    """Give it another secret; what is signed with the old one is refused at once."""
    who = who_asks(request)
    hook = queries.hook_for(who, "publish", name)
    secret = actions.new_secret(
        hook, secret=body.secret if body else None, who=who, now=clock.now()
    )
    response["Cache-Control"] = "no-store"
    return SecretOut(secret=secret)


@router.post(ONE + "/preview", response=PreviewOut)
def preview_deploy_hook(
    request: HttpRequest, name: str, body: PreviewIn | None = None
) -> PreviewOut:
    """What a payload would set and publish, by this mapping or another one. Nothing is written."""
    who, asked = who_asks(request), body or PreviewIn.model_validate({})
    hook = queries.hook_for(who, "publish", name)
    mapping = hook.mapping if asked.mapping is None else asked.mapping
    filters = hook.filters if asked.filters is None else asked.filters
    actions.check_rules(mapping, filters, hook.wait_s)
    if asked.payload is not None:
        payloads.check(asked.payload)
    seen = previewing.preview(
        hook, payload=asked.payload, rules=(mapping, filters), who=who, now=clock.now()
    )
    mapped = seen.would.mapped
    return PreviewOut(
        source=seen.source,
        outcome=str(seen.would.outcome),  # type: ignore[arg-type]  # one of the choices
        detail=seen.would.detail,
        set=seen.set,
        unset=mapped.unset if mapped else [],
        message=mapped.message if mapped else "",
        image=image_out(mapped.image) if mapped else None,
        changes=changes_out(seen.would.changes),
        refusal=_refusal(seen.error) if seen.error else None,
    )


@router.get(ONE + "/deliveries", response=Page[DeliveryOut])
def list_deliveries(
    request: HttpRequest, name: str, after: After, limit: Limit
) -> Page[DeliveryOut]:
    """What came, the newest first; the newest hundred are kept."""
    hook = queries.hook_for(who_asks(request), "publish", name)
    rows = queries.deliveries_of(hook, before=number_of(after), limit=limit + 1)
    shown = rows[:limit]
    following = cursor(str(shown[-1].pk)) if len(rows) > limit else None
    return Page(items=[_delivery(row) for row in shown], next=following)


@router.get(ONE + "/deliveries/{delivery}", response=DeliveryWithPayload)
def get_delivery(request: HttpRequest, name: str, delivery: int) -> DeliveryWithPayload:
    """One delivery with its payload."""
    hook = queries.hook_for(who_asks(request), "publish", name)
    row = queries.delivery_for(hook, delivery)
    payload = payloads.masked(queries.payload_of(row))
    return DeliveryWithPayload(
        payload=payload if isinstance(payload, dict) else None, **_delivery(row).model_dump()
    )


@router.post(
    ONE + "/deliveries/{delivery}/retry", response={200: DeliveryAnswer, 201: DeliveryAnswer}
)
def retry_delivery(
    request: HttpRequest, name: str, delivery: int, body: RetryIn | None = None
) -> Any:
    """Carry a kept payload out once more, by the mapping of today and with your own rights."""
    who = who_asks(request)
    hook = queries.hook_for(who, "publish", name)
    done = carrying.retry(
        queries.delivery_for(hook, delivery), confirmed=body.confirm if body else (), who=who,
        now=clock.now(),
    )  # fmt: skip
    if done.error is not None:
        raise refusal_of(done.error, done)
    answer = answer_of(done)
    return Status(201 if answer.outcome == "published" else 200, answer)


def _out(hook: "DeployHook") -> DeployHookOut:
    return DeployHookOut(
        name=hook.name,
        kind=hook.kind,  # type: ignore[arg-type]  # one of the choices
        service=hook.scope.service.slug,
        environment=hook.scope.environment.slug,
        person=hook.user.get_username(),
        mapping=hook.mapping,
        filters=hook.filters,
        wait_s=hook.wait_s,
        on=hook.is_on,
        address=f"/api/v1/hooks/deploy/{hook.name}",
        made_by=hook.made_by,
        made_at=clock.stamp(hook.made_at),
    )


def _delivery(row: "Delivery") -> DeliveryOut:
    return DeliveryOut(
        id=row.pk,
        event=row.event,
        outcome=row.outcome,  # type: ignore[arg-type]  # one of the choices
        detail=row.detail,
        code=row.problem["code"] if row.problem else None,
        release=row.release,
        received_at=clock.stamp(row.received_at),
        took_ms=row.took_ms,
        tries=row.tries,
        came_from=row.came_from,
        request_id=row.request_id,
    )


def _refusal(error: "ConfHubError") -> RefusalOut:
    return RefusalOut(code=error.code, detail=error.detail, fields=error.fields)
