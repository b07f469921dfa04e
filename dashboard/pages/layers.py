"""Layers: the list of them, and the editor, review and history of one."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from confhub.access import layers as access
from confhub.access import queries as scopes
from confhub.access.policies import Verb, allowed, may, require
from confhub.catalog import sets
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import layers as publishing
from confhub.publishing import requests
from confhub.publishing.consulting import silent_hook, with_hooks
from confhub.publishing.gates import Consent
from confhub.releases import actions
from confhub.releases import queries as releases
from confhub.releases.diff import diff
from confhub.releases.guards import GuardTripped
from dashboard import changes, confirmations, overlaps, protection, rows, shell, values
from dashboard.forms import put_errors
from dashboard.pages.key import edit_key
from dashboard.pages.review import VERBS
from dashboard.values import KINDS

DRAWN_BY_SERVER = 200  # keys, as in pages/config.py
SHOWN = 30  # releases on one page
KEYS_SHOWN = 8  # of a scope that a layer touches


class SetForm(forms.Form):
    slug = forms.CharField(
        label="Name", max_length=63, help_text="Small letters, digits and '-'. It never changes."
    )
    description = forms.CharField(
        label="What it is for (optional)", max_length=2000, required=False
    )


class PublishForm(forms.Form):
    """The reason, and what was reviewed."""

    message = forms.CharField(
        label="Reason", max_length=1900, strip=True, widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say in a few words why; the history shows it."},
    )  # fmt: skip
    release = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0, required=False)
    confirm = forms.CharField(required=False)

    def check_typed(self, protected: list[str]) -> bool:
        """Whether the names of the protected environments that are ticked were typed."""
        typed = sorted(str(self.cleaned_data["confirm"]).replace(",", " ").split())
        if typed == protected:
            return True
        self.add_error("confirm", f"Type {', '.join(protected)} to publish there.")
        return False


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def layers(request: HttpRequest, who: Actor) -> HttpResponse:
    """Every layer; POST makes a shared set."""
    form = SetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        require(who, "administer", "services")
        try:
            made = sets.create_set(
                slug=form.cleaned_data["slug"], description=form.cleaned_data["description"],
                who=who, now=clock.now(),
            )  # fmt: skip
        except ConfHubError as error:
            put_errors(form, error)
        else:
            return redirect("layer", "set", made.slug)
    found = access.layers_for(who)
    order = ("global", "environment", "set", "service")
    groups = [(kind, [each for each in found if each.kind == kind]) for kind in order]
    return render(
        request,
        "dashboard/layers.html",
        {
            "section": "layers",
            "form": form,
            "groups": groups,
            "changed": releases.drafted_layers(),
            "may_make": may(who, "administer", "services"),
        },
        status=422 if form.errors else 200,
    )


@require_safe
@shell.page
def layer(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """The editor of one layer."""
    found, draft, context = layer_frame(who, "see", kind, slug, tab="config")
    entries = releases.written_entries(found)
    wanted = request.GET.get("q", "").strip()[:120]
    lines = rows.rows(entries, draft, wanted)
    blank = {"key": "", "status": "same", "word": "", "preview": "", "value": {"kind": "string"}}
    return render(
        request,
        "dashboard/layer.html",
        context
        | {
            "rows": lines[:DRAWN_BY_SERVER],
            "hidden": max(0, len(lines) - DRAWN_BY_SERVER),
            "total": len({*entries, *(change.key for change in draft.changes)}),
            "q": wanted,
            "model": rows.model(entries, draft),
            "kinds": KINDS,
            "blank": blank,
        },
    )


@require_safe
@shell.page
def model(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """What the editor's script works on, as it is now."""
    found, draft, _ = layer_frame(who, "see", kind, slug, tab="config")
    return JsonResponse(rows.model(releases.written_entries(found), draft))


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def review(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """What the draft changes, whom it touches, and the publish for those who are ticked.

    POST `act`: "publish", "emergency", or "ask" for another person's approval.
    """
    act = request.POST.get("act", "publish") if request.method == "POST" else ""
    verb: Verb = VERBS.get(act, "publish") if act else "see"
    found, draft, context = layer_frame(who, verb, kind, slug, tab="review")
    form = PublishForm(
        request.POST or None, initial={"release": draft.head, "version": draft.version}
    )

    def publish(consent: Consent) -> Any:
        return publishing.publish_layer(
            found, message=form.cleaned_data["message"], targets=_ticked(request),
            expected_release=form.cleaned_data["release"],
            expected_draft=form.cleaned_data["version"], consent=consent, who=who,
            now=clock.now(),
        )  # fmt: skip

    status = 200
    if request.method == "POST":
        status = 422
        is_asking = act == "ask"
        if form.is_valid() and (is_asking or form.check_typed(_protected(who, _ticked(request)))):
            try:
                if is_asking:
                    return _asked(request, who, found, form.cleaned_data)
                consent = Consent(
                    confirmed=confirmations.confirmed(request), emergency=act == "emergency"
                )
                done = with_hooks(publish, consent)
            except ConfHubError as error:
                context["guards"] = confirmations.asked(error)
                context["silent_hook"] = silent_hook(error)
                form = _again(request, draft)
                put_errors(form, ConfHubError(error.detail))
                status = error.status
            else:
                _say(request, done)
                return redirect(releases_url(found))
    drawn = changes.drawn(releases.entries_of(found), releases.resolved_draft(found))
    touched = _touched(request, publishing.preview(found, who)) if drawn else []
    environments = {line["scope"].environment for line in touched}
    held = protection.of_layer(who, found, [line["scope"] for line in touched], now=clock.now())
    context |= {
        "form": form,
        "changes": drawn,
        "counts": changes.counts(drawn),
        "next_release": draft.head + 1,
        "touched": touched,
        "protected": protection.typed(list(environments), now=clock.now()),
        "protection": held,
        "overlaps": overlaps.drawn(found, draft),
    }
    return render(request, "dashboard/layer_review.html", context, status=status)


def _asked(request: HttpRequest, who: Actor, layer: Any, held: dict[str, Any]) -> HttpResponse:
    """Ask for approval of the draft for the scopes that are ticked. Raises what `ask` raises."""
    made = requests.ask(
        layer, message=held["message"], targets=_ticked(request), expected_draft=held["version"],
        who=who, now=clock.now(),
    )  # fmt: skip
    messages.success(request, "You asked for approval. Whoever may approve it sees it now.")
    return redirect("request", made.pk)


@require_POST
@shell.page
def discard(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """Give the whole draft up, unless somebody changed it since the page was drawn."""
    found, _, _ = layer_frame(who, "edit", kind, slug, tab="review")
    try:
        expected = int(request.POST.get("version", ""))
        actions.discard_draft(found, expected=expected, who=who, now=clock.now())
    except ValueError:
        messages.error(request, "The page was incomplete. Nothing was discarded.")
    except ConfHubError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, "The draft is discarded; every key is as published.")
    return redirect(_url("layer", found))


@require_POST
@shell.page
def rebase(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """Put the draft on the newest release, as `keep.KEY` says for each key: mine, theirs, merged."""
    found, draft, _ = layer_frame(who, "edit", kind, slug, tab="review")
    decision = overlaps.decided(request.POST, draft)
    if decision is None:
        messages.error(request, "Decide for each of these keys which value stays.")
        return redirect(_url("layer-review", found))
    version = request.POST.get("version", "")
    try:
        actions.rebase_draft(
            found, take_theirs=decision.theirs, merge=decision.merged, expected_release=draft.head,
            expected=int(version) if version.isdecimal() and len(version) < 10 else None,
            who=who, now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        messages.error(request, error.detail)
    return redirect(_url("layer-review", found))


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def history(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """The layer's releases; POST `number` rolls back to one for every scope that follows."""
    verb: Verb = "publish" if request.method == "POST" else "see"
    found, _, context = layer_frame(who, verb, kind, slug, tab="releases")

    def back(consent: Consent) -> Any:
        number = request.POST.get("number", "")
        return publishing.roll_back_layer(
            found, number=int(number) if number.isdecimal() and len(number) < 10 else 0,
            message="", targets="all", expected_release=_whole(request.POST.get("release")),
            consent=consent, who=who, now=clock.now(),
        )  # fmt: skip

    if request.method == "POST":
        try:
            done = with_hooks(back, Consent(confirmed=confirmations.confirmed(request)))
        except GuardTripped as error:
            return confirmations.ask(request, error, back=releases_url(found))
        except ConfHubError as error:
            messages.error(request, error.detail)
        else:
            _say(request, done)
        return redirect(releases_url(found))
    before = _whole(request.GET.get("before"))
    listed = releases.releases_of(found, before=before, limit=SHOWN + 1)
    lines = []
    for at, each in enumerate(listed[:SHOWN]):
        older = listed[at + 1].shown if at + 1 < len(listed) else {}
        lines.append({"release": each, "changes": changes.drawn(older, each.shown),
                      "counts": changes.counts(diff(older, each.shown))})  # fmt: skip
    more = listed[SHOWN - 1].number if len(listed) > SHOWN else None
    return render(
        request, "dashboard/layer_releases.html", context | {"lines": lines, "next_before": more}
    )


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def key(request: HttpRequest, who: Actor, kind: str, slug: str = "") -> HttpResponse:
    """One key of the layer's draft on a page of its own."""
    verb: Verb = "edit" if request.method == "POST" else "see"
    found, draft, context = layer_frame(who, verb, kind, slug, tab="config")
    context["crumb"] = str(found)
    return edit_key(request, who, found, draft, context)


def releases_url(layer: Any) -> str:
    return _url("layer-releases", layer)


def layer_frame(
    who: Actor, verb: Verb, kind: str, slug: str, *, tab: str
) -> tuple[Any, Any, dict[str, Any]]:
    """(layer, draft, context) of a page. Raises NotFound, NotAllowed."""
    position = shell.live_from()
    found = access.layer_for(who, verb, kind, slug)
    draft = releases.draft_of(found)
    context = {
        "section": "layers",
        "layer": found,
        "draft": draft,
        "editor": addresses(found),
        "may": allowed(who, found),
        "tab": tab,
        "position": position,
        "streams": found.stream,
        "discard_url": _url("layer-discard", found),
        "rebase_url": _url("layer-rebase", found),
    }
    return found, draft, context


def addresses(layer: Any) -> dict[str, str]:
    """Where a layer's draft is read, changed and reviewed; parts/editor.html and its script."""
    name = "global" if layer.kind == "global" else f"{layer.kind}s/{layer.slug}"
    return {
        "draft_url": f"/api/v1/layers/{name}/draft",
        "model_url": _url("part-layer", layer),
        "key_url": _url("layer-key", layer),
        "reveal_url": _url("layer-reveal", layer),
        "review_url": _url("layer-review", layer),
        "config_url": _url("layer", layer),
        "releases_url": releases_url(layer),
        "stream": layer.stream,
    }


def _url(name: str, layer: Any) -> str:
    if layer.kind == "global":
        return reverse(name, kwargs={"kind": "global"})
    return reverse(name, kwargs={"kind": layer.kind, "slug": layer.slug})


def _ticked(request: HttpRequest) -> list[tuple[str, str]]:
    """The scopes that were ticked: "service/environment" each; what else is sent names nothing."""
    found = []
    for word in request.POST.getlist("target"):
        service, _, environment = word.partition("/")
        found.append((service, environment))
    return found


def _protected(who: Actor, targets: list[tuple[str, str]]) -> list[str]:
    """The environments among the targets whose names are typed, sorted."""
    asked = {environment for _, environment in targets}
    found = scopes.environments_for(who)
    return protection.typed([each for each in found if each.slug in asked], now=clock.now())


def _touched(request: HttpRequest, touched: list[publishing.Touched]) -> list[dict[str, Any]]:
    """One line for each scope: its first keys, old and new, and whether it is ticked."""
    asked = set(request.POST.getlist("target")) if request.method == "POST" else None
    lines = []
    for each in touched:
        name = f"{each.scope.service.slug}/{each.scope.environment.slug}"
        lines.append(
            {
                "scope": each.scope,
                "name": name,
                "ticked": each.is_chosen if asked is None else name in asked,
                "problems": dict(each.problems),
                "more": max(0, len(each.changes) - KEYS_SHOWN),
                "changes": [
                    {
                        "key": change.key,
                        "kind": change.kind,
                        "old": None if change.kind == "added" else values.shown(change.old),
                        "new": None if change.kind == "removed" else values.shown(change.new),
                    }
                    for change in each.changes[:KEYS_SHOWN]
                ],
            }
        )
    return lines


def _again(request: HttpRequest, draft: Any) -> PublishForm:
    """The form for the draft as it is now, which is what stands on the page."""
    data = request.POST.copy()
    data["release"], data["version"] = str(draft.head), str(draft.version)
    form = PublishForm(data)
    form.full_clean()
    form.errors.clear()
    return form


def _say(request: HttpRequest, done: publishing.LayerPublished) -> None:
    if not done.created and not done.cut:
        messages.info(request, f"Nothing differs from r{done.release.number}; it stays.")
        return
    count = len(done.cut)
    cut = f"{count} release{'' if count == 1 else 's'} cut" if count else "no scope changes by it"
    messages.success(request, f"{done.release.layer} r{done.release.number} is published: {cut}.")


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 10 else None
