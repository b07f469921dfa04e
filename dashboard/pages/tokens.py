"""Tokens: which there are, making one, rotating and revoking. A secret is shown once, on the answer
to the form that made it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from confhub.access import token_list, tokens
from confhub.access.policies import may
from confhub.access.tokens import Made, OverlapRuns, TokenMoved
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from dashboard import shell
from dashboard.forms import put_errors
from dashboard.token_forms import RotateForm, TokenForm

AT_ONCE = 100  # tokens on one page


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def page(request: HttpRequest, who: Actor) -> HttpResponse:
    """One's own; ?all=1 everybody's, ?owner=NAME one person's. POST makes one, or with act=more
    draws the form with one more place."""
    for_others = may(who, "administer", "people")
    if request.method != "POST":
        return _drawn(request, who)
    if request.POST.get("act") == "more":
        form = TokenForm(request.POST, who=who, for_others=for_others, again=True)
        return _drawn(request, who, form=form)
    form = TokenForm(request.POST, who=who, for_others=for_others)
    made = _made(form, who) if form.is_valid() else None
    return _drawn(request, who, form=None if made else form, made=made, status=200 if made else 422)


def _made(form: TokenForm, who: Actor) -> Made | None:
    wanted = form.cleaned_data
    try:
        return tokens.make_token(
            wanted["name"], owner=token_list.owner_for(who, wanted.get("owner")),
            reaches=form.reaches, lifetime=form.lifetime, who=who, now=clock.now(),
        )  # fmt: skip
    except ConfHubError as error:
        put_errors(form, error)
        return None


@never_cache
@require_POST
@shell.page
def rotate(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """Another secret, shown on the answer."""
    held = token_list.token_for(who, name, now=clock.now())
    form = RotateForm(request.POST)
    if not form.is_valid():
        messages.error(request, "The page was incomplete. Nothing was changed.")
        return redirect("tokens")
    try:
        made = tokens.rotate_token(
            held.row, overlap=form.overlap_time, lifetime=form.lifetime,
            end_previous=form.cleaned_data["end_previous"], seen=form.cleaned_data["ending"],
            who=who, now=clock.now(),
        )  # fmt: skip
    except (OverlapRuns, TokenMoved) as error:
        messages.error(request, error.detail)
        return _back(who, held)
    return _drawn(request, who, made=made)


@require_POST
@shell.page
def revoke(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    held = token_list.token_for(who, name, now=clock.now())
    tokens.revoke_token(held.row, who=who, now=clock.now())
    messages.success(request, f"{name} is revoked. Whatever still uses it is refused from now on.")
    return _back(who, held)


def _back(who: Actor, held: token_list.TokenView) -> HttpResponse:
    """The list in which it stands: one's own, or its person's."""
    mine = held.row.user_id == who.user_id
    return redirect(reverse("tokens") + ("" if mine else f"?owner={held.owner}"))


@sensitive_variables("made", "context")
def _drawn(
    request: HttpRequest, who: Actor, *, form: TokenForm | None = None, made: Made | None = None,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    for_others, now = may(who, "administer", "people"), clock.now()
    shown = _shown(request, who, made)
    found = token_list.tokens_for(who, **shown, limit=AT_ONCE + 1, now=now)
    context: dict[str, Any] = {
        "tokens": found[:AT_ONCE],
        "following": found[AT_ONCE - 1].name if len(found) > AT_ONCE else None,
        "every": shown["every"],
        "owner": shown["owner"],
        "for_others": for_others,
        "form": form or TokenForm(who=who, for_others=for_others),
        "rotate_form": RotateForm(auto_id=False),
        "made": made,
        "me": request.user.get_username(),
        "site": request.build_absolute_uri("/").rstrip("/"),
        "section": "automation",
        "tab": "tokens",
    }
    return render(request, "dashboard/tokens.html", context, status=status)


def _shown(request: HttpRequest, who: Actor, made: Made | None) -> dict[str, Any]:
    """Whose tokens; after a new one, its person's."""
    owner = request.GET.get("owner") or None
    if made is not None and made.row.user_id != who.user_id:
        owner = made.row.user.get_username()
    return {
        "owner": owner,
        "every": request.GET.get("all") == "1",
        "after": request.GET.get("after") or None,
    }
