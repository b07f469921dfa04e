"""Try a publish hook out: it gets what a publish of the draft would send, marked as a test."""

import time
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction

from confhub.catalog.models import Scope
from confhub.core import rehearsal
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.publishing import asking, calls, consulting, hooks, telling
from confhub.publishing.asking import Question, Reply
from confhub.publishing.gates import Candidate, Consent
from confhub.publishing.models import PublishHook
from confhub.releases.layering import Ground
from confhub.releases.queries import drafted_own, head_of

MESSAGE = "A test of the hook; nothing is published."
TEST = {"test": True}


class NothingToTell(ConfHubError):
    """A hook that is told of releases has none of the scope to be told of."""

    code: ClassVar[str] = "publish_hook.no_release"
    status: ClassVar[int] = 409


def try_hook(hook: PublishHook, scope: Scope, *, who: Actor, now: datetime) -> Reply:
    """Send the hook a test of the scope, whether it is on or off, and keep the call.

    A rehearsal sends and keeps nothing. Raises NothingToTell; RuntimeError in a transaction.
    """
    if rehearsal.is_rehearsal():
        rehearsal.note("hooks", str(scope), would_ask=[hook.name])
        return Reply(hook, _nothing(hook, scope, who), "failed", now, 0, None, "Nothing was sent.")
    with transaction.atomic(durable=True):  # so that this raises where locks would be held
        is_before = hook.when == hooks.BEFORE
        question = _draft(hook, scope, who, now) if is_before else _head(hook, scope, who)
    secret = asking.opened([hook]).get(hook.pk)
    if is_before:
        reply = asking.ask_one(hook, question, {}, secret, until=time.monotonic() + hook.timeout_s)
    else:
        reply = _told(hook, question, secret, now=now)
    calls.keep([replace(reply, said=f"A test. {reply.said}".strip())])
    return reply


def _draft(hook: PublishHook, scope: Scope, who: Actor, now: datetime) -> Question:
    """What would be asked if the draft were published now; gates are not asked, only this hook."""
    ground = Ground.of([scope])
    head = ground.heads.get(scope.pk)
    own = drafted_own(scope, head)
    resolved = ground.resolve(scope, own, ground.numbers(scope))
    candidate = Candidate(
        scope, head, own, resolved, MESSAGE, Consent(), is_rollback=False, who=who, now=now
    )
    question = consulting.question_of(candidate, {})
    return replace(question, hooks=[hook], told={**question.told, **TEST})


def _head(hook: PublishHook, scope: Scope, who: Actor) -> Question:
    release = head_of(scope)
    if release is None:
        raise NothingToTell(
            f"{scope} has no release yet that the hook could be told of. Publish one, or choose "
            "another service or environment."
        )
    release.scope = scope
    told = telling.message_of(hook, release, who.request_id) | TEST
    return replace(_nothing(hook, scope, who), number=release.number, told=told)


def _nothing(hook: PublishHook, scope: Scope, who: Actor) -> Question:
    return Question(scope.pk, str(scope), scope.head, "", [hook], {}, {}, who.request_id)


def _told(hook: PublishHook, question: Question, secret: str | None, *, now: datetime) -> Reply:
    began = time.monotonic()
    outcome: Any = "told"
    status, said = None, ""
    try:
        status = telling.send(hook, question.told, secret, now=now)
    except asking.NoAnswer as error:
        outcome, status, said = "failed", error.status, str(error)
    took_ms = round((time.monotonic() - began) * 1000)
    return Reply(hook, question, outcome, now, took_ms, status, said)
