"""What templates say often: an icon, a state, an age, an environment, a snippet."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_vite.core.asset_loader import DjangoViteAssetLoader
from django_vite.core.exceptions import DjangoViteManifestError

from confhub.core import clock
from confhub.releases.entries import answered
from dashboard import ci_snippets, commands, identity, tiles, values

register = template.Library()


@register.simple_tag
def frontend() -> SafeString:
    """The built script and its styles; nothing where they were not built, so that pages still work."""
    try:
        tags = DjangoViteAssetLoader.instance().generate_vite_asset("src/app.ts")
    except (DjangoViteManifestError, OSError):
        return SafeString("")
    return SafeString(tags)  # made by django-vite from our own manifest


@register.simple_tag
def icon(name: str) -> SafeString:
    """A drawing from the page's sprite; words stand beside it, so it is hidden from readers."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"></use></svg>', name)


@register.simple_tag
def environment_badge(environment: Any) -> SafeString:
    """An environment's shape, colour and slug."""
    shape = identity.shape_of(environment.slug, protected=environment.protected)
    return format_html(
        '<span class="env" data-shape="{0}"><svg aria-hidden="true"><use href="#e-{0}"></use></svg>{1}</span>',
        shape,
        environment.slug,
    )


@register.filter
def shape(environment: Any) -> str:
    return identity.shape_of(environment.slug, protected=environment.protected)


@register.filter
def at(held: Mapping[Any, Any], name: Any) -> Any:
    """What a mapping holds under a name that only the template knows; None where there is none."""
    return held.get(name)


@register.filter
def entry_text(entry: Mapping[str, Any]) -> str:
    """A masked entry as one short text."""
    return values.shown(answered(entry)).text[:300]


@register.filter
def ago(moment: datetime | str | None) -> SafeString:
    """A moment as an age that keeps itself right; its time where there are no scripts."""
    if not moment:
        return SafeString("")
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:  # an agent's own text
            return SafeString("")
    return format_html(
        '<rel-time datetime="{}">{}</rel-time>',
        clock.stamp(moment),
        moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


@register.filter
def exact_time(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""


@register.inclusion_tag("dashboard/parts/state.html")
def state(name: str) -> dict[str, str]:
    """A receipt's or release's state: icon and word in its tone."""
    tone, drawing, word = tiles.STATES[name]
    return {"tone": tone, "icon": drawing, "word": word}


@register.inclusion_tag("dashboard/parts/bar.html")
def receipts_bar(counted: list[dict[str, Any]]) -> dict[str, Any]:
    """How many instances are in which state: a bar of 100 units for the living, and all in words."""
    total = sum(each["count"] for each in counted if each["state"] != "gone")
    at, parts = 0.0, []
    for each in counted:
        width = 100 * each["count"] / total if each["state"] != "gone" else 0.0
        parts.append(each | {"x": round(at, 3), "width": round(width, 3)})
        at += width
    return {"parts": parts}


@register.filter
def short_json(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = values.raw(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:79]}…"


@register.inclusion_tag("dashboard/parts/as_command.html", takes_context=True)
def as_command(context: Any, act: str, /, *args: Any) -> dict[str, str]:
    """The act of a form (a function of dashboard.commands) as lines to copy."""
    call, site = commands.ACTS[act](*args), _site(context)
    return {"curl": call.curl(site), "confhub": call.confhub(), "site": site, "act": act}


@register.inclusion_tag("dashboard/parts/use_in_ci.html", takes_context=True)
def use_in_ci(context: Any, scope: Any) -> dict[str, Any]:
    """What a pipeline contains to publish the scope from where this page is."""
    found = ci_snippets.snippets(
        url=_site(context), service=scope.service.slug, environment=scope.environment.slug
    )
    return {"snippets": found}


def _site(context: Any) -> str:
    request: HttpRequest = context["request"]
    return f"{request.scheme}://{request.get_host()}"


@register.filter
def noted(value: Any) -> str:
    """A value of a publish hook's annotations: a text as it is, anything else as JSON, cut."""
    text = value if isinstance(value, str) else values.raw(value)
    return text if len(text) <= 500 else f"{text[:499]}…"


@register.filter
def shown(value: Any) -> values.Shown:
    return values.shown(value)


@register.filter
def take(held: dict[Any, Any], key: Any) -> Any:
    """`held[key]`, or None."""
    return held.get(key)


@register.simple_tag
def query(**pairs: Any) -> str:
    """?a=1&b=2, without what is empty."""
    return "?" + urlencode(
        {name: value for name, value in pairs.items() if value not in ("", None)}
    )


@register.simple_tag
def page_query(request: HttpRequest, number: int) -> str:
    """The address's own parameters with another part of the list: "q=pool&page=3"."""
    asked = request.GET.copy()
    asked["page"] = str(number)
    return asked.urlencode()


@register.simple_tag
def compare_query(scope: Any, left: Any, right: Any) -> str:
    """?a=…&b=… of two releases of a scope by number; "draft" and None (the newest) are sides too."""
    ends = {None: "", "draft": "/draft"}
    sides = [f"{scope}{ends.get(each, f'/r{each}')}" for each in (left, right)]
    return "?" + urlencode({"a": sides[0], "b": sides[1]})


@register.simple_tag
def etcd_prefix() -> str:
    return str(settings.ETCD_PREFIX)
