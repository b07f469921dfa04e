"""The shapes of what comes in and goes out. `docs/rest.md` and the OpenAPI document are made of them."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from confhub.api.bodies import Body, Text
from confhub.api.consents import Emergency, RequestNumber

Item = TypeVar("Item")

Key = Annotated[str, Field(examples=["MAX_CONNECTIONS"])]
NamedKey = Annotated[Text, Field(examples=["MAX_CONNECTIONS"])]  # one that is looked for
JsonValue = Annotated[Any, Field(description="Any JSON value, null as well; 256 KiB at most.")]
Moment = Annotated[str, Field(examples=["2026-11-23T20:05:32.479Z"])]
ReleaseNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]
Confirmed = Annotated[
    list[Text],
    Field(description="Codes of guards (409 `release.guard`) that are meant: `count_halved` …"),
]


class Page(BaseModel, Generic[Item]):
    """A part of a list. `next` goes into `?after=` for the part behind it; null at the end."""

    items: list[Item]
    next: str | None


# --- services and environments ---------------------------------------------------------------


class ServiceIn(Body):
    slug: Text = Field(description="1 to 63 small letters, digits or '-'. It never changes.")
    name: Text = Field("", description="For people; the slug where it is empty.")
    description: Text = ""


class ServiceChange(Body):
    name: Text = Field("", description="Left out: as it is.")
    description: Text = Field("", description="Left out: as it is.")
    includes: list[Text] = Field(
        default_factory=list,
        description="Shared sets, a later one winning; from each scope's next release on. Left out: as they are.",
    )


class ServiceOut(BaseModel):
    slug: str
    name: str
    description: str
    created_at: Moment


class Place(BaseModel):
    """A service in one environment."""

    environment: str
    release: int | None = Field(description="The newest release; null before the first.")
    holds_back: bool = Field(description="A layer published for all leaves it out.")
    behind: bool = Field(description="Taking its layers in as they are now would change it.")


class ServiceWithPlaces(ServiceOut):
    environments: list[Place]
    includes: list[str] = Field(description="Shared sets, the lowest first.")


class EnvironmentIn(Body):
    slug: Text = Field(description="1 to 63 small letters, digits or '-'. It never changes.")
    name: Text = Field("", description="For people; the slug where it is empty.")
    protected: bool = Field(False, description="Pages ask for its name before publishing.")
    order: int = Field(0, description="Its place in lists, from 0.")
    approvals: int = Field(0, description="1: another person has to agree with each release.")


class EnvironmentChange(Body):
    name: Text = Field("", description="Left out: as it is.")
    protected: bool = Field(False, description="Left out: as it is.")
    order: int = Field(0, description="Left out: as it is.")
    approvals: int = Field(0, description="Left out: as it is.")


class EnvironmentOut(BaseModel):
    slug: str
    name: str
    protected: bool
    order: int
    approvals: int


# --- the draft -------------------------------------------------------------------------------


class DraftChangeIn(Body):
    set: dict[Key, JsonValue] = Field(default_factory=dict, description="Keys and their values.")
    unset: list[Key] = Field(default_factory=list, description="Keys that the release shall lose.")
    revert: list[NamedKey] = Field(
        default_factory=list, description="Keys that shall be as in the newest release again."
    )


class DraftedKeyOut(BaseModel):
    key: str
    removed: bool
    value: JsonValue
    version: int = Field(description="The draft's version that wrote it.")
    author: str
    changed_at: Moment
    overlaps: bool = Field(description="A release since the draft's base changed it as well.")


class DraftOut(BaseModel):
    """What the next release will change. Its ETag is `version`."""

    service: str
    environment: str
    base: int = Field(description="The release it was begun on; 0 for none.")
    head: int = Field(description="The newest release; 0 before the first.")
    version: int
    set: dict[str, JsonValue]
    unset: list[str]
    changes: list[DraftedKeyOut]
    overlapping: list[str]
    updated_at: Moment | None
    updated_by: str


# --- secrets ---------------------------------------------------------------------------------


class RevealIn(Body):
    key: Key
    reason: Text = Field(
        "", description="Why; the audit shows it. Needed where something protected is reached."
    )
    release: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="As this release had it. Left out: as the draft has it."
    )


class RevealOut(BaseModel):
    """The only answer that holds a secret's value. It is not to be kept."""

    key: str
    value: JsonValue
    version: int
    fingerprint: str


# --- releases --------------------------------------------------------------------------------


class ImageIn(Body):
    """The image that a release is made for."""

    name: Text = Field(examples=["ghcr.io/acme/shop"])
    digest: Text = Field(description="Of its manifest: sha256: and 64 hexadecimal digits.")


class ImageOut(BaseModel):
    name: str
    digest: str


class OffersOut(BaseModel):
    """The other half of a step back; one of the two."""

    image: ImageOut | None = Field(
        None, description="The image that this configuration was made for, unlike the current one."
    )
    release: int | None = Field(
        None, description="The release that last ran with this image, with another configuration."
    )
    rollback: str | None = Field(
        None, description="The call that goes back to it: POST …/releases/{n}/rollback."
    )


class ReleaseIn(Body):
    message: Text = Field(description="Why, for the history.")
    set: dict[Key, JsonValue] | None = Field(
        None, description="With `set` or `unset`: the newest release with these changes is "
        "published and the draft stays. With neither: the draft is published.",
    )  # fmt: skip
    unset: list[Key] | None = None
    expected_release: ReleaseNumber | None = Field(
        None, description="Refuse with 409 when another release is the newest one; 0 for none."
    )
    confirm: Confirmed = Field(default_factory=list)
    request: RequestNumber = None
    emergency: Emergency = False
    image: ImageIn | None = Field(
        None, description="The image it is made for. Left out: the one of the release before."
    )


class RollbackIn(Body):
    message: Text = ""
    expected_release: ReleaseNumber | None = None
    confirm: Confirmed = Field(default_factory=list)
    request: RequestNumber = None
    emergency: Emergency = False


class PublicationOut(BaseModel):
    """How far a release got on its way into etcd."""

    state: Literal["waiting", "written", "parked"]
    written_at: Moment | None
    revision: int | None = Field(description="etcd's, of the pointer's write.")
    tries: int
    last_error: str


class ReleaseOut(BaseModel):
    service: str
    environment: str
    release: int
    checksum: str
    message: str
    author: str
    created_at: Moment
    parent: int | None = Field(description="The release that was the newest before.")
    restores: int | None = Field(description="The release whose content a rollback took.")
    keys: int = Field(description="How many it has.")
    emergency: bool = Field(description="It went past a freeze or a missing approval.")
    annotations: dict[str, Any] = Field(description="What publish hooks noted, by their names.")
    image: ImageOut | None = Field(
        None, description="The image it was made for, where one was named."
    )
    offers: OffersOut | None = Field(
        None,
        description="Of one release, or of a publish; null in lists, and where there is nothing.",
    )
    publication: PublicationOut


class ReleaseWithEntries(ReleaseOut):
    entries: dict[str, dict[str, Any]] = Field(examples=[{"MAX_CONNECTIONS": {"value": 200}}])


class ChangeOut(BaseModel):
    key: str
    kind: Literal["added", "changed", "removed"]
    old: JsonValue
    new: JsonValue


class DiffOut(BaseModel):
    """What `release` has otherwise than `against`; 0 stands for nothing at all."""

    release: int
    against: int
    changes: list[ChangeOut]


# --- instances -------------------------------------------------------------------------------


class ConvergenceOut(BaseModel):
    """How far a release got in the instances that shall run it."""

    service: str
    environment: str
    release: int
    state: Literal["confirmed", "failed", "pending", "nobody"]
    counts: dict[str, int] = Field(examples=[{"confirmed": 3, "waiting": 1}])
    behind: list[dict[str, Any]] = Field(description="The instances that do not run it, and why.")


# --- people and the audit ---------------------------------------------------------------------


class PersonIn(Body):
    name: Text = Field(description="Letters, digits and '@.+-_'. It never changes.")
    password: Text | None = Field(None, description="Left out: nobody signs in as them yet.")


class PersonChange(Body):
    active: bool | None = Field(None, description="false switches the account off.")
    password: Text | None = Field(None, description="Another password; open sessions end.")


class GrantIn(Body):
    role: Text = Field(description="viewer, editor, publisher, approver or admin.")
    service: Text | None = Field(None, description="Its slug; every one where left out.")
    environment: Text | None = Field(None, description="Its slug; every one where left out.")


class GrantOut(BaseModel):
    """A role, everywhere or only for the service and environment that are named."""

    id: int = Field(description="0: a superuser's own right, which is no grant.")
    role: str
    service: str | None
    environment: str | None
    made_by: str
    made_at: Moment | None


class PersonOut(BaseModel):
    name: str
    active: bool
    last_signed_in: Moment | None
    grants: list[GrantOut]


class RightOut(BaseModel):
    allowed: bool
    because: str = Field(description="The role that gives it, or the one that is missing.")


class RightsOut(BaseModel):
    person: str
    service: str | None
    environment: str | None
    rights: dict[str, RightOut] = Field(description="For each verb: see, edit, publish …")


class AuditEntryOut(BaseModel):
    """`digest` is SHA-256 over the digest before, a line feed, and the canonical JSON of the rest."""

    position: int
    at: str
    actor: str
    action: str
    target: str
    data: dict[str, Any] = Field(description="Keys and numbers, never values.")
    request_id: str
    digest: str


# --- health ----------------------------------------------------------------------------------


class DependencyOut(BaseModel):
    ok: bool
    why: str = Field(description="Empty where it is ok.")
    age_s: float | None = Field(description="How old the knowledge is.")


class ReadyOut(BaseModel):
    status: Literal["ready", "degraded", "down"]
    dependencies: dict[str, DependencyOut]
