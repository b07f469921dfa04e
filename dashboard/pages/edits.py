"""What was done in a draft: the list of it, and undo and redo of one's own acts.

Each view is a scope's or a layer's, by what its address names.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from confhub.access.policies import Verb
from confhub.core import clock
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.releases import undo as undoing
from confhub.releases.actions import DraftIsStale
from confhub.releases.draft_rows import State
from confhub.releases.entries import answered
from dashboard import shell, values
from dashboard.pages.layers import layer_frame
from dashboard.pages.where import frame
from dashboard.values import Shown

SHOWN = 30  # acts on one page
KEYS_SHOWN = 8  # of one act
WORDS = {
    "edit": "edited",
    "restore": "took back an older value",
    "rename": "renamed",
    "rebase": "decided after a release",
    "discard": "discarded the draft",
    "undo": "undid",
    "redo": "did again",
    "publish": "published",
}


@require_safe
@shell.page
def edits(request: HttpRequest, who: Actor, /, **names: str) -> HttpResponse:
    """The newest acts first; ?before=VERSION for older ones."""
    place, context = _place(who, "see", names)
    return _list(request, who, place, context)


@require_POST
@shell.page
def undo(request: HttpRequest, who: Actor, /, **names: str) -> HttpResponse:
    """Take back one's own newest act; `keep` names keys that stay."""
    return _turn(request, who, undoing.undo, "Your last edit is undone.", names)


@require_POST
@shell.page
def redo(request: HttpRequest, who: Actor, /, **names: str) -> HttpResponse:
    return _turn(request, who, undoing.redo, "What you undid is there again.", names)


def _place(who: Actor, verb: Verb, names: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    if "service" in names:
        place, _, context = frame(who, verb, names["service"], names["environment"], tab="config")
        return place, context | {"crumb": names["environment"]}
    place, _, context = layer_frame(who, verb, names["kind"], names.get("slug", ""), tab="config")
    return place, context | {"crumb": str(place)}


def _turn(
    request: HttpRequest, who: Actor, turn: Callable[..., Any], done: str, names: dict[str, str]
) -> HttpResponse:
    place, context = _place(who, "edit", names)
    try:
        turn(
            place, keep=request.POST.getlist("keep"), expected=_whole(request.POST.get("version")),
            who=who, now=clock.now(),
        )  # fmt: skip
    except DraftIsStale as error:
        # What stands on the page now is what the next click was decided about.
        context |= {"refusal": error.detail, "conflicts": _conflicts(error), "turn": turn.__name__}
        return _list(request, who, place, context, status=error.status)
    except ConfHubError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, done)
    backs = {"review": "review_url", "config": "config_url"}
    address = backs.get(request.POST.get("back", ""))
    return redirect(context["editor"][address] if address else f"{_config(context)}edits/")


def _list(
    request: HttpRequest, who: Actor, place: Any, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    stacks = undoing.stacks_of(place, who)
    before = _whole(request.GET.get("before"))
    found = undoing.edits_of(place, before=before, limit=SHOWN + 1)
    drawn = context | {
        "edits": [_line(each) for each in found[:SHOWN]],
        "next_before": found[SHOWN - 1].version if len(found) > SHOWN else None,
        "can_undo": bool(stacks.undoable),
        "can_redo": bool(stacks.redoable),
        "next_undo": stacks.undoable[-1] if stacks.undoable else None,
    }
    return render(request, "dashboard/edits.html", drawn, status=status)


def _line(edit: undoing.Edit) -> dict[str, Any]:
    """The act with its first keys, each with both sides as they are shown."""
    keys = [
        {"key": each.key, "before": _side(each.before), "after": _side(each.after)}
        for each in edit.keys[:KEYS_SHOWN]
    ]
    return {
        "edit": edit,
        "word": WORDS.get(edit.act, edit.act),
        "keys": keys,
        "more": edit.count - len(keys),
    }


def _side(state: State) -> dict[str, Any]:
    value: Shown | None = values.shown(answered(state["entry"])) if state["entry"] else None
    return {"removed": state["removed"], "value": value}


def _conflicts(error: DraftIsStale) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "by": held["by"],
            "theirs": None if held["removed"] else values.shown(held["theirs"]),
            "yours": None if held["yours"] is None else values.shown(held["yours"]),
        }
        for key, held in error.extra.get("conflicts", {}).items()
    ]


def _config(context: dict[str, Any]) -> str:
    return str(context["editor"]["config_url"])


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 10 else None
