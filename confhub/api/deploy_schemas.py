"""The shapes of deploy hooks, their deliveries, and what a sender is answered."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from confhub.api.bodies import Body, Text
from confhub.api.schemas import ChangeOut, ImageOut, JsonValue, Moment, OffersOut

Kind = Literal["confhub", "github", "gitlab", "dockerhub"]
Outcome = Literal["received", "published", "unchanged", "skipped", "refused", "failed", "rehearsed"]
_MAPPING = {
    "set": {
        "TAG": {"pointer": "/release/tag_name"},
        "IMAGE": {"template": "registry/shop:{/release/tag_name}"},
    },
    "message": {"template": "deploy {/release/tag_name}"},
}
_FILTERS = {"events": ["release"], "match": {"/action": "published"}}


class DeployHookIn(Body):
    name: Text = Field(description="Small letters, digits and '-'; it stands in the address.")
    kind: Kind = Field(
        description="Who sends: a CI that signs, or one of three with a form of its own."
    )
    service: Text
    environment: Text
    mapping: dict[str, Any] = Field(
        description="`set`, `types`, `unset`, `message`, `image`: JSON pointers and templates.",
        examples=[_MAPPING],
    )
    filters: dict[str, Any] = Field(
        default_factory=dict, description="`events` and `match`.", examples=[_FILTERS]
    )
    wait_s: int = Field(0, description="Seconds to wait for convergence before it answers.")
    secret: Text | None = Field(
        None, description="One that the sender made; left out, one is made."
    )


class DeployHookChange(Body):
    mapping: dict[str, Any] | None = Field(None, description="Left out: as it is.")
    filters: dict[str, Any] | None = Field(None, description="Left out: as it is.")
    wait_s: int | None = Field(None, description="Left out: as it is.")
    on: bool | None = Field(None, description="false refuses whatever comes.")
    take_over: bool = Field(False, description="It acts as you from now on.")


class DeployHookOut(BaseModel):
    """A hook without its secret."""

    name: str
    kind: Kind
    service: str
    environment: str
    person: str = Field(description="Whom it acts as, within this one scope.")
    mapping: dict[str, Any]
    filters: dict[str, Any]
    wait_s: int
    on: bool
    address: str = Field(examples=["/api/v1/hooks/deploy/shop-release"])
    made_by: str
    made_at: Moment


class DeployHookMade(DeployHookOut):
    secret: str = Field(description="Shown in this answer alone.")


class SecretIn(Body):
    secret: Text | None = Field(
        None, description="One that the sender made; left out, one is made."
    )


class SecretOut(BaseModel):
    secret: str = Field(description="Shown in this answer alone.")


class PreviewIn(Body):
    payload: dict[str, JsonValue] | None = Field(
        None, description="A sample; left out, the newest that was kept."
    )
    mapping: dict[str, Any] | None = Field(None, description="Left out: the hook's own.")
    filters: dict[str, Any] | None = Field(None, description="Left out: the hook's own.")


class RefusalOut(BaseModel):
    """Why a publish was, or would be, refused; the same as in the problem document."""

    code: str
    detail: str
    fields: dict[str, str]


class PreviewOut(BaseModel):
    source: str = Field(examples=["delivery 17"])
    outcome: Outcome = Field(description="What it would come to.")
    detail: str
    set: dict[str, JsonValue]
    unset: list[str]
    message: str
    image: ImageOut | None
    changes: list[ChangeOut]
    refusal: RefusalOut | None


class DeliveryOut(BaseModel):
    id: int
    event: str
    outcome: Outcome
    detail: str
    code: str | None = Field(description="Of a refusal, as in the problem document.")
    release: int | None
    received_at: Moment
    took_ms: int
    tries: int
    came_from: str
    request_id: str


class DeliveryWithPayload(DeliveryOut):
    payload: dict[str, Any] | None = Field(
        description="Null where it is not kept; what is named like a secret is masked."
    )


class RetryIn(Body):
    confirm: list[Text] = Field(
        default_factory=list, description="Codes of guards (409 `release.guard`) that are meant."
    )


class DeliveryAnswer(BaseModel):
    """What became of a delivery."""

    delivery: int
    outcome: Outcome
    detail: str
    service: str
    environment: str
    release: int | None
    state: Literal["confirmed", "failed", "pending", "nobody"] | None = Field(
        None, description="How far the release got in its instances."
    )
    counts: dict[str, int] = Field(default_factory=dict)
    repeated: bool = Field(description="It came before; this is what it came to then.")
    image: ImageOut | None = None
    offers: OffersOut | None = None
    changes: list[ChangeOut] | None = Field(None, description="Of a dry run.")
