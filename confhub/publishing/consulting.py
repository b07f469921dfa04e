"""Publish hooks that are asked before a release is frozen: the last gate, and who asks.

Nobody waits for an HTTP answer while a row is locked. The gate only looks whether each hook has
agreed with exactly this content; where one has not, it raises NotAsked with the questions and
everything is rolled back. `with_hooks`, the outermost thing around every publish, asks then and runs
the publish again with the verdicts. An interface that forgets it is refused, never let through.
docs/decisions/0030-hooks-are-asked-outside-the-transaction.md
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.db import transaction

from confhub.core import clock, rehearsal
from confhub.core.errors import ConfHubError
from confhub.publishing import asking, calls, hooks, protection
from confhub.publishing.asking import Question, Reply, Verdict
from confhub.releases.diff import diff

if TYPE_CHECKING:
    from confhub.catalog.models import Scope
    from confhub.publishing.gates import Candidate, Consent

Result = TypeVar("Result")

ROUNDS = 3  # what is published may change while its hooks are asked; then they are asked again
BUDGET_S = 30.0  # for all questions of one publish


class NotAsked(ConfHubError):
    """Hooks have to be asked before this is published. `with_hooks` does it; what reaches a caller
    came by a way that does not ask."""

    code: ClassVar[str] = "hook.not_asked"
    status: ClassVar[int] = 409

    def __init__(self, questions: Sequence[Question]) -> None:
        names = sorted({hook.name for each in questions for hook in each.hooks})
        super().__init__(
            f"The publish hook {names[0]} has to be asked before {questions[0].scope} is published, "
            "and this way of publishing asks none. Nothing was published. Publish it on its page or "
            "over REST, or have an administrator switch the hook off.",
            extra={"hooks": names},
        )
        self.questions = list(questions)


class HookRefused(ConfHubError):
    """A publish hook said no."""

    code: ClassVar[str] = "hook.refused"
    status: ClassVar[int] = 409


class HookSilent(ConfHubError):
    """A publish hook without which nothing is published gave no answer."""

    code: ClassVar[str] = "hook.no_answer"
    status: ClassVar[int] = 409


class HooksOvertaken(ConfHubError):
    """What would be published changed again and again while its hooks were asked."""

    code: ClassVar[str] = "hook.overtaken"
    status: ClassVar[int] = 409


def agreed(candidate: "Candidate") -> None:
    """The gate: every hook of the scope has agreed with exactly this. Raises NotAsked.

    A rehearsal asks nobody, because nothing may leave the process; it notes whom a publish would.
    """
    found = candidate.hooks
    if not found:
        return
    if rehearsal.is_rehearsal():
        names = [hook.name for hook in found]
        rehearsal.note("hooks", str(candidate.scope), would_ask=names)
        return
    verdicts, content = candidate.consent.verdicts, candidate.content
    known = {
        hook.pk: verdicts[hook.pk, content] for hook in found if (hook.pk, content) in verdicts
    }
    if len(known) < len(found):
        raise NotAsked([question_of(candidate, known)])


def annotations_of(candidate: "Candidate") -> dict[str, Any]:
    """{hook: what it annotated}, for the release; {"no_answer": why} of one that was passed over."""
    found: dict[str, Any] = {}
    for hook in candidate.hooks:
        verdict = candidate.consent.verdicts.get((hook.pk, candidate.content))
        if verdict is not None and verdict.silence:
            found[hook.name] = {"no_answer": verdict.silence}
        elif verdict is not None and verdict.annotations:
            found[hook.name] = dict(verdict.annotations)
    return found


def went_past(candidate: "Candidate") -> bool:
    """True where only an emergency let it pass a silent hook."""
    given = candidate.consent.verdicts
    silent = [hook for hook in candidate.hooks if not hook.fail_open]
    return candidate.consent.emergency and any(
        given[hook.pk, candidate.content].silence
        for hook in silent
        if (hook.pk, candidate.content) in given
    )


def silent_hook(error: ConfHubError) -> str:
    """The hook whose silence stopped a publish, which an emergency would go past; "" of any other
    refusal."""
    return str(error.extra["hook"]) if isinstance(error, HookSilent) else ""


def with_hooks(act: "Callable[[Consent], Result]", consent: "Consent") -> Result:
    """What `act` returns: a publish with the consent that it is given. Publish hooks that it meets
    are asked in between, outside of its transaction.

    Raises HookRefused, HookSilent, HooksOvertaken, and what `act` raises; RuntimeError inside a
    transaction, whose locks would be held while an endpoint thinks.
    """
    until = time.monotonic() + BUDGET_S
    for _ in range(ROUNDS):
        try:
            return act(consent)
        except NotAsked as missing:
            questions = missing.questions
        consent = replace(consent, verdicts={**consent.verdicts, **_asked(questions, until)})
    try:
        return act(consent)
    except NotAsked as missing:
        raise HooksOvertaken(
            f"{missing.questions[0].scope} was changed {ROUNDS} times while its publish hooks were "
            "asked. Nothing was published. Publish it again when the others are done."
        ) from None


def _asked(questions: Sequence[Question], until: float) -> dict[tuple[int, str], Verdict]:
    with transaction.atomic(durable=True):  # so that this raises where locks would be held
        fresh = hooks.still_on(hook.pk for each in questions for hook in each.hooks)
    questions = [
        replace(each, hooks=[fresh[hook.pk] for hook in each.hooks if hook.pk in fresh])
        for each in questions
    ]
    replies = asking.ask_all(questions, asking.opened(fresh.values()), until=until)
    calls.keep(replies)
    for reply in replies:
        if reply.stops:
            raise _refusal(reply)
    return {(reply.hook.pk, reply.question.content): reply.verdict for reply in replies}


def _refusal(reply: Reply) -> ConfHubError:
    hook, scope = reply.hook.name, reply.question.scope
    told = {"hook": hook, "scope": scope, "reason": reply.said}
    if reply.outcome == "refused":
        said = reply.said or "It gave no reason."
        return HookRefused(
            f"The publish hook {hook} refused to publish {scope}: {_ended(said)} Nothing was "
            "published.",
            extra=told,
        )
    return HookSilent(
        f"The publish hook {hook} gave no answer, and nothing is published to {scope} without one: "
        f"{_ended(reply.said)} Nothing was published. Try again, have an administrator let it fail "
        "open or switch it off, or publish as an emergency, which is flagged for ever.",
        extra=told,
    )


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def question_of(candidate: "Candidate", known: Mapping[int, Verdict]) -> Question:
    scope, consent, who = candidate.scope, candidate.consent, candidate.who
    number = scope.head + 1
    message = {
        "type": "publish.before",
        "service": scope.service.slug,
        "environment": scope.environment.slug,
        "release": number,
        "message": candidate.message,
        "author": who.name,
        "changes": asking.drawn(diff(candidate.before, candidate.resolved.entries)),
        "checksum": candidate.content,
        "emergency": consent.emergency,
        "rollback": candidate.is_rollback,
        "image": dict(consent.image) if consent.image else None,
        "request_id": who.request_id,
        "at": clock.stamp(candidate.now),
    }
    return Question(
        scope.pk, str(scope), number, candidate.content, candidate.hooks, known, message,
        who.request_id, goes_on=consent.emergency,
    )  # fmt: skip


def content_of(candidate: "Candidate") -> str:
    """What a verdict is good for, as an approval is: this content, begun on this release."""
    scope: Scope = candidate.scope
    return protection.content_of(scope, scope.head, candidate.own, candidate.resolved.entries)
