"""Docker Hub's webhooks, which have no signature, no id and no event.

So the secret stands in the address that Docker Hub is given, as `?key=`, and one body is one
delivery. `callback_url` is never called: Docker no longer documents it, and it would be an address of
a stranger's choosing.

https://docs.docker.com/docker-hub/repos/manage/webhooks/
"""

import secrets
from datetime import datetime

from confhub.deploys.senders import base
from confhub.deploys.senders.base import Proof, Sent


class DockerHub:
    title = "Docker Hub webhook"
    usual: tuple[str, ...] = ()

    def new_secret(self) -> str:
        return secrets.token_urlsafe(32)

    def proof(self, sent: Sent, secret: str, *, now: datetime) -> Proof | None:
        base.mac(secret, sent.body)  # for the time that a signature would take
        if not base.same(sent.query.get("key", ""), secret):
            return None
        return Proof(base.digest(sent.body), "push")

    def text(self, sent: Sent) -> bytes:
        return sent.body
