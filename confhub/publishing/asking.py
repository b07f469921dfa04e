"""Ask publish hooks over HTTP: what is sent, and what counts as an answer. Writes no rows.

Every scope's hooks are a chain, in their order: a later one sees what the earlier ones annotated.
Several scopes are asked side by side, in threads that never touch the database.
docs/publish-hooks.md says the same for whoever writes an endpoint.
"""

import json
import math
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from confhub.core import clock, outgoing, signing
from confhub.core.errors import ConfHubError
from confhub.publishing.models import PublishHook
from confhub.releases.diff import Change
from confhub.releases.keyring import Keys
from watchers.wire.canonical import Json, canonical

AT_ONCE = 16  # scopes of a layer that are asked side by side
MAX_ANNOTATION_BYTES = 4096  # of one hook, as canonical JSON
MAX_DEPTH = 8  # of an annotation
MAX_SAID_CHARS = 1000
OK = 200

Said = Literal["agreed", "refused", "failed", "told"]  # the last of one that hears after it


class NoAnswer(Exception):
    """What came back is not an answer; the sentence says why. `status` is the endpoint's."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Verdict:
    """What is kept of a hook's agreement with one content. `silence`: why it was published without
    an answer; "" where there was one."""

    annotations: Mapping[str, Json] = field(default_factory=dict)
    silence: str = ""


@dataclass(frozen=True)
class Question:
    """One scope's next release, put to each of its hooks in turn. Holds no secret's value."""

    scope_id: int
    scope: str
    number: int  # that the release would have
    content: str  # checksum of what would be published (protection.content_of)
    hooks: Sequence[PublishHook]  # in their order
    known: Mapping[int, Verdict]  # {hook row id: what it has said to this content already}
    told: Mapping[str, Any]  # the message but for what differs from hook to hook
    request_id: str
    goes_on: bool = False  # an emergency: a silent hook stops nothing


@dataclass(frozen=True)
class Reply:
    """One question to one hook, and what came of it."""

    hook: PublishHook
    question: Question
    outcome: Said
    at: datetime
    took_ms: int
    status: int | None = None
    said: str = ""  # its reason or note, or why there was no answer
    annotations: Mapping[str, Json] = field(default_factory=dict)

    @property
    def stops(self) -> bool:
        """Nothing may be published after it."""
        if self.outcome == "failed":
            return not (self.hook.fail_open or self.question.goes_on)
        return self.outcome == "refused"

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.annotations, self.said if self.outcome == "failed" else "")


def drawn(changes: Iterable[Change]) -> list[dict[str, Json]]:
    """Changes as they are sent: of a secret its fingerprint and version."""
    return [
        {"key": each.key, "kind": each.kind, "old": each.old, "new": each.new} for each in changes
    ]


def secret_name(hook: PublishHook) -> str:
    """What a hook's sealed secret is bound to."""
    return f"publish hook {hook.pk}"


def opened(hooks: Iterable[PublishHook]) -> dict[int, str]:
    """{hook row id: the secret that signs}; one that cannot be opened is left out."""
    keys, found = Keys(), {}
    for hook in hooks:
        try:
            found[hook.pk] = keys.open_text(hook.secret, name=secret_name(hook))
        except ConfHubError:  # no master key, or another one
            continue
    return found


def ask_all(
    questions: Sequence[Question], secrets: Mapping[int, str], *, until: float
) -> list[Reply]:
    """Every hook's reply, question by question. `until` is a time of time.monotonic(): what was not
    asked by then failed. Once something stops the publish, no further question is begun."""
    is_over = threading.Event()

    def chain(question: Question) -> list[Reply]:
        return _chain(question, secrets, until, is_over)

    if len(questions) == 1:
        return chain(questions[0])
    with ThreadPoolExecutor(min(AT_ONCE, len(questions)), "publish-hooks") as pool:
        return [reply for replies in pool.map(chain, questions) for reply in replies]


def _chain(
    question: Question, secrets: Mapping[int, str], until: float, is_over: threading.Event
) -> list[Reply]:
    annotations: dict[str, Mapping[str, Json]] = {}
    replies: list[Reply] = []
    for hook in question.hooks:
        known = question.known.get(hook.pk)
        if known is None:
            if is_over.is_set():
                break
            reply = ask_one(hook, question, annotations, secrets.get(hook.pk), until=until)
            replies.append(reply)
            if reply.stops:
                is_over.set()
                break
            known = reply.verdict
        if known.annotations:
            annotations[hook.name] = known.annotations
    return replies


def ask_one(
    hook: PublishHook, question: Question, annotations: Mapping[str, Mapping[str, Json]],
    secret: str | None, *, until: float,
) -> Reply:  # fmt: skip
    """The reply of one hook; never raises for what the endpoint does."""
    # The clock's own moment, because receivers compare the signature's with theirs.
    now, began = clock.now(), time.monotonic()
    message = {**question.told, "hook": hook.name, "annotations": annotations}
    status: int | None = None
    try:
        answer = post(
            hook, message, secret, timeout_s=min(hook.timeout_s, round(until - began, 2)), now=now
        )
        status = answer.status
        outcome, said, kept = read(answer)
    except NoAnswer as error:
        status = error.status or status
        outcome, said, kept = "failed", str(error), {}
    took_ms = round((time.monotonic() - began) * 1000)
    return Reply(hook, question, outcome, now, took_ms, status, said, kept)


def post(
    hook: PublishHook, message: Mapping[str, Any], secret: str | None, *, timeout_s: float,
    now: datetime, message_id: str = "",
) -> outgoing.Answer:  # fmt: skip
    """Send one signed message. Raises NoAnswer."""
    if secret is None:
        raise NoAnswer("Its signing secret cannot be opened. Give the hook a new one.")
    if timeout_s <= 0:
        raise NoAnswer("No time was left to ask it.")
    body = canonical(message)
    headers = {
        "content-type": "application/json",
        **signing.headers(secret, message_id or f"msg_{uuid.uuid4().hex}", body, now=now),
    }
    if request_id := str(message.get("request_id") or ""):
        headers["x-request-id"] = request_id
    try:
        return outgoing.send("POST", hook.url, body=body, headers=headers, timeout_s=timeout_s)
    except outgoing.NotSent as error:
        raise NoAnswer(cleaned(str(error))) from None


def read(answer: outgoing.Answer) -> tuple[Said, str, dict[str, Json]]:
    """(what it decided, its reason, its annotations). Raises NoAnswer."""
    if answer.status != OK:
        where = " Redirects are not followed." if 300 <= answer.status < 400 else ""
        raise NoAnswer(
            f"It answered {answer.status}; only {OK} is an answer.{where}", answer.status
        )
    if not answer.whole:
        raise NoAnswer(
            f"Its answer has more than {outgoing.MAX_ANSWER_BYTES // 1024} KiB.", answer.status
        )
    try:
        held = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise NoAnswer("Its answer is not JSON.", answer.status) from None
    if not isinstance(held, dict) or held.get("decision") not in ("agree", "refuse"):
        sentence = 'Its answer has no "decision" of "agree" or "refuse".'
        raise NoAnswer(sentence, answer.status)
    reason = held.get("reason") or ""
    if not isinstance(reason, str):
        raise NoAnswer('"reason" of its answer is not a text.', answer.status)
    if held["decision"] == "refuse":
        return "refused", cleaned(reason), {}
    try:
        return "agreed", cleaned(reason), _annotations(held.get("annotations"))
    except NoAnswer as error:
        raise NoAnswer(str(error), answer.status) from None


def cleaned(text: str) -> str:
    """What a database keeps of somebody's text: its beginning, without NUL and broken characters."""
    kept = text[:MAX_SAID_CHARS].encode("utf-8", "replace").decode()
    return kept.replace("\x00", "\N{REPLACEMENT CHARACTER}").strip()


def _annotations(held: Any) -> dict[str, Json]:
    """Raises NoAnswer unless they can be kept for ever in a release."""
    if held is None:
        return {}
    if not isinstance(held, dict) or not _is_plain(held, MAX_DEPTH):
        raise NoAnswer('"annotations" of its answer is not an object of plain JSON.')
    if len(canonical(held)) > MAX_ANNOTATION_BYTES:
        raise NoAnswer(f'"annotations" of its answer has more than {MAX_ANNOTATION_BYTES:,} bytes.')
    return held


def _is_plain(held: Any, depth: int) -> bool:
    """What both databases keep, and what every program reads again."""
    if isinstance(held, str):
        return "\x00" not in held and held.encode("utf-8", "ignore").decode() == held
    if isinstance(held, float):
        return math.isfinite(held)
    if isinstance(held, dict):
        return depth > 0 and all(
            _is_plain(key, depth) and _is_plain(each, depth - 1) for key, each in held.items()
        )
    if isinstance(held, list):
        return depth > 0 and all(_is_plain(each, depth - 1) for each in held)
    return held is None or isinstance(held, bool | int)
