"""`GET …/config` with `If-None-Match` and a token: 304 by two queries in a thread that stays.

A thread hop for each request and a connection for each hop would cost more than the answer. Here one
thread keeps its connection while it is busy, and answers all that came meanwhile in one go.
"""

import asyncio
import queue
import threading
import time
from collections import defaultdict
from typing import TypeAlias

import structlog
from django.db import DatabaseError, InterfaceError, connection

from confhub.access.queries import token_digest
from confhub.api import formats, limits
from confhub.api.bodies import matches
from confhub.api.lanes.requests import Headers, Scope, headers_of
from confhub.api.routes.config import unchanged
from confhub.core import clock
from confhub.releases.glance import Head, Question, heads_for

log = structlog.get_logger("api")

IDLE_S = 2.0  # then the connection is given back
OLDEST_S = 5.0  # so that a database that was put in the place of another is noticed
AT_ONCE = 50
MOST_QUEUED = 1000  # questions; further ones take the ordinary way
KEPT = 1000  # heads of answers, by release

_QUERIES = frozenset({b"", *(b"format=" + name.encode() for name in formats.MEDIA_TYPES)})
_Asked: TypeAlias = tuple["asyncio.Future[Head | None]", Question]


async def answer(scope: Scope, service: str, environment: str) -> Headers | None:
    """The headers of a 304; None where Django shall answer, for whatever reason."""
    if scope["query_string"] not in _QUERIES:
        return None
    token, tag = _sent(scope)
    if token is None or tag is None:
        return None
    digest = token_digest(token)
    head = await _desk.ask(Question(digest, service, environment))
    if head is None or not matches(tag, head.checksum):
        return None
    # After the look, because what Django answers it counts itself.
    if limits.check(limits.of_token(digest)) is not None:
        return None
    return _headers(head)


def _sent(scope: Scope) -> tuple[str | None, str | None]:
    """(token, If-None-Match), each None where it is missing or there is anything odd about it."""
    token = tag = None
    for name, held in scope["headers"]:
        if name == b"authorization":
            scheme, _, secret = held.partition(b" ")
            secret = secret.strip()
            if token is not None or scheme.lower() != b"bearer" or not secret.isascii():
                return None, None
            token = secret.decode("ascii") or None
        elif name == b"if-none-match":
            if tag is not None:
                return None, None
            tag = held.decode("latin-1")
        elif name in (b"transfer-encoding", b"cookie"):
            return None, None
    return token, tag


_kept: dict[Head, Headers] = {}


def _headers(head: Head) -> Headers:
    found = _kept.get(head)
    if found is None:
        if len(_kept) >= KEPT:
            _kept.clear()
        response = unchanged(head.number, head.checksum)
        found = _kept[head] = [*headers_of(response), (b"content-length", b"0")]
    return found


class Desk:
    """One thread that answers questions about heads, with a connection that it keeps while busy."""

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starts = threading.Lock()
        self._let_go = threading.Event()

    async def ask(self, question: Question) -> Head | None:
        """None where the answer is not plainly yes, or the database did not give one."""
        if self._questions.qsize() > MOST_QUEUED:
            return None
        if self._thread is None or not self._thread.is_alive():
            self._start()
        future: asyncio.Future[Head | None] = asyncio.get_running_loop().create_future()
        self._questions.put((future, question))
        return await future

    def rest(self) -> None:
        """Return once the connection was given back; the next question opens another one."""
        if self._thread is not None and self._thread.is_alive():
            self._let_go.clear()
            self._questions.put(None)
            self._let_go.wait(IDLE_S)

    def _start(self) -> None:
        with self._starts:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="heads", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        opened_at = 0.0
        while True:
            try:
                first = self._questions.get(timeout=IDLE_S if opened_at else None)
            except queue.Empty:
                first = None
            if first is None:
                connection.close()
                opened_at = 0.0
                self._let_go.set()
                continue
            now_s = time.monotonic()
            if opened_at and now_s - opened_at > OLDEST_S:
                connection.close()
                opened_at = 0.0
            opened_at = opened_at or now_s
            self._answer([first, *self._more()])

    def _more(self) -> list[_Asked]:
        found: list[_Asked] = []
        while len(found) < AT_ONCE:
            try:
                question = self._questions.get_nowait()
            except queue.Empty:
                break
            if question is not None:
                found.append(question)
        return found

    def _answer(self, questions: list[_Asked]) -> None:
        heads: dict[Question, Head] = {}
        try:
            heads = heads_for({question for _, question in questions}, now=clock.now())
        except (DatabaseError, InterfaceError) as error:
            log.info("heads.not_read", error=type(error).__name__)
            connection.close()
        except Exception:
            log.exception("heads.broke")
        _hand_out([(future, heads.get(question)) for future, question in questions])


def _hand_out(found: list[tuple["asyncio.Future[Head | None]", Head | None]]) -> None:
    by_loop = defaultdict(list)
    for future, head in found:
        by_loop[future.get_loop()].append((future, head))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:
            continue  # the loop was closed, and nobody waits there any more


def _resolve(answers: list[tuple["asyncio.Future[Head | None]", Head | None]]) -> None:
    for future, head in answers:
        if not future.done():
            future.set_result(head)


_desk = Desk()
rest = _desk.rest
