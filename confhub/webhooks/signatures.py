"""The secret of a webhook: kept sealed, the one before it good for a day beside the new one.

Kept as text of up to two lines, `whsec_…` and, after a change, `whsec_… 2026-11-25T12:00:00+00:00`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from confhub.core import signing
from confhub.releases.keyring import Keys
from confhub.webhooks.models import Webhook

OVERLAP = timedelta(hours=24)


@dataclass(frozen=True)
class Secrets:
    """What signs now, and what did until a moment ago."""

    current: str
    before: str = ""
    before_until: datetime | None = None

    def living(self, now: datetime) -> list[str]:
        """The newest first."""
        overlaps = self.before_until is not None and now < self.before_until
        return [self.current, self.before] if overlaps else [self.current]

    def followed_by(self, fresh: str, *, now: datetime) -> "Secrets":
        return Secrets(fresh, self.current, now + OVERLAP)


def sealed(webhook: Webhook, held: Secrets) -> str:
    """Raises NoMasterKey."""
    lines = [held.current]
    if held.before_until is not None:
        lines.append(f"{held.before} {held.before_until.isoformat()}")
    return Keys().seal_text("\n".join(lines), name=_name(webhook))


def opened(webhook: Webhook) -> Secrets:
    """Raises NoMasterKey, KeyIsSealed."""
    current, _, second = Keys().open_text(webhook.secret, name=_name(webhook)).partition("\n")
    before, _, until = second.partition(" ")
    return Secrets(current, before, datetime.fromisoformat(until) if until else None)


def headers(held: Secrets, message_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """The three headers; the signatures of both secrets during the overlap, with a space between."""
    made = [signing.headers(secret, message_id, body, now=now) for secret in held.living(now)]
    signatures = " ".join(each["webhook-signature"] for each in made)
    return {**made[0], "webhook-signature": signatures}


def _name(webhook: Webhook) -> str:
    return f"webhook {webhook.pk}"
