"""The calls to publish hooks, kept: the newest hundred of each, and those that still wait."""

from collections.abc import Iterable, Sequence

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Max

from confhub.publishing.asking import Reply
from confhub.publishing.models import HookCall, PublishHook

KEPT = 100  # of each hook

log = structlog.get_logger("publishing")


def keep(replies: Sequence[Reply]) -> None:
    """Write down what hooks answered, in a transaction of its own, because the publish that asked
    was rolled back."""
    rows = [
        HookCall(
            hook=each.hook, scope_id=each.question.scope_id, release=each.question.number,
            outcome=each.outcome, said=each.said, status=each.status, took_ms=each.took_ms,
            request_id=each.question.request_id[:100], at=each.at,
        )
        for each in replies
    ]  # fmt: skip
    try:
        with transaction.atomic():
            HookCall.objects.bulk_create(rows)
            forget_old({row.hook_id for row in rows})
    except IntegrityError:  # a hook or a scope was removed meanwhile, and its calls with it
        log.info("publish_hook.calls_not_kept", calls=len(rows))


def forget_old(hook_ids: Iterable[int]) -> None:
    """Those that still wait to be told stay, whatever their number; they end by themselves."""
    for hook_id in hook_ids:
        done = HookCall.objects.filter(hook=hook_id, next_try_at=None)
        oldest = done.order_by("-pk").values_list("pk", flat=True)[KEPT : KEPT + 1].first()
        if oldest is not None:
            done.filter(pk__lte=oldest).delete()


def calls_of(hook: PublishHook, *, before: int | None = None, limit: int) -> list[HookCall]:
    """The newest first, below row id `before` where given."""
    rows = HookCall.objects.filter(hook=hook).select_related("scope__service", "scope__environment")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-pk")[:limit])


def newest_of(hooks: Iterable[PublishHook]) -> dict[int, HookCall]:
    """{hook row id: its newest call}, in two queries."""
    newest = HookCall.objects.filter(hook__in=[hook.pk for hook in hooks])
    ids = newest.values("hook").annotate(newest=Max("pk")).values_list("newest", flat=True)
    found = HookCall.objects.filter(pk__in=list(ids)).select_related(
        "scope__service", "scope__environment"
    )
    return {call.hook_id: call for call in found}
