"""Publish hooks: endpoints that are asked before a release is frozen, or told after it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.hook_schemas import (
    HookCallOut,
    HookTestIn,
    HookTestOut,
    PublishHookChange,
    PublishHookIn,
    PublishHookMade,
    PublishHookOut,
    PublishHookSecret,
)
from confhub.api.lists import After, Limit, cursor, number_of, page_after
from confhub.api.schemas import Page
from confhub.core import clock
from confhub.publishing import calls, hooks, trying

if TYPE_CHECKING:
    from confhub.publishing.models import HookCall, PublishHook

router = Router(tags=["publish hooks"])
ONE = "/publish-hooks/{name}"


@router.get("/publish-hooks", response=Page[PublishHookOut])
def list_publish_hooks(request: HttpRequest, after: After, limit: Limit) -> Page[PublishHookOut]:
    """The hooks of the places that you administer, by name."""
    found = sorted(hooks.hooks_for(who_asks(request)), key=_name)
    rows, following = page_after(found, after=after, limit=limit, key=_name)
    return Page(items=[_out(each) for each in rows], next=following)


@router.post("/publish-hooks", response={201: PublishHookMade})
def make_publish_hook(request: HttpRequest, body: PublishHookIn, response: HttpResponse) -> Any:
    """Make a hook. The answer is the only place where its secret stands."""
    who = who_asks(request)
    service, environment = hooks.place_for(who, body.service, body.environment)
    settings = hooks.Settings(body.url, body.order, body.timeout_s, body.fail_open, body.on)
    hook, secret = hooks.make_hook(
        body.name, when=body.when, service=service, environment=environment, settings=settings,
        who=who, now=clock.now(),
    )  # fmt: skip
    response["Location"] = f"{request.path}/{hook.name}"
    response["Cache-Control"] = "no-store"
    return Status(201, PublishHookMade(secret=secret, **_out(hook).model_dump()))


@router.get(ONE, response=PublishHookOut)
def get_publish_hook(request: HttpRequest, name: str) -> PublishHookOut:
    """One hook, without its secret."""
    return _out(hooks.hook_for(who_asks(request), name))


@router.patch(ONE, response=PublishHookOut)
def change_publish_hook(request: HttpRequest, name: str, body: PublishHookChange) -> PublishHookOut:
    """Send it elsewhere, ask it earlier or later, give it more time, or switch it off."""
    who = who_asks(request)
    hook = hooks.hook_for(who, name)
    named = {"on": "is_on"}
    said = {
        named.get(field, field): held for field, held in body.model_dump(exclude_none=True).items()
    }
    settings = replace(hooks.settings_of(hook), **said)
    return _out(hooks.change_hook(hook, settings, who=who, now=clock.now()))


@router.delete(ONE, response={204: None})
def remove_publish_hook(request: HttpRequest, name: str) -> Any:
    """Remove it with its calls."""
    who = who_asks(request)
    hooks.remove_hook(hooks.hook_for(who, name), who=who, now=clock.now())
    return Status(204, None)


@router.post(ONE + "/secret", response=PublishHookSecret)
def renew_publish_hook_secret(
    request: HttpRequest, name: str, response: HttpResponse
) -> PublishHookSecret:
    """Another secret, from the next call on."""
    who = who_asks(request)
    secret = hooks.renew_secret(hooks.hook_for(who, name), who=who, now=clock.now())
    response["Cache-Control"] = "no-store"
    return PublishHookSecret(secret=secret)


@router.post(ONE + "/test", response=HookTestOut)
def try_publish_hook(request: HttpRequest, name: str, body: HookTestIn) -> HookTestOut:
    """Send it what a publish of this draft would send, marked as a test. Nothing is published."""
    who = who_asks(request)
    hook = hooks.hook_for(who, name)
    scope = access.scope_for(who, "see", body.service, body.environment)
    done = trying.try_hook(hook, scope, who=who, now=clock.now())
    return HookTestOut(
        outcome=done.outcome, said=done.said, annotations=dict(done.annotations),
        status=done.status, took_ms=done.took_ms,
    )  # fmt: skip


@router.get(ONE + "/calls", response=Page[HookCallOut])
def list_publish_hook_calls(
    request: HttpRequest, name: str, after: After, limit: Limit
) -> Page[HookCallOut]:
    """What the hook was asked and told, the newest first; the last hundred are kept."""
    who = who_asks(request)
    hook = hooks.hook_for(who, name)
    rows = calls.calls_of(hook, before=number_of(after), limit=limit + 1)
    following = cursor(str(rows[limit - 1].pk)) if len(rows) > limit else None
    return Page(items=[_call(each) for each in rows[:limit]], next=following)


def _name(hook: "PublishHook") -> str:
    return hook.name


def _out(hook: "PublishHook") -> PublishHookOut:
    service, environment = hooks.slugs(hook)
    return PublishHookOut(
        name=hook.name,
        when=hook.when,  # type: ignore[arg-type]  # its column has these choices
        url=hook.url,
        service=service,
        environment=environment,
        order=hook.order,
        timeout_s=hook.timeout_s,
        fail_open=hook.fail_open,
        on=hook.is_on,
        made_by=hook.made_by,
        made_at=clock.stamp(hook.made_at),
    )


def _call(call: "HookCall") -> HookCallOut:
    return HookCallOut(
        id=call.pk,
        service=call.scope.service.slug,
        environment=call.scope.environment.slug,
        release=call.release,
        outcome=call.outcome,  # type: ignore[arg-type]  # written by asking and telling alone
        said=call.said,
        status=call.status,
        took_ms=call.took_ms,
        tries=call.tries,
        next_try_at=clock.stamp(call.next_try_at) if call.next_try_at else None,
        request_id=call.request_id,
        at=clock.stamp(call.at),
    )
