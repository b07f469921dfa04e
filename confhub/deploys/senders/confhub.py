"""Our own form, for any CI:

    X-Confhub-Signature: t=1795550400,v1=HEX

HEX is HMAC-SHA256, under the hook's secret, over the Unix seconds of `t`, a full stop, and the body.
Several `v1` may stand there while a secret is changed. One signature is one delivery, so a job that
tries again with a fresh `t` makes another; what it publishes is there already then.
"""

import re
import secrets
from datetime import datetime

from confhub.deploys.senders import base
from confhub.deploys.senders.base import Proof, Sent

HEADER = "x-confhub-signature"
MAX_SIGNATURES = 5
_V1 = re.compile(r"[0-9a-f]{64}")


class Confhub:
    title = "Any CI, signed"
    usual: tuple[str, ...] = ()

    def new_secret(self) -> str:
        return secrets.token_hex(32)

    def proof(self, sent: Sent, secret: str, *, now: datetime) -> Proof | None:
        stamp, signatures = _read(sent.header(HEADER))
        expected = base.mac(secret, f"{stamp or 0}.".encode() + sent.body).hex()
        known = [base.same(each, expected) for each in signatures]  # all, whichever fits
        if stamp is None or not any(known):
            return None
        return Proof(expected, "deploy", is_late=base.is_late(stamp, now))

    def text(self, sent: Sent) -> bytes:
        return sent.body


def signature(secret: str, body: bytes, *, now: datetime) -> str:
    """The header's value, for tests and for pages that show how it is made."""
    stamp = int(now.timestamp())
    return f"t={stamp},v1={base.mac(secret, f'{stamp}.'.encode() + body).hex()}"


def _read(header: str) -> tuple[int | None, list[str]]:
    """(seconds, signatures) of `t=…,v1=…`; (None, []) where it is of another form."""
    pairs = [each.strip().partition("=") for each in header[:1000].split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    found = [value for name, _, value in pairs if name == "v1" and _V1.fullmatch(value)]
    stamp = base.seconds_of(stamps[0]) if len(stamps) == 1 else None
    return stamp, found[:MAX_SIGNATURES]
