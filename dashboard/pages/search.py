"""Where is it used? One text in keys, values, places, releases and people."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from confhub.access.policies import may
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import searching
from confhub.releases.searching import KINDS
from dashboard import shell, values

FIRST, ALONE = 10, 200  # of each kind; of one kind alone
TITLES = {
    "keys": "Keys",
    "values": "Values",
    "services": "Services",
    "environments": "Environments",
    "layers": "Layers",
    "releases": "Releases",
    "people": "People",
}


@require_safe
@shell.page
def search(request: HttpRequest, who: Actor) -> HttpResponse:
    """`q` is the text, `kind` one kind alone, of which more is drawn."""
    text, asked = request.GET.get("q", "").strip(), request.GET.get("kind", "")
    kind = asked if asked in KINDS else ""
    context: dict[str, Any] = {
        "section": "search",
        "q": text[: searching.MAX_CHARS],
        "kind": kind,
        "groups": [],
    }
    if not text:
        return render(request, "dashboard/search.html", context)
    try:
        found = searching.search(
            who, text, kinds=[kind] if kind else KINDS, limit=ALONE if kind else FIRST
        )
    except ConfHubError as error:
        return render(
            request,
            "dashboard/search.html",
            context | {"problem": error.detail},
            status=error.status,
        )
    context["groups"] = [
        {"kind": each, "title": TITLES[each], "hits": hits, "more": each in found.more}
        for each in KINDS
        if (hits := [_hit(who, each, hit) for hit in getattr(found, each)])
    ]
    return render(request, "dashboard/search.html", context | {"alone": ALONE})


def _hit(who: Actor, kind: str, hit: Any) -> dict[str, Any]:
    """{"url", "title", "place", "text", "layer", "layer_url", "note"}"""
    if kind in ("keys", "values"):
        return _use(who, hit)
    if kind == "releases":
        return _cut(hit)
    if kind == "services":
        return {
            "url": reverse("service", args=[hit.slug]),
            "title": hit.slug,
            "text": hit.description,
        }
    if kind == "environments":
        return {"url": reverse("environment", args=[hit.slug]), "title": hit.slug, "text": hit.name}
    if kind == "layers":
        return {"url": _layer_url(hit), "title": str(hit), "text": hit.description}
    return {"url": reverse("person", args=[hit]), "title": hit, "text": ""}


def _use(who: Actor, hit: Any) -> dict[str, Any]:
    drafted = {
        "set": f"in the draft, by {hit.author}",
        "removed": f"removed in the draft, by {hit.author}",
    }
    return {
        "url": _key_url(hit.place, hit.key),
        "title": hit.key,
        "place": hit.place,
        "text": _one_line(hit.value) if hit.drafted != "removed" else "",
        "layer": hit.layer,
        "layer_url": _layer_url(hit.layer) if hit.layer and may(who, "see", hit.layer) else "",
        "note": drafted.get(hit.drafted, ""),
    }


def _cut(hit: Any) -> dict[str, Any]:
    note = f"{hit.author}, {hit.created_at:%Y-%m-%d %H:%M} UTC"
    if hasattr(hit.place, "kind"):  # a layer
        url = f"{_layer_url(hit.place)}releases/"
    else:
        names = (hit.place.service.slug, hit.place.environment.slug, hit.number)
        url = reverse("release", args=names)
    title = f"{hit.place} r{hit.number}"
    return {"url": url, "title": title, "text": hit.message, "note": note}


def _one_line(value: Any) -> str:
    if isinstance(value, dict) and value.get("$secret") is True:
        return f"secret {value.get('fingerprint', '')}"
    text = value if isinstance(value, str) else values.raw(value)
    return text.replace("\n", " ⏎ ")[:200]


def _key_url(place: Any, key: str) -> str:
    query = urlencode({"key": key})
    if hasattr(place, "kind"):
        return f"{_layer_url(place)}key/?{query}"
    return f"{reverse('key', args=[place.service.slug, place.environment.slug])}?{query}"


def _layer_url(layer: Any) -> str:
    if layer.kind == "global":
        return reverse("layer", kwargs={"kind": "global"})
    return reverse("layer", kwargs={"kind": layer.kind, "slug": layer.slug})
