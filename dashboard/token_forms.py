"""The forms of the page of tokens: what a new one may reach, and how one is rotated."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from django import forms
from django.forms.boundfield import BoundField
from django.http import QueryDict

from confhub.access import queries as access
from confhub.access import tokens
from confhub.core.actors import Actor, Reach

EVERY = "*"  # no slug, and nothing that is chosen by accident
MOST_LINES = 50
NEVER, AS_IT_IS = "never", "as-it-is"
DAYS = [(str(days), f"{days} days") for days in (7, 30, 90, 180, 365)]
VERBS = {
    "edit": "edit drafts",
    "publish": "publish and roll back",
    "reveal": "reveal secrets",
    "approve": "approve requests",
    "administer": "administer",
}
OVERLAPS = {
    "86400": "for 24 hours more",
    "3600": "for an hour more",
    "604800": "for 7 days more",
    "0": "not any more: it ends now",
}


class TokenForm(forms.Form):
    """Everything about a new token; `lines` places, of which those left empty do not count."""

    name = forms.CharField(
        label="Name", max_length=63, help_text="Small letters, digits, '.', '_' and '-'.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "off"}),
    )  # fmt: skip
    owner = forms.CharField(
        label="It acts as", max_length=150, help_text="A person's name. The audit names the token.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "off"}),
    )  # fmt: skip
    extent = forms.ChoiceField(
        label="What it may do", widget=forms.RadioSelect, initial="limited",
        choices=[
            ("limited", "Only what is ticked at the places below"),
            ("unlimited", "Everything that its person may do, everywhere (unlimited)"),
        ],
    )  # fmt: skip
    days = forms.ChoiceField(
        label="It ends after", choices=[*DAYS, (NEVER, "never")], initial="90",
        help_text="Rotate it before then, and nothing stops.",
    )  # fmt: skip

    def __init__(
        self, data: QueryDict | None = None, *, who: Actor, for_others: bool, again: bool = False
    ) -> None:
        """`again`: draw what was typed, without looking for mistakes in it."""
        lines = _lines(data)
        super().__init__(None if again else data, initial=_typed(data, lines) if again else None)
        if not for_others:
            del self.fields["owner"]
        services = [(each.slug, each.slug) for each in access.services_for(who)]
        environments = [(each.slug, each.slug) for each in access.environments_for(who)]
        for at in range(lines):
            for name, slugs in (("service", services), ("environment", environments)):
                article = "an" if name == "environment" else "a"
                first = [("", f"Choose {article} {name}…"), (EVERY, f"every {name}")]
                self.fields[f"reach.{at}.{name}"] = forms.ChoiceField(
                    label=name.capitalize(), choices=[*first, *slugs], required=False
                )
            self.fields[f"reach.{at}.verbs"] = forms.MultipleChoiceField(
                label="Besides seeing, it may", choices=list(VERBS.items()), required=False,
                widget=forms.CheckboxSelectMultiple,
            )  # fmt: skip
        self.line_count = lines

    def places(self) -> list[dict[str, BoundField]]:
        """Each place's fields, for the template."""
        names = ("service", "environment", "verbs")
        return [
            {name: self[f"reach.{at}.{name}"] for name in names} for at in range(self.line_count)
        ]

    @property
    def may_have_more(self) -> bool:
        return self.line_count < MOST_LINES

    def clean(self) -> dict[str, Any]:
        """Name what is missing at a place that was begun, and at the first one in any case."""
        held = self.cleaned_data
        if held.get("extent") != "limited":
            return held
        for at in range(self.line_count):
            service, environment, verbs = self._line(at)
            if at and not (service or environment or verbs):
                continue
            for name, value in (("service", service), ("environment", environment)):
                if not value and f"reach.{at}.{name}" not in self.errors:
                    self.add_error(f"reach.{at}.{name}", f"Choose one, or “every {name}”.")
        return held

    @property
    def reaches(self) -> list[Reach] | None:
        """The places of a form that is valid; None: unlimited."""
        if self.cleaned_data["extent"] != "limited":
            return None
        lines = [self._line(at) for at in range(self.line_count)]
        return [
            Reach(frozenset({"see", *verbs}), _slug(service), _slug(environment))
            for service, environment, verbs in lines
            if service and environment
        ]

    @property
    def lifetime(self) -> timedelta | None:
        return _lifetime(self.cleaned_data["days"])

    def _line(self, at: int) -> tuple[str, str, list[str]]:
        held = self.cleaned_data
        service, environment = (
            held.get(f"reach.{at}.{name}", "") for name in ("service", "environment")
        )
        return service, environment, held.get(f"reach.{at}.verbs", [])


class RotateForm(forms.Form):
    """How long the secret until now goes on working, and when the token ends."""

    overlap = forms.ChoiceField(label="The secret until now works", choices=list(OVERLAPS.items()))
    days = forms.ChoiceField(
        label="It ends", choices=[(AS_IT_IS, "when it does now"), *DAYS, (NEVER, "never")]
    )
    end_previous = forms.BooleanField(required=False)
    ending = forms.CharField(max_length=8, required=False)  # of the secret that was looked at

    @property
    def overlap_time(self) -> timedelta:
        return timedelta(seconds=int(self.cleaned_data["overlap"]))

    @property
    def lifetime(self) -> timedelta | Literal["as it is"] | None:
        days = self.cleaned_data["days"]
        return tokens.AS_IT_IS if days == AS_IT_IS else _lifetime(days)


def _lines(data: Mapping[str, Any] | None) -> int:
    """How many places the form shall have; one more where the button for it was pressed."""
    asked = str(data.get("lines", "1")) if data is not None else "1"
    held = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 2 else 1
    more = data is not None and data.get("act") == "more"
    return min(max(1, held) + more, MOST_LINES)


def _typed(data: QueryDict | None, lines: int) -> dict[str, Any]:
    if data is None:
        return {}
    verbs = {f"reach.{at}.verbs" for at in range(lines)}
    return {name: data.getlist(name) if name in verbs else data[name] for name in data}


def _slug(chosen: str) -> str | None:
    return None if chosen == EVERY else chosen


def _lifetime(days: str) -> timedelta | None:
    return None if days == NEVER else timedelta(days=int(days))
