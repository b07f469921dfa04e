"""The shapes of services' schemas in REST."""

from typing import Any

from pydantic import BaseModel, Field

from confhub.api.bodies import Body, Text
from confhub.api.schemas import Moment

_DOCUMENT = "JSON Schema 2020-12 of one object with a property for each key; docs/schemas.md."


class SchemaIn(Body):
    document: dict[str, Any] = Field(
        description=_DOCUMENT,
        examples=[{"type": "object", "properties": {"POOL": {"type": "integer", "minimum": 1}}}],
    )
    message: Text = Field("", description="Why, for the history.")
    expected_number: int | None = Field(
        None, ge=0, le=2**31 - 1,
        description="Refuse with 409 when another version is the newest one; 0 for none.",
    )  # fmt: skip


class SchemaVersionOut(BaseModel):
    service: str
    number: int
    message: str
    author: str
    created_at: Moment


class SchemaOut(SchemaVersionOut):
    document: dict[str, Any]


class InferredOut(BaseModel):
    """A proposal. Nothing is saved."""

    document: dict[str, Any]
