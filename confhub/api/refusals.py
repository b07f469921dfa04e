"""What each call may be refused with, beyond what follows from its shape.

confhub.api.document adds what every call of a kind has: nobody is signed in, a body is no JSON, an
If-Match is missing. The tests look at every answer: one that is not in the document fails there, and
so does one that nothing provokes (tests/api/test_documented.py).
"""

import re

from confhub.access.actions import BadPerson, PersonTaken
from confhub.access.audit import BadMoment
from confhub.access.exchanging import ManyTrusts, NoTrust
from confhub.access.grants import BadRole, LastAdmin
from confhub.access.issuers import IssuerAway
from confhub.access.oidc import BadIdentity
from confhub.access.places import BadPlace
from confhub.access.policies import NotAllowed, NotFound, NotSignedIn
from confhub.access.reaching import BadReach, BeyondPerson
from confhub.access.tokens import BadToken, OverlapRuns, TokenMoved, TokenTaken
from confhub.access.trusts import BadTrust, TrustTaken
from confhub.api.bodies import BadHeader, Overtaken, PreconditionMissing
from confhub.api.formats import NoSuchForm
from confhub.api.problems import NothingPublished, ServerLeaves, TooManyWait
from confhub.api.routes.config import NoSuchFormat
from confhub.catalog.actions import BadSlug, SlugTaken, StillInUse
from confhub.catalog.freezes import BadFreeze, NoSuchFreeze
from confhub.catalog.schemas.document import BadSchema
from confhub.catalog.schemas.validating import CannotValidate
from confhub.catalog.sets import NoSuchSet
from confhub.core.errors import ConfHubError
from confhub.core.limited import Limited
from confhub.deploys.actions import BadDeployHook, DeployHookTaken
from confhub.deploys.carrying import HookIsOff, PayloadNotKept, Rehearsed
from confhub.deploys.mapping import DoesNotMap
from confhub.deploys.payloads import BadPayload
from confhub.deploys.receiving import BodyChanged, NotVerified, TooLate
from confhub.publishing.actions import NothingToPublish
from confhub.publishing.consulting import HookRefused, HookSilent, HooksOvertaken
from confhub.publishing.hooks import BadHook, HookTaken
from confhub.publishing.layers import NotOnLayer
from confhub.publishing.protection import Frozen, NeedsApproval, ReasonMissing, RequestIsStale
from confhub.publishing.requests import (
    BadRequestText,
    NothingToAsk,
    OwnRequest,
    RequestIsDecided,
    RequestStands,
)
from confhub.publishing.safety import DoesNotFit
from confhub.publishing.trying import NothingToTell
from confhub.releases.actions import ReleaseIsStale, ScopeIsGone
from confhub.releases.bulk import BadBulk
from confhub.releases.comparing import BadComparison
from confhub.releases.draft_rows import DraftIsStale
from confhub.releases.entries import BadEntries
from confhub.releases.exports import CannotExport, NothingToExport
from confhub.releases.guards import GuardTripped
from confhub.releases.images import BadImage
from confhub.releases.imports import ImportUnreadable
from confhub.releases.keyring import KeyIsSealed, NoMasterKey
from confhub.releases.promoting import CannotPromote
from confhub.releases.raw import TextNotKept
from confhub.releases.raw_now import TextIsStale
from confhub.releases.revealing import WriteOnly
from confhub.releases.schemas import SchemaBreaks, SchemaIsStale
from confhub.releases.searching import BadSearch
from confhub.releases.secrets import CannotOpenSecret
from confhub.releases.texts import TextUnreadable, TextUnwritable
from confhub.releases.undo import NothingToUndo
from confhub.webhooks.actions import BadWebhook, NothingSigned, WebhookIsOff, WebhookTaken

Kinds = tuple[type[ConfHubError], ...]

SEALS: Kinds = (NoMasterKey, KeyIsSealed)  # wherever a secret is written
MOVED: Kinds = (DraftIsStale, ScopeIsGone)
EDITS: Kinds = (BadEntries, *MOVED, *SEALS)
FREEZES: Kinds = (
    BadEntries, NothingToPublish, DoesNotFit, CannotValidate, ReasonMissing, BadImage,
    ReleaseIsStale, GuardTripped, Frozen, NeedsApproval, RequestIsStale, RequestIsDecided,
    HookRefused, HookSilent, HooksOvertaken, ScopeIsGone, CannotOpenSecret, *SEALS,
)  # fmt: skip
DRAFT = r".*/draft"
HOOK = r"/deploy-hooks(/\{name\})?"

# (pattern of "METHOD /path", what its calls may be refused with); a call has those of all that fit
RULES: list[tuple[str, Kinds]] = [
    (r"(POST|PATCH) /(services|environments)(/\{\w+\})?", (BadSlug,)),
    (r"POST /(services|environments|layers/sets)", (BadSlug, SlugTaken)),
    (r"PATCH /(services|environments)/\{\w+\}", (Overtaken,)),
    (r"PATCH /services/\{service\}", (NoSuchSet,)),
    (r"DELETE /(services|environments)/\{\w+\}", (StillInUse,)),
    (r"DELETE /layers/\{kind\}/\{slug\}", (StillInUse,)),
    (r"GET .*/config", (NoSuchFormat, NoSuchForm, NothingPublished)),
    (r"GET .*/(convergence|watch)", (TooManyWait, ServerLeaves)),
    (r"GET .*/convergence", (NothingPublished,)),
    (rf"PATCH {DRAFT}", EDITS),
    (rf"DELETE {DRAFT}", MOVED),
    (rf"POST {DRAFT}/(undo|redo)", (BadEntries, *MOVED, NothingToUndo)),
    (rf"POST {DRAFT}/rename", EDITS),
    (rf"(PUT|DELETE) {DRAFT}/text", (ScopeIsGone, TextIsStale, TextUnwritable)),
    (rf"PUT {DRAFT}/text", (*EDITS, TextNotKept)),
    (rf"GET {DRAFT}/text", (TextUnwritable,)),
    (rf"POST {DRAFT}/import", (*EDITS, ImportUnreadable, Limited, TextUnreadable)),
    (rf"POST {DRAFT}/rebase", (BadEntries, *MOVED, ReleaseIsStale)),
    (rf"POST {DRAFT}/restore", (BadEntries, *MOVED)),
    (r"PATCH /services/\{service\}/all", (*EDITS, BadBulk)),
    (r"POST /edits", (*EDITS, BadBulk, BadPlace, NotFound, BadHeader, PreconditionMissing)),
    (r"GET /services/\{service\}/promote", (CannotPromote,)),
    (r"POST /services/\{service\}/promote",
     (*EDITS, CannotPromote, ReleaseIsStale, CannotOpenSecret)),
    (r"(PUT|DELETE) .*/schema/keys/\{key\}",
     (BadSchema, CannotValidate, BadEntries, SchemaIsStale, SchemaBreaks)),
    (r"GET .*/export", (NothingToExport, CannotExport)),
    (r".*/reveal", (BadEntries, WriteOnly, CannotOpenSecret, *SEALS)),
    (r"POST .*/releases", (*FREEZES, DraftIsStale)),
    (r"POST .*/releases/\{release\}/rollback", FREEZES),
    (r"POST .*/layers/take", FREEZES),
    (r"POST /layers/.*/releases(/\{release\}/rollback)?", (NotOnLayer,)),
    (r"POST .*/requests", (BadRequestText, NothingToAsk, RequestStands, DraftIsStale, BadEntries)),
    (r"POST /layers/.*/requests", (NotOnLayer,)),
    (r"POST /requests/\{number\}/(approve|reject|withdraw)", (RequestIsDecided, RequestIsStale)),
    (r"POST /requests/\{number\}/(approve|reject|comments)", (BadRequestText,)),
    (r"POST /requests/\{number\}/(approve|reject)", (OwnRequest,)),
    (r"POST /requests/\{number\}/publish", (*FREEZES, NotOnLayer)),
    (r"PUT .*/schema", (BadSchema, CannotValidate, BadEntries, SchemaIsStale, SchemaBreaks)),
    (r"POST .*/freezes", (BadFreeze,)),
    (r"DELETE .*/freezes/\{freeze\}", (NoSuchFreeze,)),
    (r"POST /people", (BadPerson, PersonTaken)),
    (r"PATCH /people/\{name\}", (BadPerson, LastAdmin)),
    (r"POST /people/\{name\}/grants", (BadRole,)),
    (r"DELETE /people/\{name\}/grants/\{grant\}", (LastAdmin,)),
    (r"GET /audit", (BadMoment,)),
    (r"GET /compare", (BadComparison, NotFound)),
    (r"GET /search", (BadSearch,)),
    (r"POST /tokens", (BadToken, BadReach, BeyondPerson, TokenTaken, NotFound)),
    (r"POST /tokens/\{name\}/rotate", (BadToken, TokenMoved, OverlapRuns)),
    (r"(POST /trusts|PATCH /trusts/\{name\})", (BadTrust, BadReach, BeyondPerson, NotFound)),
    (r"POST /trusts", (TrustTaken,)),
    (r"POST /oidc/exchange", (BadIdentity, NoTrust, ManyTrusts, IssuerAway, NotSignedIn)),
    (r"GET /tokens", (NotFound,)),
    (rf"(POST|PATCH) {HOOK}", (BadDeployHook, NotFound)),
    (r"POST /deploy-hooks", (DeployHookTaken, *SEALS)),
    (rf"POST {HOOK}/secret", (BadDeployHook, *SEALS)),
    (rf"POST {HOOK}/preview", (PayloadNotKept, BadDeployHook, BadPayload)),
    (rf"POST {HOOK}/deliveries/\{{delivery\}}/retry",
     (*FREEZES, PayloadNotKept, HookIsOff, DoesNotMap)),
    (r"POST /publish-hooks", (BadHook, HookTaken, NotFound, NoMasterKey)),
    (r"PATCH /publish-hooks/\{name\}", (BadHook,)),
    (r"POST /publish-hooks/\{name\}/secret", (NoMasterKey,)),
    (r"POST /publish-hooks/\{name\}/test", (NothingToTell,)),
    (r"POST /hooks/deploy/\{hook\}",
     (*FREEZES, BadPayload, HookIsOff, Rehearsed, DoesNotMap, BodyChanged, NotVerified, TooLate,
      NotAllowed, NotFound)),
    (r"POST /webhooks", (BadWebhook, WebhookTaken, NotFound, *SEALS)),
    (r"PATCH /webhooks/\{name\}", (BadWebhook, *SEALS)),
    (r"POST /webhooks/\{name\}/secret", (NothingSigned, *SEALS)),
    (r"POST /webhooks/\{name\}/deliveries/\{message_id\}/redeliver", (WebhookIsOff,)),
]  # fmt: skip


def of_call(method: str, path: str) -> set[type[ConfHubError]]:
    """`path` is the document's, below /api/v1."""
    call = f"{method.upper()} {path}"
    return {kind for pattern, kinds in RULES if re.fullmatch(pattern, call) for kind in kinds}
