"""The shapes of trusts and of the exchange."""

from typing import Annotated

from pydantic import BaseModel, Field

from confhub.api.bodies import Body, Text
from confhub.api.schemas import Moment
from confhub.api.token_schemas import ReachIn, ReachOut

Claims = Annotated[
    dict[str, Text],
    Field(
        description="What the identity token must say: a text, in which `*` stands for any "
        "characters. Of a list, one must fit.",
        max_length=20,
    ),
]
Lifetime = Annotated[int, Field(ge=60, le=3600, description="Of a token that it gives, seconds.")]


class ExchangeIn(Body):
    token: str = Field(description="The identity token (JWT) that the forge gave to the job.")
    trust: Text | None = Field(
        None, description="Which trust is meant; may be left out where exactly one fits."
    )


class ExchangeOut(BaseModel):
    token: str = Field(description="The bearer token for this API. It is told here only.")
    name: str = Field(description="As in the audit and in the list of tokens.")
    expires_at: Moment
    reach: list[ReachOut] = Field(description="What it may do, within what its person may do.")


class TrustIn(Body):
    name: Text = Field(description="1 to 63 small letters, digits or '-'. It never changes.")
    issuer: Text = Field(description="The claim `iss`, exactly: https://gitlab.com.")
    jwks_url: Text = Field("", description="Where its keys are; found by discovery where empty.")
    audience: Text = Field(description="One of the claim `aud`, exactly.")
    claims: Claims
    person: Text = Field(description="As whom its tokens act.")
    reach: list[ReachIn] = Field(
        description="What its tokens may do at most, within what the person may do.", max_length=50
    )
    lifetime_s: Lifetime = 900


class TrustChange(Body):
    """What is left out stays as it is; `claims` and `reach` are replaced whole."""

    issuer: Text | None = None
    jwks_url: Text | None = None
    audience: Text | None = None
    claims: Claims | None = None
    person: Text | None = None
    reach: list[ReachIn] | None = Field(None, max_length=50)
    lifetime_s: Lifetime | None = None


class TrustOut(BaseModel):
    name: str
    issuer: str
    jwks_url: str
    audience: str
    claims: dict[str, str]
    person: str
    reach: list[ReachOut]
    lifetime_s: int
    made_by: str
    made_at: Moment
    last_used_at: Moment | None = Field(description="The last exchange; null: none yet.")
    living_tokens: int = Field(description="That it gave and that have not ended.")
