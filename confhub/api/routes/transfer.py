"""Import into a draft, always with a dry run to look at first, and export as a file."""

from typing import TYPE_CHECKING, Annotated, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router
from pydantic import BaseModel, Field

from confhub.access import layers, queries
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, Text, seen_version
from confhub.api.schemas import ChangeOut
from confhub.core import clock
from confhub.releases import exports, importing, imports
from confhub.releases.exports import ExportFormat, Of, Secrets
from confhub.releases.importing import ImportPlan
from confhub.releases.imports import Options, Source

if TYPE_CHECKING:
    from confhub.catalog.models import Layer, Scope

router = Router(tags=["import and export"])
SCOPE = "/services/{service}/environments/{environment}"
GLOBAL = "/layers/global"
LAYER = "/layers/{kind}/{slug}"
KINDS = {"environments": "environment", "sets": "set", "services": "service"}
Kind = Annotated[Literal["environments", "sets", "services"], Path()]
DryRun = Annotated[bool, Query(False, description="1: answer what would change, write nothing.")]
FormatName = Annotated[ExportFormat, Query()]
SecretsWord = Annotated[
    Secrets,
    Query(
        "masked",
        description="masked: what an import takes for 'as it is'. sealed: as it stands in etcd.",
    ),
]
OfWord = Annotated[
    Of, Query("release", description="The newest release, or what the draft would publish.")
]
_IF_MATCH = {
    "parameters": [
        {
            "in": "header",
            "name": "If-Match",
            "required": False,
            "schema": {"type": "string"},
            "description": "The ETag that the dry run answered, or '*'. Needed unless it is one.",
        }
    ]
}
_FILE = {
    "responses": {
        200: {
            "description": "OK",
            "headers": {
                "Content-Disposition": {
                    "description": "A name for the file.",
                    "schema": {"type": "string"},
                },
                "Confhub-Release": {"description": "Its number.", "schema": {"type": "integer"}},
            },
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": "MAX_CONNECTIONS='200'\n"},
                "application/yaml": {"schema": {}},
                "application/json": {"schema": {"type": "object"}},
                "application/toml": {"schema": {"type": "string"}},
            },
        }
    }
}


class ImportIn(Body):
    text: str = Field(description="The document; 1 MiB at most.")
    source: Source | Literal[""] = Field("", description="Guessed where it is empty.")
    replace: bool = Field(
        False, description="The draft loses its own keys that the text does not have."
    )
    flatten: bool | None = Field(
        None,
        description="Objects into keys with dots. null: as is usual for the source (chef: true).",
    )
    prefix: Text = Field(
        "",
        description="Left out of names in a store. Empty: what all have in common; '/': nothing.",
    )
    item: Text = Field("", description="The service of a Compose file, the object of a manifest.")


class SkippedOut(BaseModel):
    name: str = Field(description="As it stands in the text.")
    reason: str


class RenamedOut(BaseModel):
    name: str = Field(description="As it stands in the text.")
    key: str


class ImportOut(BaseModel):
    """Its ETag is the draft's version: after a dry run the one that it was made against."""

    source: str
    dry_run: bool
    version: int
    changes: list[ChangeOut] = Field(description="Secrets by their fingerprint.")
    same: list[str] = Field(description="In the text, and so in the draft already.")
    left: list[str] = Field(description="In the draft, not in the text, and staying.")
    skipped: list[SkippedOut]
    renamed: list[RenamedOut]
    notes: list[str]
    problems: dict[str, str] = Field(description="References without a target, by key.")


@router.post(f"{SCOPE}/draft/import", response=ImportOut, openapi_extra=_IF_MATCH)
def import_into_draft(
    request: HttpRequest, service: str, environment: str, body: ImportIn, response: HttpResponse,
    dry_run: DryRun,
) -> ImportOut:  # fmt: skip
    """Set keys of the draft from another tool's document. `dry_run=1` answers the difference."""
    place = queries.scope_for(who_asks(request), "edit", service, environment)
    return _import(request, place, body, response, dry_run=dry_run)


@router.post(f"{GLOBAL}/draft/import", response=ImportOut, openapi_extra=_IF_MATCH)
def import_into_global_draft(
    request: HttpRequest, body: ImportIn, response: HttpResponse, dry_run: DryRun
) -> ImportOut:
    """The same into the global layer."""
    place = layers.layer_for(who_asks(request), "edit", "global")
    return _import(request, place, body, response, dry_run=dry_run)


@router.post(f"{LAYER}/draft/import", response=ImportOut, openapi_extra=_IF_MATCH)
def import_into_layer_draft(
    request: HttpRequest, kind: Kind, slug: str, body: ImportIn, response: HttpResponse,
    dry_run: DryRun,
) -> ImportOut:  # fmt: skip
    """The same into a layer."""
    place = layers.layer_for(who_asks(request), "edit", KINDS[kind], slug)
    return _import(request, place, body, response, dry_run=dry_run)


@router.get(f"{SCOPE}/export", openapi_extra=_FILE)
def export_config(
    request: HttpRequest, service: str, environment: str, format: FormatName,  # the contract's word
    secrets: SecretsWord, of: OfWord,
) -> HttpResponse:  # fmt: skip
    """The effective configuration as a file, with secrets masked or sealed."""
    place = queries.scope_for(who_asks(request), "see", service, environment)
    return _export(place, format, secrets, of)


@router.get(f"{GLOBAL}/export", openapi_extra=_FILE)
def export_global_layer(
    request: HttpRequest, format: FormatName, secrets: SecretsWord, of: OfWord
) -> HttpResponse:
    """The same of the global layer."""
    return _export(layers.layer_for(who_asks(request), "see", "global"), format, secrets, of)


@router.get(f"{LAYER}/export", openapi_extra=_FILE)
def export_layer(
    request: HttpRequest, kind: Kind, slug: str, format: FormatName, secrets: SecretsWord,
    of: OfWord,
) -> HttpResponse:  # fmt: skip
    """The same of a layer."""
    place = layers.layer_for(who_asks(request), "see", KINDS[kind], slug)
    return _export(place, format, secrets, of)


def _import(
    request: HttpRequest, place: "Scope | Layer", body: ImportIn, response: HttpResponse,
    *, dry_run: bool,
) -> ImportOut:  # fmt: skip
    seen = None
    if not dry_run:
        seen = seen_version(request.headers.get("If-Match"), of=f"the draft of {place}")
    now = clock.now()
    options = Options(flatten=body.flatten, prefix=body.prefix, item=body.item)
    imported = imports.read(body.source, body.text, options=options)
    plan = importing.plan(place, imported, replace=body.replace, now=now)
    version = plan.version
    if not dry_run:
        version = importing.apply(plan, expected=seen, who=who_asks(request), now=now).version
    response["ETag"] = f'"{version}"'
    response["Cache-Control"] = "private, no-cache"
    return _out(plan, version, dry_run=dry_run)


def _out(plan: ImportPlan, version: int, *, dry_run: bool) -> ImportOut:
    return ImportOut(
        source=plan.source,
        dry_run=dry_run,
        version=version,
        changes=[ChangeOut(key=c.key, kind=c.kind, old=c.old, new=c.new) for c in plan.changes],
        same=plan.same,
        left=plan.left,
        skipped=[SkippedOut(name=name, reason=why) for name, why in plan.skipped],
        renamed=[RenamedOut(name=name, key=key) for name, key in plan.renamed],
        notes=plan.notes,
        problems=plan.problems,
    )


def _export(
    place: "Scope | Layer", format: ExportFormat, secrets: Secrets, of: Of
) -> HttpResponse:  # the contract's word
    made = exports.export(place, format=format, secrets=secrets, of=of)
    response = HttpResponse(made.content, content_type=made.media_type)
    response["Content-Disposition"] = f'attachment; filename="{made.filename}"'
    response["Confhub-Release"] = str(made.release)
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
