"""Tell publish hooks after a release: rows in the release's transaction, a task that sends them.

At least once: what was sent and not yet written down as told is sent again, under the same
`webhook-id`. A hook that does not take it is tried again with longer and longer pauses, and given up
after the last; that only shows in its calls, because the release is there already.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from confhub.core import clock, rehearsal, wake
from confhub.publishing import asking, calls, hooks
from confhub.publishing.models import HookCall, PublishHook
from confhub.releases.diff import diff
from confhub.releases.models import Release

TASK = "confhub.publishing.tell_hooks"
WAITING, TOLD, FAILED = "waiting", "told", "failed"
PAUSES_S = (5, 30, 120, 600, 1800, 3600, 7200)  # before the second try, the third …; then given up
IN_HAND_S = 60  # longer than any try takes; then it counts as lost with its process
AT_ONCE = 200  # calls of one run


def note(release: Release, found: Iterable[PublishHook], *, request_id: str, now: datetime) -> None:
    """Write down, in the release's transaction, whom of `found` (hooks.matching) to tell of it."""
    found = hooks.after(found)
    if not found:
        return
    rehearsal.note("hooks", str(release.scope), would_tell=[hook.name for hook in found])
    HookCall.objects.bulk_create(
        HookCall(
            hook=hook, scope=release.scope, release=release.number, outcome=WAITING,
            request_id=request_id[:100], at=now, next_try_at=now,
        )
        for hook in found
    )  # fmt: skip
    wake.after_commit(TASK)


def tell_due(*, now: datetime) -> int:
    """Send what is due, the oldest first; returns how many were told. Runs anywhere, any number of
    times: each call is claimed by one."""
    due = HookCall.objects.filter(next_try_at__lte=now).order_by("next_try_at", "pk")
    return sum(_tell(call, now=clock.now()) for call in due[:AT_ONCE] if _claim(call, now=now))


def _claim(call: HookCall, *, now: datetime) -> bool:
    mine = HookCall.objects.filter(pk=call.pk, tries=call.tries, next_try_at=call.next_try_at)
    call.tries += 1
    call.next_try_at = now + timedelta(seconds=IN_HAND_S)
    return mine.update(tries=call.tries, next_try_at=call.next_try_at) == 1


def _tell(call: HookCall, *, now: datetime) -> bool:
    """One try, and its outcome in the row."""
    hook = hooks.still_on([call.hook_id]).get(call.hook_id)
    release = Release.objects.filter(scope=call.scope_id, number=call.release or 0)
    held = release.select_related("scope__service", "scope__environment").first()
    if hook is None or held is None:
        return _done(call, FAILED, "The hook was switched off before it was told.", now=now)
    secret = asking.opened([hook]).get(hook.pk)
    message, began = message_of(hook, held, call.request_id), time.monotonic()
    failure = ""
    try:
        call.status = send(hook, message, secret, now=now, message_id=f"msg_publish_{call.pk}")
    except asking.NoAnswer as error:
        call.status, failure = error.status, str(error)
    call.took_ms = round((time.monotonic() - began) * 1000)
    return _again(call, failure, now=now) if failure else _done(call, TOLD, "", now=now)


def send(
    hook: PublishHook, message: Mapping[str, Any], secret: str | None, *, now: datetime,
    message_id: str = "",
) -> int:  # fmt: skip
    """Tell it once; returns the status that it answered. Raises NoAnswer unless it took it."""
    answer = asking.post(
        hook, message, secret, timeout_s=hook.timeout_s, now=now, message_id=message_id
    )
    if not 200 <= answer.status < 300:
        sentence = f"It answered {answer.status}; 200 to 299 says that it took it."
        raise asking.NoAnswer(sentence, answer.status)
    return answer.status


def message_of(hook: PublishHook, release: Release, request_id: str) -> dict[str, Any]:
    """What an after-hook gets."""
    scope = release.scope
    parent = Release.objects.filter(scope=scope, number=release.parent or 0).first()
    return {
        "type": "publish.after",
        "hook": hook.name,
        "service": scope.service.slug,
        "environment": scope.environment.slug,
        "release": release.number,
        "message": release.message,
        "author": release.author,
        "changes": asking.drawn(diff(parent.entries if parent else {}, release.entries)),
        "checksum": release.checksum,
        "emergency": release.emergency,
        "restores": release.restores,
        "image": release.image,
        "annotations": release.annotations or {},
        "request_id": request_id,
        "at": clock.stamp(release.created_at),
    }


def _again(call: HookCall, why: str, *, now: datetime) -> bool:
    if call.tries > len(PAUSES_S):
        return _done(call, FAILED, f"{why} Given up after {call.tries} tries.", now=now)
    pause = timedelta(seconds=PAUSES_S[call.tries - 1])
    _write(call, said=why, next_try_at=now + pause)
    return False


def _done(call: HookCall, outcome: str, said: str, *, now: datetime) -> bool:
    call.at = now
    _write(call, outcome=outcome, said=said, next_try_at=None)
    calls.forget_old([call.hook_id])
    return outcome == TOLD


def _write(call: HookCall, **fields: Any) -> None:
    """Only while nobody else has taken it up since."""
    mine = HookCall.objects.filter(pk=call.pk, tries=call.tries)
    mine.update(status=call.status, took_ms=call.took_ms, at=call.at, **fields)
