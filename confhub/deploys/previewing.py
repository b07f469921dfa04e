"""What a payload would come to with a hook's mapping, without writing anything."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from confhub.access.policies import require
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.deploys.carrying import Acted, PayloadNotKept, kept_payload, rehearsed
from confhub.deploys.models import DeployHook
from confhub.deploys.queries import actor_of, newest_with_payload
from confhub.deploys.senders import SENDERS, Proof
from confhub.publishing.gates import Consent
from confhub.releases import queries as releases
from confhub.releases.diff import Change
from confhub.releases.entries import answered
from watchers.wire.canonical import Json


@dataclass(frozen=True)
class Preview:
    """What a payload would come to with a mapping, and whether it would be published."""

    source: str  # "delivery 17", "the sample"
    would: Acted
    error: ConfHubError | None
    set: dict[str, Json] = field(default_factory=dict)  # as answered: secrets are masked


def preview(
    hook: DeployHook, *, payload: dict[str, Any] | None = None,
    rules: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None, who: Actor, now: datetime,
) -> Preview:  # fmt: skip
    """What a payload (None: the newest that was kept) would come to. Nothing is written.

    `rules` are a mapping and filters in place of the hook's own, which must be without problems.
    Raises PayloadNotKept, NotAllowed.
    """
    require(who, "publish", hook.scope)
    source, event, payload = _sample(hook, payload)
    if rules is not None:
        hook.mapping, hook.filters = dict(rules[0]), dict(rules[1])  # of this object alone
    would, error = rehearsed(
        hook, Proof("", event), payload, actor_of(hook, who.request_id), Consent(), now
    )
    set_ = would.mapped.set if would.mapped else {}
    return Preview(source, would, error, _masked(hook, set_, would.changes))


def _sample(hook: DeployHook, payload: dict[str, Any] | None) -> tuple[str, str, dict[str, Any]]:
    """(what it is called, its event, the payload)."""
    if payload is not None:
        usual = hook.filters.get("events") or SENDERS[hook.kind].usual or ("deploy",)
        return "the sample", str(usual[0]), payload
    newest = newest_with_payload(hook)
    if newest is None:
        raise PayloadNotKept(
            f"{hook.name} has not kept a payload yet. Send a sample, or let the sender send one."
        )
    return f"delivery {newest.pk}", newest.event, kept_payload(newest)


def _masked(
    hook: DeployHook, set_: Mapping[str, Json], changes: Collection[Change]
) -> dict[str, Json]:
    """The values that would be set, as they are answered: what is or becomes a secret is masked."""
    head = releases.head_of(hook.scope)
    entries = head.entries if head else {}
    shown = {key: answered(entries[key]) for key in set_ if entries.get(key, {}).get("secret")}
    shown |= {each.key: each.new for each in changes if each.key in set_}
    return {
        key: shown.get(key, {"$secret": True} if _is_secret_form(value) else value)
        for key, value in set_.items()
    }


def _is_secret_form(value: Json) -> bool:
    return isinstance(value, dict) and "$secret" in value
