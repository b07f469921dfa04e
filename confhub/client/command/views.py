"""How a wait is shown: drawn anew at a terminal, a line for each change anywhere else."""

import sys
from typing import Any

from confhub.client.command import environment
from confhub.client.command.common import Session
from confhub.client.command.waiting import Target, behind_line, summary
from confhub.client.command.words import printable

_STYLES = {
    "confirmed": "green",
    "failed": "red",
    "applied": "cyan",
    "delivered": "cyan",
    "waiting": "dim",
}
MOST_SHOWN = 10


def can_be_live(as_json: bool) -> bool:
    return not as_json and sys.stdout.isatty() and not environment.is_dumb_terminal()


class Lines:
    """For logs: what was said before is not said again."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._said: dict[str, str] = {}

    def show(self, target: Target, found: dict[str, Any]) -> None:
        self._say(str(target), f"{target}: {summary(found['counts'])}")
        for each in found["behind"]:
            if each.get("reason") or each.get("problems"):
                self._say(f"{target} {each['id']}", f"  {behind_line(each)}")

    def close(self) -> None:
        pass  # nothing is left open

    def _say(self, about: str, line: str) -> None:
        if self._said.get(about) != line:
            self._said[about] = line
            self._session.say(line)


class Live:
    """At a terminal: one line for each release, and below it who is behind, and why."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as Drawn

        self._found: dict[Target, dict[str, Any]] = {}
        self._drawn = Drawn(console=Console(highlight=False), refresh_per_second=8, transient=False)
        self._drawn.start()

    def show(self, target: Target, found: dict[str, Any]) -> None:
        self._found[target] = found
        self._drawn.update(self._picture(), refresh=True)

    def close(self) -> None:
        self._drawn.stop()

    def _picture(self) -> Any:
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.table import Table

        parts: list[Any] = []
        for target, found in self._found.items():
            line = Table.grid(padding=(0, 1))
            is_moving = found["state"] in ("pending", "nobody")
            line.add_row(Spinner("dots") if is_moving else "•", str(target), _counts(found))
            parts += [line, *_behind(found)]
        return Group(*parts)


def _counts(found: dict[str, Any]) -> Any:
    from rich.text import Text

    text = Text()
    for name, number in found["counts"].items():
        if number:
            text.append(f"{number} {name}  ", style=_STYLES.get(name, ""))
    return text or Text("nobody runs it", style="dim")


def _behind(found: dict[str, Any]) -> list[Any]:
    from rich.text import Text

    lines = [Text(f"    {printable(behind_line(each))}", style=_STYLES.get(each["state"], "")) for each in found["behind"][:MOST_SHOWN]]  # fmt: skip
    more = len(found["behind"]) - MOST_SHOWN
    return [*lines, Text(f"    and {more} more")] if more > 0 else lines
