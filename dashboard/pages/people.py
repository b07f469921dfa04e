"""People: who is there, which roles they hold where, and what somebody may do at one place."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from confhub.access import actions, grants, token_list
from confhub.access import people as doors
from confhub.access import queries as access
from confhub.access.policies import may, require
from confhub.core import clock
from confhub.core.actors import ROLES, Actor
from confhub.core.errors import ConfHubError
from dashboard import shell
from dashboard.forms import put_errors

ROLE_WORDS = {
    "viewer": "viewer: sees",
    "editor": "editor: sees, edits drafts",
    "publisher": "publisher: sees, edits, publishes, reveals secrets",
    "approver": "approver: sees, approves",
    "admin": "admin: everything, roles as well",
}
VERB_WORDS = {
    "see": "See",
    "edit": "Edit drafts",
    "publish": "Publish and roll back",
    "approve": "Approve requests",
    "reveal": "Reveal secrets",
    "administer": "Administer",
}
EVERY_SERVICE, EVERY_ENVIRONMENT = ("", "every service"), ("", "every environment")
_PASSWORD = forms.PasswordInput(attrs={"autocomplete": "new-password"})


class PersonForm(forms.Form):
    name = forms.CharField(
        label="Name", max_length=150, help_text="Letters, digits and '@.+-_'. It never changes.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    password = forms.CharField(
        label="Password (optional)", max_length=200, required=False, strip=False, widget=_PASSWORD,
        help_text="Without one nobody signs in as them yet.",
    )  # fmt: skip


class PasswordForm(forms.Form):
    password = forms.CharField(
        label="New password", max_length=200, strip=False, widget=_PASSWORD,
        help_text="Their open sessions end.",
    )  # fmt: skip


class PlaceForm(forms.Form):
    """A service and an environment of those that one may see; each may be left open."""

    service = forms.ChoiceField(label="Service", required=False)
    environment = forms.ChoiceField(label="Environment", required=False)

    def __init__(self, *args: Any, who: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        services = [(each.slug, each.slug) for each in access.services_for(who)]
        environments = [(each.slug, each.slug) for each in access.environments_for(who)]
        self._choices("service", [EVERY_SERVICE, *services])
        self._choices("environment", [EVERY_ENVIRONMENT, *environments])

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # declared above
        field.choices = choices


class GrantForm(PlaceForm):
    role = forms.ChoiceField(
        label="Role", choices=[(role, ROLE_WORDS[role]) for role in ROLES], initial="viewer"
    )
    field_order = ("role", "service", "environment")


@require_http_methods(["GET", "HEAD", "POST"])
@shell.page
def people(request: HttpRequest, who: Actor) -> HttpResponse:
    """The list, and making a person."""
    found = doors.people_for(who)
    may_make = may(who, "administer", "people")
    form = PersonForm(request.POST or None)
    if request.method == "POST":
        require(who, "administer", "people")
        if form.is_valid() and _made(request, form, who):
            return redirect("person", form.cleaned_data["name"])
    return render(
        request,
        "dashboard/people.html",
        {"people": found, "form": form, "may_make": may_make, "section": "people"},
        status=422 if form.errors else 200,
    )


def _made(request: HttpRequest, form: PersonForm, who: Actor) -> bool:
    name, password = form.cleaned_data["name"], form.cleaned_data["password"] or None
    try:
        actions.make_person(name, password=password, who=who, now=clock.now())
    except ConfHubError as error:
        put_errors(form, error)
        return False
    messages.success(request, f"{name} is there. Give them a role, or they see nothing.")
    return True


@require_safe
@shell.page
def person(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """One person: roles, and with ?service=&environment= what they may do there."""
    held = doors.person_for(who, name)
    return _drawn(request, who, held)


@require_POST
@shell.page
def give(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    held = doors.person_for(who, name)
    form = GrantForm(request.POST, who=who, prefix="grant")
    if form.is_valid():
        wanted = form.cleaned_data
        service, environment = doors.place_for(who, wanted["service"], wanted["environment"])
        _, is_new = grants.grant(
            held.row, wanted["role"], service=service, environment=environment, who=who,
            now=clock.now(),
        )  # fmt: skip
        place = grants.place_text(wanted["service"] or None, wanted["environment"] or None)
        word = "is" if is_new else "was already"
        messages.success(request, f"{name} {word} {wanted['role']} {place}.")
        return redirect("person", name)
    return _drawn(request, who, held, grant_form=form, status=422)


@require_POST
@shell.page
def take(request: HttpRequest, who: Actor, name: str, grant: int) -> HttpResponse:
    """Take a role back; 0 is what a superuser has without a grant."""
    held = doors.person_for(who, name)

    def act() -> str:
        if grant == 0:
            grants.revoke_superuser(held.row, who=who, now=clock.now())
            return f"{name} is no longer admin everywhere."
        found = doors.grant_for(who, held, grant)
        assert found.row is not None  # noqa: S101  # grant_for hands out no other
        grants.revoke(found.row, who=who, now=clock.now())
        return f"{name} is no longer {found.role} {found.place}."

    return _done(request, name, act)


@require_POST
@shell.page
def switch(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    """active=no switches the account off, active=yes on."""
    held = doors.person_for(who, name)
    active = request.POST.get("active")
    if active not in ("yes", "no"):
        messages.error(request, "The page was incomplete. Nothing was changed.")
        return redirect("person", name)

    def act() -> str:
        actions.switch(held.row, active=active == "yes", who=who, now=clock.now())
        return f"{name} is switched {'on' if active == 'yes' else 'off'}."

    return _done(request, name, act)


@require_POST
@shell.page
def password(request: HttpRequest, who: Actor, name: str) -> HttpResponse:
    held = doors.person_for(who, name)
    require(who, "administer", "people")
    form = PasswordForm(request.POST)
    if form.is_valid():
        try:
            changed = actions.set_password(
                held.row, form.cleaned_data["password"], who=who, now=clock.now()
            )
        except ConfHubError as error:
            put_errors(form, error)
        else:
            if changed.pk == who.user_id:
                update_session_auth_hash(request, changed)  # else one's own page would end
            messages.success(request, f"{name} has a new password.")
            return redirect("person", name)
    return _drawn(request, who, held, password_form=form, status=422)


def _done(request: HttpRequest, name: str, act: Any) -> HttpResponse:
    """What `act` did, or why it was refused, said on the person's page."""
    try:
        messages.success(request, act())
    except grants.LastAdmin as error:
        messages.error(request, error.detail)
    return redirect("person", name)


def _drawn(
    request: HttpRequest, who: Actor, held: doors.PersonView, *,
    grant_form: GrantForm | None = None, password_form: PasswordForm | None = None,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    asked = "service" in request.GET or "environment" in request.GET
    place_form = PlaceForm(request.GET if asked else None, who=who)
    rights = None
    if asked and place_form.is_valid():
        rights = _rights(who, held, place_form.cleaned_data)
    return render(
        request,
        "dashboard/person.html",
        {
            "person": held,
            "is_self": held.row.pk == who.user_id,
            "may_administer": may(who, "administer", "people"),
            "may_give": may(who, "see", "people"),
            "grant_form": grant_form or GrantForm(who=who, prefix="grant"),
            "password_form": password_form or PasswordForm(),
            "place_form": place_form,
            "rights": rights,
            "token_count": token_list.count_for(who, held.row, now=clock.now()),
            "section": "people" if may(who, "see", "people") else "me",
        },
        status=status,
    )


def _rights(who: Actor, held: doors.PersonView, place: dict[str, str]) -> dict[str, Any]:
    service, environment = place["service"] or None, place["environment"] or None
    found = doors.rights_of(who, held, service, environment)
    return {
        "place": grants.place_text(service, environment),
        "lines": [(VERB_WORDS[verb], right) for verb, right in found.items()],
    }
