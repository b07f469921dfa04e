"""GitHub's webhooks.

`X-Hub-Signature-256: sha256=HEX` is HMAC-SHA256 under the secret over the body as it was sent, also
where that is a form with the JSON in its field `payload`. `X-GitHub-Event` names the event, and
`X-GitHub-Delivery` is the same again when somebody redelivers; neither is signed, so here one body is
one delivery. No moment is signed. GitHub waits 10 s for an answer and does not try again by itself.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
https://docs.github.com/en/webhooks/webhook-events-and-payloads
https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
https://github.com/github/docs/issues/32822 (a redelivery has the id of the first)
"""

import secrets
from datetime import datetime
from urllib.parse import parse_qs

from confhub.deploys.payloads import BadPayload
from confhub.deploys.senders import base
from confhub.deploys.senders.base import Proof, Sent

FORM = "application/x-www-form-urlencoded"


class GitHub:
    title = "GitHub webhook"
    usual: tuple[str, ...] = ("push", "release", "deployment", "package", "registry_package")

    def new_secret(self) -> str:
        return secrets.token_hex(32)

    def proof(self, sent: Sent, secret: str, *, now: datetime) -> Proof | None:
        expected = f"sha256={base.mac(secret, sent.body).hex()}"
        if not base.same(sent.header("x-hub-signature-256"), expected):
            return None
        event = base.event_of(sent.header("x-github-event"))
        return Proof(
            base.id_of(sent.header("x-github-delivery")) or base.digest(sent.body),
            event,
            covers_id=False,
            is_greeting=event == "ping",
        )

    def text(self, sent: Sent) -> bytes:
        if not sent.header("content-type").casefold().startswith(FORM):
            return sent.body
        try:
            fields = parse_qs(sent.body.decode("utf-8"), strict_parsing=True, max_num_fields=20)
        except ValueError:  # not UTF-8, or no form
            fields = {}
        if len(fields.get("payload", [])) != 1:
            raise BadPayload("The form has no field 'payload'. Choose application/json at GitHub.")
        return fields["payload"][0].encode("utf-8", "surrogatepass")
