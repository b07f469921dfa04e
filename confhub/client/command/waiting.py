"""Follow releases until every instance confirmed them, one failed, or the time is over."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import click

from confhub.client.command.calls import MOST_WAITED_S, Unreachable, retry_after_s
from confhub.client.command.common import Session
from confhub.client.command.failures import Failure, Problem, TimedOut
from confhub.client.command.places import Place
from confhub.client.command.words import printable

USUAL_S = 300.0
LOOK_S = 2.0  # a look is held so long where nothing happens; what happens is shown with its end
NOBODY_S = 5.0  # whoever starts with the release says so within that
PAUSE_S = 1.0
ANSWER_S = 15.0  # longer than the look itself
_ENDS = ("confirmed", "failed")
_ORDER = ("confirmed", "applied", "delivered", "waiting", "failed")


@dataclass(frozen=True)
class Target:
    """A release of a scope on its way."""

    place: Place
    release: int

    def __str__(self) -> str:
        return f"{self.place} r{self.release}"


class View(Protocol):
    """Who is told what was found, each time that it is looked at."""

    def show(self, target: Target, found: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


class Failed(Failure):
    """An instance failed the release."""


def follow(
    session: Session, targets: Sequence[Target], timeout_s: float, *, require_instances: bool
) -> list[dict[str, Any]]:
    """The last answer of `convergence` for each target, once each is confirmed or run by nobody.

    Raises Failed, TimedOut, Problem. KeyboardInterrupt says that the release goes on.
    """
    view = _view(session)
    try:
        wait = Wait(session, timeout_s, view, require_instances)
        return wait.until_all(targets)
    except KeyboardInterrupt:
        goes_on = ", ".join(map(str, targets))
        session.note(
            f"Stopped watching. {goes_on} goes on by itself; look with: {again(targets[0])}"
        )
        raise
    finally:
        view.close()


class Wait:
    """One wait for some targets, all of them until the same moment."""

    def __init__(self, session: Session, timeout_s: float, view: View, require_instances: bool) -> None:  # fmt: skip
        self._session, self._view, self._require_instances = session, view, require_instances
        self._timeout_s = timeout_s
        self._began = time.monotonic()

    @property
    def _left_s(self) -> float:
        return max(0.0, self._began + self._timeout_s - time.monotonic())

    def until_all(self, targets: Sequence[Target]) -> list[dict[str, Any]]:
        """Looks at them in turn, so that whoever fails first ends the wait."""
        found: dict[Target, dict[str, Any]] = {}
        pending = [*targets]
        while True:
            is_over = not self._left_s  # before the look, so that the last one is after the end
            for target in pending:
                seen = self._look(target, min(LOOK_S / len(pending), self._left_s))
                if seen is not None:
                    found[target] = seen
                    self._view.show(target, seen)
            pending = [each for each in pending if not self._is_done(each, found.get(each))]
            if not pending:
                return [found[each] for each in targets]
            if is_over:
                raise _timed_out(pending[0], found.get(pending[0], {}))

    def _is_done(self, target: Target, seen: dict[str, Any] | None) -> bool:
        """Raises Failed."""
        state = seen["state"] if seen else "pending"
        if seen and state == "failed":
            raise _failed(target, seen)
        if state == "nobody" and time.monotonic() - self._began >= min(NOBODY_S, self._timeout_s):
            if self._require_instances:
                raise Failed(f"{target} is run by nobody, so nobody confirmed it.", code="release.nobody", convergence=seen)  # fmt: skip
            return True
        return state == "confirmed"

    def _look(self, target: Target, wait_s: float) -> dict[str, Any] | None:
        """None where nobody answered, or the server has no room to wait."""
        began = time.monotonic()
        found: dict[str, Any] | None = None
        pause_s = PAUSE_S
        try:
            found = self._session.api.get(
                f"{target.place.path}/convergence",
                {"release": target.release, "wait": f"{wait_s:.3g}"},
                timeout_s=wait_s + ANSWER_S, patience_s=0.0,
            )  # fmt: skip
        except Unreachable as failure:
            self._session.note(f"{failure} Looking again.")
        except Problem as problem:
            if problem.status not in (429, 503) or retry_after_s(problem) > MOST_WAITED_S:
                raise
            pause_s = max(pause_s, retry_after_s(problem))
        if found is None or (found["state"] not in _ENDS and time.monotonic() - began < wait_s / 2):
            time.sleep(min(self._left_s, pause_s))  # it was not held as long as it was asked to be
        return found


def again(target: Target) -> str:
    return f"confhub status {target.place} --release {target.release} --wait"


def summary(counts: dict[str, int]) -> str:
    """ "2 confirmed, 1 waiting"; "nobody runs it" for none."""
    told = [f"{counts[name]} {name}" for name in _ORDER if counts.get(name)]
    return ", ".join(told) or "nobody runs it"


def behind_line(found: dict[str, Any]) -> str:
    """One instance that is not there yet, and why."""
    parts = [f"{found['id']} on {found['host']}: {found['state']}"]
    if found.get("running"):
        parts.append(f"runs r{found['running']}")
    if found.get("stage") and found["state"] == "failed":
        parts.append(f"at {found['stage']}")
    if found.get("reason"):
        parts.append(str(found["reason"]))
    parts += [str(each) for each in found.get("problems") or ()]
    return printable(", ".join(parts))


def _failed(target: Target, found: dict[str, Any]) -> Failed:
    failed = [each for each in found["behind"] if each["state"] == "failed"]
    lines = "; ".join(map(behind_line, failed))
    return Failed(f"{target} failed: {lines}", code="release.failed", convergence=found)


def _timed_out(target: Target, found: dict[str, Any]) -> TimedOut:
    if not found:
        return TimedOut(f"{target}: nobody answered until the time was over. Look with: {again(target)}", code="command.timed_out")  # fmt: skip
    behind = "; ".join(map(behind_line, found["behind"]))
    return TimedOut(
        f"{target} is not confirmed yet: {summary(found['counts'])}. Behind: {behind}. "
        f"It goes on by itself; look with: {again(target)}",
        code="command.timed_out", convergence=found,
    )  # fmt: skip


def _view(session: Session) -> View:
    from confhub.client.command.views import Lines, Live, can_be_live

    return Live() if can_be_live(session.as_json) else Lines(session)


def ending(target: Target, found: dict[str, Any]) -> str:
    """The last line of a wait that ended well."""
    if found["state"] == "nobody":
        return f"{target} is published. Nobody runs it now, so nobody had to confirm it."
    number = found["counts"].get("confirmed", 0)
    instances = "its only instance" if number == 1 else f"all {number} instances"
    return click.style(f"{target} is confirmed by {instances}.", fg="green")
