"""What a command can end with besides success, and how it is told."""

import json
from collections.abc import Mapping
from typing import Any

import click

from confhub.client.command.words import printable

DONE, REFUSED, TIMED_OUT = 0, 1, 3
_HINTS = {
    "not_signed_in": "Sign in with: confhub login, or set CONFHUB_TOKEN_FILE.",
    "token.ended": "Sign in again with: confhub login",
    "release.guard": "If that is meant, add --confirm CODE for each of these codes.",
    "release.needs_approval": "Ask with: confhub requests ask PLACE -m TEXT",
}


class Failure(Exception):
    """A sentence for people and a document for programs; `exit_code` for both."""

    exit_code = REFUSED

    def __init__(self, detail: str, *, code: str = "command.failed", **more: Any) -> None:
        super().__init__(detail)
        self.document: dict[str, Any] = {"code": code, "detail": detail, **more}

    def show(self, *, as_json: bool) -> None:
        """To stderr. Nothing of what was sent stands in it."""
        if as_json:
            click.echo(json.dumps(self.document, indent=2, ensure_ascii=False), err=True)
        else:
            click.echo(self.words(), err=True)

    def words(self) -> str:
        return f"confhub: {printable(str(self))}"


class TimedOut(Failure):
    """The wait is over, the outcome is not known yet."""

    exit_code = TIMED_OUT


class Problem(Failure):
    """The server's problem document (RFC 9457)."""

    def __init__(self, document: Mapping[str, Any], status: int) -> None:
        self.status = status
        super().__init__(str(document.get("detail") or document.get("title") or f"HTTP {status}"))
        self.document = dict(document)

    @property
    def code(self) -> str:
        return str(self.document.get("code", ""))

    def words(self) -> str:
        detail = printable(str(self))
        lines = [f"confhub: {detail}"]
        guards = _guards(self.document.get("guards"))
        lines += [f"  {line}" for line in guards or _fields(self.document.get("fields"), detail)]
        if hint := _HINTS.get(self.code):
            lines.append(f"  {hint}")
        told = [self.code, f"request {self.document['request_id']}" if self.document.get("request_id") else ""]  # fmt: skip
        lines.append(f"  ({printable(', '.join(filter(None, told)))})")
        return "\n".join(lines)


def _fields(fields: Any, detail: str) -> list[str]:
    if not isinstance(fields, dict):
        return []
    return [
        f"{printable(str(name))}: {printable(str(sentence))}"
        for name, sentence in fields.items()
        if str(sentence) not in detail
    ]


def _guards(guards: Any) -> list[str]:
    if not isinstance(guards, list):
        return []
    return [
        f"{printable(str(each.get('code')))}: {printable(str(each.get('sentence')))}"
        for each in guards
        if isinstance(each, dict)
    ]
