"""What every command begins with: its options, who calls whom, and how its outcome is told."""

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from confhub.client.command import environment, keeping, places
from confhub.client.command.calls import Api
from confhub.client.command.failures import Failure
from confhub.client.command.places import Place
from confhub.client.command.words import printable

Made = TypeVar("Made", bound=Callable[..., Any])
MAX_TOKEN_BYTES = 64 * 1024


@dataclass
class Session:
    """One run of a command: what it was told, the client it calls with, how it speaks."""

    as_json: bool
    told: environment.Told = field(default_factory=environment.read)

    @functools.cached_property
    def api(self) -> Api:
        """With the address and token of the environment, or those that were kept."""
        url = address(self.told.url or keeping.load(self.told.config_dir).url)
        return self.api_with(url, token_of(self.told, url))

    def api_with(self, url: str, token: str) -> Api:
        """At a terminal somebody waits, so that a wrong address is told at once."""
        patience_s = self.told.patience_s
        if patience_s == environment.PATIENCE_S and sys.stderr.isatty():
            patience_s = 3.0
        return Api(url, token, patience_s=patience_s, notify=self.note)

    def show(self, document: Any, words: str | Callable[[], str]) -> None:
        """The result on stdout: `words`, or the document as JSON."""
        if self.as_json:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            text = words if isinstance(words, str) else words()
            if text:
                click.echo(text)

    def note(self, sentence: str) -> None:
        """Something by the way, to stderr; not where a program reads a problem document there."""
        if not self.as_json:
            click.echo(f"confhub: {printable(sentence)}", err=True)

    def say(self, line: str) -> None:
        """A line of progress on stdout, unless that is one JSON document."""
        if not self.as_json:
            click.echo(line)


def connected(function: Made) -> Made:
    """A command with `--output`, given a Session first; failures become its exit code."""

    @click.option(
        "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
        help="For people, or one JSON document.",
    )  # fmt: skip
    @functools.wraps(function)
    def command(*args: Any, form: str, **options: Any) -> Any:
        with usage_told():
            session = Session(form == "json")
            try:
                return function(session, *args, **options)
            except Failure as failure:
                failure.show(as_json=session.as_json)
                return failure.exit_code

    return command  # type: ignore[return-value]  # click's decorators keep no signature


@contextmanager
def usage_told() -> Iterator[None]:
    """A wrong usage that is found inside names the command and its help, as click's own do."""
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or click.get_current_context()
        raise


def place_argument(rest: str = "", *, needed: bool = True) -> Callable[[Made], Made]:
    """`PLACE` and more words behind it (`rest` in the usage): passed as `place` and `words`.

    PLACE may be left out where CONFHUB_PLACE is set and the first word is no place itself.
    """

    def decorate(function: Made) -> Made:
        @click.argument(
            "words", nargs=-1, metavar=f"PLACE {rest}".strip(), shell_complete=_completed
        )
        @functools.wraps(function)
        def command(*args: Any, words: tuple[str, ...], **options: Any) -> Any:
            with usage_told():
                place, left = split(words)
                if left and not rest:
                    raise click.UsageError(
                        f"There is no use for {printable(left[0])!r} behind {place}."
                    )
                if rest and needed and not left:
                    raise click.UsageError(f"Behind {place} belongs {rest}.")
            if rest:
                options["words"] = left
            return function(*args, place=place, **options)

        return command  # type: ignore[return-value]  # as above

    return decorate


def split(words: tuple[str, ...]) -> tuple[Place, tuple[str, ...]]:
    """The place, given or CONFHUB_PLACE's, and what stands behind it. Raises click.UsageError."""
    usual = environment.read().place
    given = places.read(words[0]) if words else None
    if given is not None:
        return given, words[1:]
    if usual:
        return places.place(usual, name="CONFHUB_PLACE"), words
    if not words:
        raise click.UsageError(f"PLACE is missing. Write {places.FORMS}.")
    return places.place(words[0]), words[1:]


def _completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    from confhub.client.command.completing import words_for

    return words_for(context.params.get("words") or (), incomplete)


def address(url: str) -> str:
    """`url` as calls are made of it. Raises click.UsageError."""
    if not url:
        raise click.UsageError("There is no address. Set CONFHUB_URL, or sign in: confhub login https://…")  # fmt: skip
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(f"{printable(url)[:200]!r} is no address. Write https://HOST, with a port where it is another one.")  # fmt: skip
    if parts.username or parts.password:
        raise click.UsageError("The address holds a name or password. Leave them out; a token signs in.")  # fmt: skip
    return url.rstrip("/").removesuffix("/api/v1")


def token_of(told: environment.Told, url: str) -> str:
    """CONFHUB_TOKEN_FILE's or CONFHUB_TOKEN's, else what was kept for this very address; "" for none."""
    if told.token_file:
        return read_token(Path(told.token_file), "CONFHUB_TOKEN_FILE")
    if told.token:
        return checked_token(told.token, "CONFHUB_TOKEN")
    return keeping.token_for(told.config_dir, url)


def read_token(path: Path, name: str) -> str:
    """The token in a file. Raises click.UsageError naming `name`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN_BYTES)
    except OSError as error:
        raise click.UsageError(f"{name}={path}: {error.strerror}.") from error
    return checked_token(content.decode("ascii", "replace").strip(), name)


def checked_token(token: str, name: str) -> str:
    """`token`, where it can stand in a header. The sentence does not quote it."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise click.UsageError(f"{name} holds no token: it is empty, or has blanks or other characters that no token has.")  # fmt: skip
    return token


def reads_from(text: str, *, what: str = "FILE") -> str:
    """The text of a file, or of stdin for "-". Raises click.BadParameter."""
    try:
        content = sys.stdin.buffer.read() if text == "-" else Path(text).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise click.BadParameter(f"{text}: {error.strerror}.", param_hint=what) from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{text} is no UTF-8 text.", param_hint=what) from error


def changed_by(headers: Mapping[str, str]) -> str:
    """The ETag of an answer, for an If-Match."""
    return headers.get("ETag") or "*"
