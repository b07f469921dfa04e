"""GitLab's webhooks, in both of their forms.

With a signing token, which newer versions have, they are signed as Standard Webhooks: `webhook-id`,
`webhook-timestamp` and `webhook-signature: v1,BASE64`, HMAC-SHA256 over id, moment and body, under
the 32 bytes of `whsec_…`. Before that the secret itself stands in `X-Gitlab-Token`, which proves
nothing of the body. A request with a signature is judged by it alone.

`Idempotency-Key` (and `webhook-id`, which equals it) stays the same at every try of one delivery.
`X-Gitlab-Event-UUID` is shared by hooks that one event sets off, so it counts with the body.

https://docs.gitlab.com/user/project/integrations/webhooks/
https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944 (the signature)
https://gitlab.com/gitlab-org/gitlab/-/merge_requests/231325 (`whsec_` and 32 bytes)
https://gitlab.com/gitlab-org/gitlab/-/merge_requests/160952 (Idempotency-Key)
"""

from datetime import UTC, datetime

from confhub.core import signing
from confhub.deploys.filters import normal
from confhub.deploys.senders import base
from confhub.deploys.senders.base import Proof, Sent

SIGNATURE = "webhook-signature"
MAX_SIGNATURES = 5


class GitLab:
    title = "GitLab webhook"
    usual: tuple[str, ...] = ()

    def new_secret(self) -> str:
        return signing.new_secret()

    def proof(self, sent: Sent, secret: str, *, now: datetime) -> Proof | None:
        event = normal(base.event_of(sent.header("x-gitlab-event")))
        if SIGNATURE in sent.headers:
            return _signed(sent, secret, event, now)
        base.mac(secret, sent.body)  # for the time that a signature would take
        if not base.same(sent.header("x-gitlab-token"), secret):
            return None
        return Proof(_unsigned_id(sent), event)

    def text(self, sent: Sent) -> bytes:
        return sent.body


def _signed(sent: Sent, secret: str, event: str, now: datetime) -> Proof | None:
    message_id, stamp = sent.header("webhook-id"), base.seconds_of(sent.header("webhook-timestamp"))
    try:
        moment = datetime.fromtimestamp(stamp or 0, UTC)
        expected = signing.headers(secret, message_id, sent.body, now=moment)[SIGNATURE]
    except (signing.BadSecret, ValueError, OverflowError, OSError):
        return None  # a secret of another form, or a year that no clock has
    signatures = sent.header(SIGNATURE)[:1000].split()[:MAX_SIGNATURES]
    known = [base.same(each, expected) for each in signatures]
    if stamp is None or not message_id or not any(known):
        return None
    return Proof(base.id_of(message_id), event, is_late=base.is_late(stamp, now))


def _unsigned_id(sent: Sent) -> str:
    body = base.digest(sent.body)
    if key := base.id_of(sent.header("idempotency-key")):
        return key
    event = base.id_of(sent.header("x-gitlab-event-uuid"))
    return f"{event[:130]}/{body}" if event else body
