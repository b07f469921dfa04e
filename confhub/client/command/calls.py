"""The one HTTP client: times out, tries again where that cannot do a thing twice, says what refused."""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import httpx

from confhub.client.command.failures import Failure, Problem
from confhub.client.command.words import printable

CONNECT_S, ANSWER_S = 5.0, 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
MOST_WAITED_S = 120.0  # for a Retry-After; a longer one is told instead
SILENCE_S = 60.0  # of a stream, which says something every few seconds
MAX_BYTES = 64 * 1024 * 1024
_GATEWAY = (502, 503, 504)
_SAFE = ("GET", "HEAD", "PUT")
BASE = "/api/v1"

Notify = Callable[[str], None]


class Unreachable(Failure):
    """Nobody answered as long as patience lasted."""


@dataclass(frozen=True)
class Answer:
    """What a call answered with a 2xx or 304."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def document(self) -> Any:
        """Raises Failure where the content is no JSON."""
        try:
            return json.loads(self.content) if self.content else None
        except ValueError as error:
            raise Failure("The answer is no JSON. Is CONFHUB_URL the address of ConfHub?", code="command.no_confhub") from error  # fmt: skip

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


class Api:
    """Calls below `url`/api/v1 with one token. `notify` is told when a call is tried again."""

    def __init__(self, url: str, token: str, *, patience_s: float, notify: Notify) -> None:
        self.url = url
        self.patience_s = patience_s
        self._notify = notify
        headers = {"User-Agent": f"confhub/{version('confhub')}", "Accept": "application/json, */*"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(
            headers=headers, timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        )

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """The document at `path`."""
        return self.call("GET", path, query=query, **more).document

    def pages(
        self, path: str, query: Mapping[str, Any] | None = None, *, most: int | None = None
    ) -> dict[str, Any]:
        """A list as the server answers it, {"items", "next"}: its pages together, or the first `most`."""
        items: list[Any] = []
        after = None
        while True:
            limit = min(500, most - len(items)) if most is not None else 500
            page = self.get(path, {**(query or {}), "limit": limit, "after": after})
            items += page["items"]
            after = page["next"]
            if after is None or (most is not None and len(items) >= most):
                return {"items": items, "next": after}

    def call(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = ANSWER_S,
        patience_s: float | None = None,
    ) -> Answer:  # fmt: skip
        """One call, repeated within patience where it cannot do anything twice.

        That is: nothing was sent, or the server said that it did nothing, or the call only reads,
        carries an Idempotency-Key, or sets what it sets however often (If-Match: *).
        Raises Problem, Unreachable, Failure.
        """
        sent = dict(headers or {})
        content = None
        if body is not None:
            content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
            sent["Content-Type"] = "application/json"
        request = self._client.build_request(
            method, f"{self.url}{BASE}{path}", params=_query(query), headers=sent, content=content,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
        )  # fmt: skip
        may_repeat = method in _SAFE or "Idempotency-Key" in sent or sent.get("If-Match") == "*"
        patience = self.patience_s if patience_s is None else patience_s
        return self._repeated(request, may_repeat, time.monotonic() + patience)

    def _repeated(self, request: httpx.Request, may_repeat: bool, deadline: float) -> Answer:
        pause_s, was_told = FIRST_PAUSE_S, False
        while True:
            outcome = self._once(request, may_repeat)
            if isinstance(outcome, Answer):
                return outcome
            failure, wait_s = outcome
            wait_s = max(wait_s, pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreads callers
            if time.monotonic() + wait_s > deadline and not _is_asked_to_wait(failure, wait_s):
                raise failure
            if not was_told:
                self._notify(f"{failure} Trying again.")
                was_told = True
            time.sleep(wait_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _once(self, request: httpx.Request, may_repeat: bool) -> "Answer | tuple[Failure, float]":
        """An answer, or why not and how long to wait at least; raises what is final."""
        try:
            response = self._client.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return self._away(error), 0.0
        except httpx.TransportError as error:
            failure = self._broken(error, may_repeat)
            if not may_repeat:
                raise failure from error
            return failure, 0.0
        except (httpx.InvalidURL, httpx.HTTPError, UnicodeError) as error:
            raise Failure(f"{self.url} cannot be called: {error}.") from error
        if response.is_success or response.status_code == 304:
            return Answer(response.status_code, response.content, response.headers)
        failure = refusal(response, self.url)
        if _is_untouched(failure, response) or (may_repeat and response.status_code in _GATEWAY):
            return failure, _retry_after(response)
        raise failure

    def _away(self, error: Exception) -> Failure:
        return Unreachable(
            f"{self.url} does not answer ({_reason(error)}).", code="command.unreachable"
        )

    def _broken(self, error: Exception, may_repeat: bool) -> Failure:
        told = "" if may_repeat else " Whether it was done is not known: look before you repeat it."
        return Unreachable(
            f"The connection to {self.url} broke ({_reason(error)}).{told}",
            code="command.connection_broke",
        )

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[Iterator[str]]:
        """The lines of an event stream. Raises Problem, Unreachable; also while lines are read."""
        try:
            with self._client.stream(
                "GET", f"{self.url}{BASE}{path}", headers={"Accept": "text/event-stream", **headers},
                timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            ) as response:  # fmt: skip
                if not response.is_success:
                    response.read()
                    raise refusal(response, self.url)
                yield response.iter_lines()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._away(error) from error
        except httpx.TransportError as error:
            raise self._broken(error, may_repeat=True) from error


def refusal(response: httpx.Response, url: str) -> Failure:
    """The failure behind an answer that is no success."""
    if response.is_redirect:
        return Failure(
            f"{url} answers with a redirect to {printable(response.headers.get('Location', ''))[:200]}. "
            "Set CONFHUB_URL to the address itself; a token is not sent along a redirect.",
            code="command.redirected",
        )
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict) and "code" in document:
        return Problem(document, response.status_code)
    return Failure(
        f"{url} answered {response.status_code} and no problem document. Is this ConfHub's address?",
        code="command.no_confhub", status=response.status_code,
    )  # fmt: skip


def retry_after_s(failure: Failure) -> float:
    """What a problem document says of waiting; 0 where it says nothing."""
    found = failure.document.get("retry_after_s", 0)
    return float(found) if isinstance(found, int | float) else 0.0


def _is_untouched(failure: Failure, response: httpx.Response) -> bool:
    """True where the server says that it did nothing, so that every call may be made again."""
    is_problem = isinstance(failure, Problem)
    return response.status_code == 429 or (is_problem and response.status_code == 503)


def _is_asked_to_wait(failure: Failure, wait_s: float) -> bool:
    """True for a Retry-After that is worth its wait though patience is over: too many calls."""
    return isinstance(failure, Problem) and failure.status == 429 and wait_s <= MOST_WAITED_S


def _retry_after(response: httpx.Response) -> float:
    """Seconds; the form with a date is not used by ConfHub."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() and len(text) < 6 else 0.0


def _query(query: Mapping[str, Any] | None) -> dict[str, str]:
    found = {}
    for name, value in (query or {}).items():
        if value is not None:
            found[name] = str(int(value)) if isinstance(value, bool) else str(value)
    return found


def _reason(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)[:200]
