"""CI identity: whose identity tokens are taken, and what a pipeline writes to use them."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from confhub.access import trusts as doors
from confhub.access.policies import VERBS
from confhub.access.token_list import ReachView
from confhub.core import clock
from confhub.core.actors import Actor, Reach
from confhub.core.errors import ConfHubError
from dashboard import shell
from dashboard.forms import put_errors
from dashboard.pages.people import VERB_WORDS, PlaceForm
from dashboard.pages.trust_snippets import snippets

FEWEST_PLACES = 3  # that a form shows; more over REST
CLAIMS_HELP = (
    "One a line; all must be so, and * stands for anything. GitHub: repository, repository_id, "
    "environment, ref. GitLab: project_path, project_id, ref_protected, environment."
)


class TrustForm(forms.Form):
    issuer = forms.CharField(
        label="Issuer", max_length=300, initial=doors.GITHUB,
        help_text="Exactly as in its tokens. GitHub Actions is filled in; GitLab: https://gitlab.com, or "
        "your own server's address.",
    )  # fmt: skip
    audience = forms.CharField(
        label="Audience", max_length=300, help_text="What jobs ask an identity for.",
    )  # fmt: skip
    claims = forms.CharField(
        label="Claims", max_length=12_000, help_text=CLAIMS_HELP,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "mono",
                                     "placeholder": "repository = acme/shop\nref = refs/heads/main"}),
    )  # fmt: skip
    person = forms.ChoiceField(label="Acts as", help_text="Never more than this person may do.")
    minutes = forms.IntegerField(
        label="Minutes a token lives", min_value=1, max_value=60, initial=doors.USUAL_S // 60
    )
    jwks_url = forms.CharField(
        label="Address of its keys (optional)", max_length=300, required=False,
        help_text="Found by the issuer's discovery document where empty.",
    )  # fmt: skip

    def __init__(self, *args: Any, who: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["person"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # declared above
        field.choices = [(name, name) for name in doors.people_to_act_as(who)]

    def clean_claims(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self.cleaned_data["claims"].splitlines():
            name, equals, pattern = (part.strip() for part in line.partition("="))
            if not line.strip():
                continue
            if not equals or not name or not pattern:
                raise forms.ValidationError(f"{line[:60]!r}: write it as name = value.")
            if name in found:
                raise forms.ValidationError(f"{name[:60]!r} stands there twice.")
            found[name] = pattern
        return found


class NewTrustForm(TrustForm):
    name = forms.CharField(
        label="Name", max_length=63, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Small letters, digits and '-'. It never changes.",
    )  # fmt: skip


class ReachForm(PlaceForm):
    verbs = forms.MultipleChoiceField(
        label="May", required=False, widget=forms.CheckboxSelectMultiple,
        choices=[(verb, VERB_WORDS[verb]) for verb in VERBS],
    )  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def trusts(request: HttpRequest, who: Actor) -> HttpResponse:
    """The list, and making one."""
    found = doors.trusts_for(who, now=clock.now())
    asked = request.POST if request.method == "POST" else None
    form = NewTrustForm(asked, who=who, initial={"audience": _here(request)})
    places = _place_forms(who, asked, FEWEST_PLACES)
    if asked is not None and _all_valid(form, places):
        try:
            made = doors.make_trust(
                form.cleaned_data["name"], _terms(form, places), who=who, now=clock.now()
            )
        except ConfHubError as error:
            put_errors(form, error)
        else:
            messages.success(request, f"{made.name} is trusted. Its pipeline is written below.")
            return redirect("trust", made.name)
    return _drawn(request, "dashboard/trusts.html", form, places, {"trusts": found})


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def trust(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """One trust: what a pipeline writes, and changing it."""
    held = doors.trust_for(who, name, now=clock.now())
    asked = request.POST if request.method == "POST" else None
    count = max(FEWEST_PLACES, len(held.reach))
    form = TrustForm(asked, who=who, initial=_initial(held))
    places = _place_forms(who, asked, count, held.reach)
    if asked is not None and _all_valid(form, places):
        try:
            doors.change_trust(held.row, _terms(form, places), who=who, now=clock.now())
        except ConfHubError as error:
            put_errors(form, error)
        else:
            messages.success(request, f"{name} is changed. The tokens that it gave have ended.")
            return redirect("trust", name)
    first = held.reach[0] if held.reach else ReachView([], None, None)
    place = f"{first.service or 'SERVICE'}@{first.environment or 'ENVIRONMENT'}"
    row = held.row
    shown = snippets(
        url=_here(request), trust=name, audience=row.audience, issuer=row.issuer, place=place
    )
    return _drawn(request, "dashboard/trust.html", form, places, {"trust": held, "snippets": shown})


@require_POST
@shell.page
def remove(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    held = doors.trust_for(who, name, now=clock.now())
    doors.remove_trust(held.row, who=who, now=clock.now())
    messages.success(request, f"{name} is trusted no longer. The tokens that it gave have ended.")
    return redirect("trusts")


def _drawn(
    request: HttpRequest, template: str, form: TrustForm, places: Sequence[ReachForm],
    more: Mapping[str, Any],
) -> HttpResponse:  # fmt: skip
    frame = {"tab": "trusts", "section": "automation", "form": form, "places": places}
    status = 422 if form.errors or any(each.errors for each in places) else 200
    return render(request, template, {**frame, **more}, status=status)


def _place_forms(
    who: Actor, asked: Any, count: int, held: Sequence[ReachView] = ()
) -> list[ReachForm]:
    """As many as the page has; what was sent with more places than that is read too."""
    return [
        ReachForm(asked, who=who, prefix=f"reach-{at}", initial=_place(held, at))
        for at in range(count)
    ]


def _place(held: Sequence[ReachView], at: int) -> dict[str, Any]:
    if at >= len(held):
        return {}
    return {
        "verbs": held[at].verbs,
        "service": held[at].service or "",
        "environment": held[at].environment or "",
    }


def _all_valid(form: TrustForm, places: Sequence[ReachForm]) -> bool:
    return all([form.is_valid(), *(each.is_valid() for each in places)])


def _terms(form: TrustForm, places: Sequence[ReachForm]) -> doors.Terms:
    told = form.cleaned_data
    return doors.Terms(
        issuer=told["issuer"],
        audience=told["audience"],
        claims=told["claims"],
        person=told["person"],
        reaches=[_reach(each.cleaned_data) for each in places if each.cleaned_data["verbs"]],
        jwks_url=told["jwks_url"],
        lifetime_s=told["minutes"] * 60,
    )


def _reach(told: Mapping[str, Any]) -> Reach:
    return Reach(frozenset(told["verbs"]), told["service"] or None, told["environment"] or None)


def _initial(held: doors.TrustView) -> dict[str, Any]:
    row = held.row
    return {
        "issuer": row.issuer,
        "audience": row.audience,
        "claims": "\n".join(f"{name} = {pattern}" for name, pattern in row.claims.items()),
        "person": held.person,
        "minutes": max(1, row.lifetime_s // 60),
        "jwks_url": row.jwks_url,
    }


def _here(request: HttpRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")
