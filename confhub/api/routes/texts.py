"""A draft as a text in a format, with its comments: what editors and `vi` want of a draft."""

import re
from typing import TYPE_CHECKING, Annotated, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router
from pydantic import BaseModel, Field

from confhub.access import layers, queries
from confhub.api.auth import who_asks
from confhub.api.bodies import BadHeader, Body, PreconditionMissing
from confhub.api.schemas import Moment, NamedKey
from confhub.core import clock
from confhub.releases import raw
from confhub.releases.raw import TextView

if TYPE_CHECKING:
    from confhub.access.policies import Verb
    from confhub.catalog.models import Layer, Scope

router = Router(tags=["draft"])
PATH = "/services/{service}/environments/{environment}/draft/text"
GLOBAL = "/layers/global/draft/text"
LAYER = "/layers/{kind}/{slug}/draft/text"
KINDS = {"environments": "environment", "sets": "set", "services": "service"}
Kind = Annotated[Literal["environments", "sets", "services"], Path()]
FormatName = Annotated[Literal["yaml", "json", "env", "toml", "properties"], Query()]
_TAG = re.compile(r'\s*"?([0-9]{1,9})\.([0-9]{1,9})"?\s*')
_IF_MATCH = {
    "parameters": [
        {
            "in": "header",
            "name": "If-Match",
            "required": True,
            "schema": {"type": "string"},
            "description": "The ETag of the text as you saw it, or '*'.",
        }
    ]
}


class TextIn(Body):
    text: str = Field(description="The whole text.")
    opened: str | None = Field(
        None,
        description="The text as it was answered to you. With it, only what you changed since then "
        "is compared with what others changed; without it, whatever differs from the draft is.",
    )
    give_up: list[NamedKey] = Field(
        default_factory=list, description="Keys that stay as the draft has them."
    )


class ProblemOut(BaseModel):
    line: int
    column: int
    message: str


class TextOut(BaseModel):
    """Its ETag is "version.draft"."""

    format: str
    text: str
    version: int = Field(description="Of the text; 0 before it was first saved.")
    draft: int = Field(description="The draft's version that it was made from.")
    problem: ProblemOut | None = Field(
        description="Why it does not read; the draft's values stay as they were."
    )
    changes: int = Field(description="How many keys the draft changes.")
    author: str
    changed_at: Moment | None


@router.get(PATH, response=TextOut)
def get_draft_text(
    request: HttpRequest, service: str, environment: str, response: HttpResponse,
    format: FormatName = "yaml",
) -> TextOut:  # fmt: skip
    """The draft as it was last written in this format, with its values as they are now."""
    return _out(raw.text_of(_scope(request, "see", service, environment), format), response)


@router.put(PATH, response=TextOut, openapi_extra=_IF_MATCH)
def save_draft_text(
    request: HttpRequest, service: str, environment: str, body: TextIn, response: HttpResponse,
    format: FormatName = "yaml",
) -> TextOut:  # fmt: skip
    """Make the draft say what the text says. One that does not read is kept, and answered with its
    `problem`."""
    return _save(request, _scope(request, "edit", service, environment), body, response, format)


@router.delete(PATH, response=TextOut, openapi_extra=_IF_MATCH)
def drop_draft_text(
    request: HttpRequest, service: str, environment: str, response: HttpResponse,
    format: FormatName = "yaml",
) -> TextOut:  # fmt: skip
    """Forget the text with its comments, and write it anew from the draft's values."""
    return _drop(request, _scope(request, "edit", service, environment), response, format)


@router.get(GLOBAL, response=TextOut)
def get_global_draft_text(
    request: HttpRequest, response: HttpResponse, format: FormatName = "yaml"
) -> TextOut:
    """The same of the global layer."""
    return _out(raw.text_of(_layer(request, "see", "global", ""), format), response)


@router.put(GLOBAL, response=TextOut, openapi_extra=_IF_MATCH)
def save_global_draft_text(
    request: HttpRequest, body: TextIn, response: HttpResponse, format: FormatName = "yaml"
) -> TextOut:
    """The same of the global layer."""
    return _save(request, _layer(request, "edit", "global", ""), body, response, format)


@router.delete(GLOBAL, response=TextOut, openapi_extra=_IF_MATCH)
def drop_global_draft_text(
    request: HttpRequest, response: HttpResponse, format: FormatName = "yaml"
) -> TextOut:
    """The same of the global layer."""
    return _drop(request, _layer(request, "edit", "global", ""), response, format)


@router.get(LAYER, response=TextOut)
def get_layer_draft_text(
    request: HttpRequest, kind: Kind, slug: str, response: HttpResponse, format: FormatName = "yaml"
) -> TextOut:
    """The same of a layer."""
    return _out(raw.text_of(_layer(request, "see", KINDS[kind], slug), format), response)


@router.put(LAYER, response=TextOut, openapi_extra=_IF_MATCH)
def save_layer_draft_text(
    request: HttpRequest, kind: Kind, slug: str, body: TextIn, response: HttpResponse,
    format: FormatName = "yaml",
) -> TextOut:  # fmt: skip
    """The same of a layer."""
    return _save(request, _layer(request, "edit", KINDS[kind], slug), body, response, format)


@router.delete(LAYER, response=TextOut, openapi_extra=_IF_MATCH)
def drop_layer_draft_text(
    request: HttpRequest, kind: Kind, slug: str, response: HttpResponse, format: FormatName = "yaml"
) -> TextOut:
    """The same of a layer."""
    return _drop(request, _layer(request, "edit", KINDS[kind], slug), response, format)


def _scope(request: HttpRequest, verb: "Verb", service: str, environment: str) -> "Scope":
    return queries.scope_for(who_asks(request), verb, service, environment)


def _layer(request: HttpRequest, verb: "Verb", kind: str, slug: str) -> "Layer":
    return layers.layer_for(who_asks(request), verb, kind, slug)


def _save(
    request: HttpRequest, place: "Scope | Layer", body: TextIn, response: HttpResponse,
    format: FormatName,
) -> TextOut:  # fmt: skip
    version, draft = _seen(request, place)
    saved = raw.save_text(
        place, format=format, text=body.text, opened=body.opened, expected=version,
        expected_draft=draft, give_up=body.give_up, who=who_asks(request), now=clock.now(),
    )  # fmt: skip
    return _out(saved, response)


def _drop(
    request: HttpRequest, place: "Scope | Layer", response: HttpResponse, format: FormatName
) -> TextOut:
    version, _ = _seen(request, place)
    fresh = raw.drop_text(
        place, format=format, expected=version, who=who_asks(request), now=clock.now()
    )
    return _out(fresh, response)


def _seen(request: HttpRequest, place: "Scope | Layer") -> tuple[int | None, int | None]:
    """(text version, draft version) of If-Match; (None, None) for '*'."""
    header = request.headers.get("If-Match")
    if header is None:
        raise PreconditionMissing(
            f"Send If-Match with the ETag of this text of {place} as you saw it, or '*' to save it "
            "whatever is there. GET answers the ETag."
        )
    if header.strip() == "*":
        return None, None
    found = _TAG.fullmatch(header)
    if found is None:
        raise BadHeader(
            f"If-Match: {header[:80]!r} names no version of a text of {place}. Send one ETag as it "
            'was answered, for example "3.17".',
            fields={"If-Match": "Not an ETag of this text."},
        )
    return int(found[1]), int(found[2])


def _out(view: TextView, response: HttpResponse) -> TextOut:
    response["ETag"] = f'"{view.version}.{view.draft_version}"'
    response["Cache-Control"] = "private, no-cache"
    problem = view.problem
    return TextOut(
        format=view.format,
        text=view.text,
        version=view.version,
        draft=view.draft_version,
        problem=ProblemOut(
            line=problem.line, column=problem.column, message=problem.message
        ) if problem else None,
        changes=view.changes,
        author=view.author,
        changed_at=clock.stamp(view.changed_at) if view.changed_at else None,
    )  # fmt: skip
