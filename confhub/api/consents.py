"""What a call agrees to beyond the publish itself: `confirm`, `request`, `emergency`."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import Field

from confhub.publishing.gates import Consent

RequestNumber = Annotated[
    int | None,
    Field(
        description="The approved request that is published, where the environment wants approval.",
        ge=1,
        le=2**63 - 1,
    ),
]
Emergency = Annotated[
    bool,
    Field(
        description="Past a freeze and a missing approval, with a reason; the release is flagged "
        "for ever."
    ),
]


class Consenting(Protocol):
    """A body with the three fields."""

    @property
    def confirm(self) -> Sequence[str]: ...
    @property
    def request(self) -> int | None: ...
    @property
    def emergency(self) -> bool: ...


def consent_of(body: Consenting) -> Consent:
    return Consent(confirmed=body.confirm, request_id=body.request, emergency=body.emergency)
