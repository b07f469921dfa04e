"""The shapes of publish hooks and of the calls to them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from confhub.api.bodies import Body, Text
from confhub.api.schemas import Moment

Url = Annotated[Text, Field(examples=["https://policy.example.com/confhub"])]
Order = Annotated[int, Field(ge=0, le=1_000_000, description="The lowest is asked first.")]
Timeout = Annotated[float, Field(ge=0.1, le=10, description="Seconds for the whole answer.")]
Slug = Annotated[Text | None, Field(description="Its slug; every one where left out.")]


class PublishHookIn(Body):
    name: Text = Field(description="1 to 63 small letters, digits or '-'. It never changes.")
    when: Literal["before", "after"] = Field(
        description="before: may refuse or annotate a release. after: is told of it."
    )
    url: Url
    service: Slug = None
    environment: Slug = None
    order: Order = 0
    timeout_s: Timeout = 3.0
    fail_open: bool = Field(
        False, description="Without an answer publish all the same, with a note in the release."
    )
    on: bool = True


class PublishHookChange(Body):
    """What is left out stays as it is."""

    url: Url | None = None
    order: Order | None = None
    timeout_s: Timeout | None = None
    fail_open: bool | None = None
    on: bool | None = None


class PublishHookOut(BaseModel):
    """A hook without its secret."""

    name: str
    when: Literal["before", "after"]
    url: str
    service: str | None = Field(description="null: every one.")
    environment: str | None = Field(description="null: every one.")
    order: int
    timeout_s: float
    fail_open: bool
    on: bool
    made_by: str
    made_at: Moment


class PublishHookMade(PublishHookOut):
    secret: str = Field(description="Signs what is sent (Standard Webhooks). It is told here only.")


class PublishHookSecret(BaseModel):
    secret: str = Field(description="Signs from now on. It is told here only, once.")


class HookTestIn(Body):
    service: Text
    environment: Text


class HookTestOut(BaseModel):
    """What the endpoint made of a question with `"test": true`; nothing was published."""

    outcome: Literal["agreed", "refused", "failed", "told"]
    said: str = Field(description="Its reason or note, or why there was no answer.")
    annotations: dict[str, Any]
    status: int | None
    took_ms: int


class HookCallOut(BaseModel):
    """One question to a hook, or one release it was told of."""

    id: int
    service: str
    environment: str
    release: int | None = Field(description="The number that it has, or would have had.")
    outcome: Literal["agreed", "refused", "failed", "told", "waiting"]
    said: str
    status: int | None
    took_ms: int
    tries: int = Field(description="Of one that is told after a release.")
    next_try_at: Moment | None
    request_id: str
    at: Moment
