"""One key of a service's schema. Each change makes the schema's next version."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from ninja import Router, Status
from pydantic import BaseModel, Field

from confhub.access import queries as access
from confhub.access.policies import NotFound
from confhub.api.auth import who_asks
from confhub.api.bodies import Body, Text
from confhub.api.schemas import ReleaseNumber
from confhub.catalog import schema_versions
from confhub.core import clock
from confhub.releases import schemas
from confhub.releases.entries import BadEntries
from watchers.wire.names import BadName, check_key

if TYPE_CHECKING:
    from confhub.catalog.models import Service

router = Router(tags=["schemas"])
PATH = "/services/{service}/schema/keys/{key}"


class RuleIn(Body):
    rule: dict[str, Any] = Field(
        description="JSON Schema 2020-12 of the key's value; docs/schemas.md.",
        examples=[{"type": "integer", "minimum": 1}],
    )
    required: bool = Field(False, description="Every environment must have the key.")
    message: Text = Field("", description="Why, for the history.")
    expected_number: ReleaseNumber | None = Field(
        None, description="Refuse with 409 when another version of the schema is the newest one."
    )


class RuleOut(BaseModel):
    service: str
    key: str
    number: int = Field(description="The schema's version that it is in.")
    rule: dict[str, Any]
    required: bool


@router.get(PATH, response=RuleOut)
def get_schema_key(request: HttpRequest, service: str, key: str) -> RuleOut:
    """What the newest schema says of the key; 404 where it says nothing."""
    held = access.service_for(who_asks(request), "see", service)
    number, document = _newest(held)
    return _out(held, key, number, document)


@router.put(PATH, response={201: RuleOut, 200: RuleOut})
def set_schema_key(request: HttpRequest, service: str, key: str, body: RuleIn) -> Any:
    """Give the key this rule, in the schema's next version; 200 where it has it already."""
    who = who_asks(request)
    held = access.service_for(who, "edit", service)
    try:
        check_key(key)
    except BadName as error:
        raise BadEntries(str(error), fields={"key": str(error)}) from error
    number, document = _newest(held)
    document["properties"][key] = body.rule
    saved = schemas.save_schema(
        held, _required(document, key, body.required), message=body.message,
        expected_number=number if body.expected_number is None else body.expected_number,
        who=who, now=clock.now(),
    )  # fmt: skip
    out = _out(held, key, saved.version.number, saved.version.document)
    return Status(201 if saved.created else 200, out)


@router.delete(PATH, response={204: None})
def remove_schema_key(request: HttpRequest, service: str, key: str) -> Any:
    """Let the schema say nothing of the key, in its next version."""
    who = who_asks(request)
    held = access.service_for(who, "edit", service)
    number, document = _newest(held)
    _out(held, key, number, document)
    del document["properties"][key]
    schemas.save_schema(
        held, _required(document, key, False), message=f"Without {key}", expected_number=number,
        who=who, now=clock.now(),
    )  # fmt: skip
    return Status(204, None)


def _newest(service: "Service") -> tuple[int, dict[str, Any]]:
    """(number, a copy of the document with its properties) of the newest schema; 0 for none."""
    newest = schema_versions.schema_of(service)
    document = copy.deepcopy(newest.document) if newest is not None else {}
    document.setdefault("type", "object")
    document.setdefault("properties", {})
    return newest.number if newest is not None else 0, document


def _required(document: dict[str, Any], key: str, required: bool) -> dict[str, Any]:
    names = [each for each in document.get("required", []) if each != key]
    if required:
        names.append(key)
    rest = {name: held for name, held in document.items() if name != "required"}
    return {**rest, "required": names} if names else rest


def _out(service: "Service", key: str, number: int, document: Mapping[str, Any]) -> RuleOut:
    rules = document.get("properties", {})
    if not isinstance(rules.get(key), dict):
        raise NotFound(
            f"The schema of {service.slug} says nothing of {key[:140]!r}.",
            fields={"key": "No such key in the schema."},
        )
    return RuleOut(
        service=service.slug, key=key, number=number, rule=rules[key],
        required=key in document.get("required", []),
    )  # fmt: skip
