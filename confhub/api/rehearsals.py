"""`dry_run=1`: every call that changes something, done for real, answered, and taken back.

    {"dry_run": true, "status": 201, "answer": {…}, "changes": […], "acts": […], "hooks": […]}

A refusal is answered as the real call answers it. Whoever asks for `text/markdown` gets a comment
for a pull request. docs/decisions/0029-a-dry-run-is-the-real-act-taken-back.md
"""

import json
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ClassVar, Literal

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from ninja.operation import Operation
from pydantic import BaseModel, Field

from confhub.api import idempotency, problems
from confhub.api.schemas import ChangeOut
from confhub.core.errors import ConfHubError
from confhub.core.rehearsal import Note, Rehearsal, rehearsing
from confhub.releases import markdown

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
WORDS = {"1": True, "true": True, "0": False, "false": False}
SHOWN_ONCE = frozenset({"token", "secret"})  # fields of answers that are told once and never again
# Calls whose answer holds one of them, so that it is not kept for an Idempotency-Key.
TELLING = frozenset(
    {
        "make_token", "rotate_token", "exchange_token", "make_deploy_hook",
        "change_deploy_hook_secret", "create_webhook", "renew_webhook_secret",
        "make_publish_hook", "renew_publish_hook_secret", "reveal", "reveal_global",
        "reveal_in_layer",
    }
)  # fmt: skip
# Their whole answer is what may not be had without an entry in the audit, or a token that works.
NEVER = frozenset({"reveal", "reveal_global", "reveal_in_layer", "exchange_token"})
JSON, MARKDOWN = "application/json", "text/markdown"
Run = Callable[..., Any]


class NoDryRun(ConfHubError):
    """This call cannot be tried: what it answers would be told for good."""

    code: ClassVar[str] = "dry_run.impossible"
    status: ClassVar[int] = 422


class ActOut(BaseModel):
    """An entry that the audit would have got."""

    action: str
    target: str
    data: dict[str, Any]


class PlaceChangesOut(BaseModel):
    """What would be another in one place."""

    place: str = Field(examples=["checkout@prod"])
    of: str = Field(description="release, draft, layer, service, environment, set, schema …")
    release: int | None = Field(description="The number that the release would have.")
    changes: list[ChangeOut] = Field(description="Secrets by their fingerprint.")


class HooksOut(BaseModel):
    """Publish hooks that the real call would ask, and those that it would tell. Nobody was."""

    place: str
    would_ask: list[str]
    would_tell: list[str]


class DryRunOut(BaseModel):
    """What the call would answer and do. Nothing was changed and nobody was told."""

    dry_run: Literal[True]
    status: int = Field(description="The status that the call would answer.")
    answer: Any = Field(description="Its answer, without what is shown once; null for none.")
    changes: list[PlaceChangesOut]
    acts: list[ActOut]
    hooks: list[HooksOut]


def rehearsable(run: Run) -> Run:
    """ninja's `run` of an operation, which with `dry_run=1` only rehearses it.

    Put around every operation by `interface.made`. A safe call changes nothing, and one that has a
    `dry_run` of its own answers it by itself.
    """
    operation: Operation = run.__self__  # type: ignore[attr-defined]  # a bound method
    if SAFE.issuperset(operation.methods) or answers_itself(operation):
        return run
    if operation.is_async:
        raise TypeError(f"{operation.view_func.__name__} waits, so it must answer dry_run itself.")
    name = operation.view_func.__name__

    @wraps(run)
    def either(request: HttpRequest, **parts: Any) -> Any:
        try:
            if name in TELLING:
                idempotency.refuse_key(request)
            if not asked(request):
                return run(request, **parts)
            if name in NEVER:
                raise NoDryRun(_IMPOSSIBLE, fields={"dry_run": _IMPOSSIBLE})
        except ConfHubError as error:
            return problems.answer(request, error)
        try:
            with rehearsing() as seen:
                response = run(request, **parts)
        except (OperationalError, InterfaceError) as error:  # at its begin, or its end
            return operation.api.on_exception(request, error)
        return response if response.status_code >= 400 else _told(request, response, seen)

    return either


_IMPOSSIBLE = "Leave dry_run out: what this call answers cannot be taken back."


def answers_itself(operation: Operation) -> bool:
    """Has the operation a query parameter `dry_run` of its own?"""
    return any(
        "dry_run" in getattr(model, "model_fields", {})
        or "dry_run" in getattr(model, "__ninja_flatten_map__", {})
        for model in operation.models
        if model.__ninja_param_source__ == "query"
    )


def asked(request: HttpRequest) -> bool:
    """Whether the call shall only be rehearsed. Raises BadRequest for other words than WORDS."""
    said = request.GET.getlist("dry_run")
    meant = {WORDS.get(word.lower()) for word in said}
    if not said:
        return False
    if len(meant) != 1 or None in meant:
        sentence = "Write 1 for a dry run, or leave it out."
        raise problems.BadRequest(f"dry_run: {sentence}", fields={"dry_run": sentence})
    return bool(meant.pop())


def wants_markdown(request: HttpRequest) -> bool:
    """Does the request prefer a comment for a pull request to JSON?"""
    return request.get_preferred_type([JSON, MARKDOWN]) == MARKDOWN


def as_markdown(text: str) -> HttpResponse:
    """The answer to whoever does."""
    return HttpResponse(text, content_type=f"{MARKDOWN}; charset=utf-8")


def _told(request: HttpRequest, real: HttpResponse, seen: Rehearsal) -> HttpResponse:
    out = DryRunOut(
        dry_run=True,
        status=real.status_code,
        answer=_masked(_answer(real)),
        changes=[_place(note) for note in seen.notes if "changes" in note.data],
        acts=[
            ActOut(action=note.data["action"], target=note.target, data=note.data["data"])
            for note in seen.notes
            if note.what == "act"
        ],
        hooks=list(_hooks(seen.notes)),
    )
    if wants_markdown(request):
        response = as_markdown(_written(request, out))
    else:
        response = HttpResponse(out.model_dump_json(), content_type=f"{JSON}; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Accept"
    return response


def _answer(real: HttpResponse) -> Any:
    if not real.content:
        return None
    is_json = real.get("Content-Type", "").startswith(JSON)
    return json.loads(real.content) if is_json else real.content.decode()


def _masked(answer: Any) -> Any:
    """`answer` without what is shown once. The secret of a rehearsal opens nothing anyway, because
    its row is gone; but nobody should keep it for one that does."""
    if isinstance(answer, dict) and SHOWN_ONCE & set(answer):
        return {name: None if name in SHOWN_ONCE else held for name, held in answer.items()}
    return answer


def _place(note: Note) -> PlaceChangesOut:
    is_scope = "environment" in note.data
    return PlaceChangesOut(
        place="{service}@{environment}".format(**note.data) if is_scope else note.target,
        of=note.what,
        release=note.data.get("release"),
        changes=[
            ChangeOut(key=each.key, kind=each.kind, old=each.old, new=each.new)
            for each in note.data["changes"]
        ],
    )


def _hooks(notes: list[Note]) -> Iterator[HooksOut]:
    found: dict[str, HooksOut] = {}
    for note in notes:
        if note.what == "hooks":
            held = found.setdefault(
                note.target, HooksOut(place=note.target, would_ask=[], would_tell=[])
            )
            held.would_ask += note.data.get("would_ask", [])
            held.would_tell += note.data.get("would_tell", [])
    yield from found.values()


def _written(request: HttpRequest, out: DryRunOut) -> str:
    call = markdown.code(f"{request.method} {request.path}")
    parts = [f"{call} would answer **{out.status}**. Nothing was changed."]
    for place in out.changes:
        number = f" r{place.release}" if place.release is not None else ""
        heading = f"{markdown.code(place.place)}: {place.of}{number}"
        parts.append(markdown.section(heading, place.changes))
    if not out.changes:
        parts.append("No configuration would change.")
    for each in out.hooks:
        for word, names in (("asked", each.would_ask), ("told", each.would_tell)):
            if names:
                said = ", ".join(markdown.code(name) for name in names)
                parts.append(f"Publish hooks of {markdown.code(each.place)} that would be {word}: {said}.")  # fmt: skip
    if out.acts:
        lines = [f"- {markdown.code(act.action)} {markdown.code(act.target)}" for act in out.acts]
        parts.append("\n".join(["The audit would keep:", "", *lines]))
    return markdown.document("Dry run", parts)
