"""The shapes of layers in REST."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from confhub.api.bodies import Body, Text
from confhub.api.consents import Emergency, RequestNumber
from confhub.api.schemas import (
    ChangeOut,
    Confirmed,
    DraftedKeyOut,
    JsonValue,
    Key,
    Moment,
    ReleaseNumber,
)


class LayerOut(BaseModel):
    kind: Literal["global", "environment", "set", "service"]
    slug: str = Field(description="Empty of the global layer.")
    description: str
    release: int | None = Field(description="Its newest release; null before the first.")


class SetIn(Body):
    slug: Text = Field(description="1 to 63 small letters, digits or '-'. It never changes.")
    description: Text = ""


class LayerDraftOut(BaseModel):
    """What the layer's next release will change. Its ETag is `version`."""

    kind: str
    slug: str
    base: int
    head: int
    version: int
    set: dict[str, JsonValue]
    unset: list[str]
    changes: list[DraftedKeyOut]
    overlapping: list[str]
    updated_at: Moment | None
    updated_by: str


class FollowIn(Body):
    holds_back: bool = Field(description="true: a layer published for all leaves this scope out.")


class FollowOut(BaseModel):
    holds_back: bool
    behind: bool = Field(description="Taking the layers in as they are now would change it.")


class TakeIn(Body):
    message: Text = ""
    expected_release: ReleaseNumber | None = None
    confirm: Confirmed = Field(default_factory=list)
    request: RequestNumber = None
    emergency: Emergency = False


class ScopeName(Body):
    service: Text
    environment: Text


class LayerReleaseIn(Body):
    message: Text = Field(description="Why, for the history.")
    targets: Literal["all"] | list[ScopeName] = Field(
        "all", description="The scopes for which a release is cut. 'all' leaves out those that "
        "hold back; who is left out keeps the layer as it has it.",
    )  # fmt: skip
    set: dict[Key, JsonValue] | None = Field(
        None, description="With `set` or `unset`: the newest release with these changes is "
        "published and the draft stays. With neither: the draft is published.",
    )  # fmt: skip
    unset: list[Key] | None = None
    expected_release: ReleaseNumber | None = None
    confirm: Confirmed = Field(default_factory=list)
    request: RequestNumber = None
    emergency: Emergency = False


class LayerRollbackIn(Body):
    message: Text = ""
    targets: Literal["all"] | list[ScopeName] = "all"
    expected_release: ReleaseNumber | None = None
    confirm: Confirmed = Field(default_factory=list)
    request: RequestNumber = None
    emergency: Emergency = False


class CutOut(BaseModel):
    """A release that was cut because of the layer."""

    service: str
    environment: str
    release: int


class LayerReleaseOut(BaseModel):
    kind: str
    slug: str
    release: int
    message: str
    author: str
    created_at: Moment
    parent: int | None
    restores: int | None
    keys: int
    emergency: bool


class LayerPublishedOut(LayerReleaseOut):
    releases: list[CutOut] = Field(description="One for each chosen scope that it changes.")


class LayerReleaseWithEntries(LayerReleaseOut):
    entries: dict[str, dict[str, Any]]


class TouchedOut(BaseModel):
    """A scope that publishing the layer's draft would change, and how."""

    service: str
    environment: str
    release: int = Field(description="Its newest release.")
    holds_back: bool
    changes: list[ChangeOut]
    problems: dict[str, str] = Field(description="References that would lead nowhere, by key.")
