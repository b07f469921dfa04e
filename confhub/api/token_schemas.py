"""The shapes of tokens that come in and go out."""

from typing import Annotated

from pydantic import BaseModel, Field

from confhub.access.policies import Verb
from confhub.api.bodies import Body, Text
from confhub.api.schemas import Moment

Days = Annotated[
    int | None, Field(ge=1, le=365, description="Days until it ends; null only for never.")
]


class ReachIn(Body):
    """Verbs that are allowed at one place; `see` comes with every other."""

    verbs: list[Verb] = Field(max_length=20)
    service: Text | None = Field(None, description="Its slug; every one where left out.")
    environment: Text | None = Field(None, description="Its slug; every one where left out.")


class TokenIn(Body):
    name: Text = Field(description="1 to 63 small letters, digits, '.', '_' or '-'.")
    owner: Text | None = Field(None, description="The person it acts as; oneself where left out.")
    reach: list[ReachIn] | None = Field(
        None, description="What it may do at most, within what its person may do.", max_length=50
    )
    unlimited: bool = Field(False, description="True in place of `reach`: all that its person may.")
    expires_in_days: Days = 90


class RotateIn(Body):
    overlap_s: int = Field(
        86_400, ge=0, le=604_800, description="Seconds for which the old secret goes on working."
    )
    expires_in_days: Days = Field(90, description="A new end from now on. Left out: as it is.")
    end_previous: bool = Field(
        False, description="Rotate although the secret before the last rotation still works."
    )


class ReachOut(BaseModel):
    verbs: list[str]
    service: str | None = Field(description="null: every one.")
    environment: str | None = Field(description="null: every one.")


class TokenOut(BaseModel):
    """A token without its secret, which is told once where it is made."""

    name: str
    owner: str
    unlimited: bool
    reach: list[ReachOut] = Field(description="What it may do at most; all where `unlimited`.")
    ending: str = Field(description="The secret's last characters; empty where nobody noted them.")
    made_by: str
    created_at: Moment
    expires_at: Moment | None = Field(description="null: never.")
    expired: bool
    last_used_at: Moment | None = Field(description="To within a minute; null: never used.")
    last_used_from: str | None = Field(description="An IP address.")
    previous_until: Moment | None = Field(
        description="Until when the secret before the last rotation still works."
    )
    source: str | None = Field(description="Of one that was exchanged: who the CI job said it was.")


class TokenMade(TokenOut):
    token: str = Field(description="The secret. It is told here only, once.")


class MyGrant(BaseModel):
    role: str
    service: str | None
    environment: str | None


class MeOut(BaseModel):
    """Who asks, as ConfHub knows them."""

    name: str = Field(description='As in the audit: "mia", or "token:deploy".')
    person: str = Field(description="Whose rights these are.")
    unlimited: bool = Field(description="As far as the roles go; false for a token with a reach.")
    reach: list[ReachOut]
    grants: list[MyGrant] = Field(description="The person's roles, as far as they may be seen.")
    token: str | None = Field(description="The token's name; null for a browser's session.")
    expires_at: Moment | None
