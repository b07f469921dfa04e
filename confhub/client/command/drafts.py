"""`get`, `set`, `unset`: values, and the draft that is published later."""

import json
from typing import Any

import click

from confhub.client.command import own, values
from confhub.client.command.common import Session, connected, place_argument
from confhub.client.command.failures import Failure
from confhub.client.command.places import Place
from confhub.client.command.words import assignment, count

FORMATS = ("json", "yaml", "env", "toml", "properties")
Entries = dict[str, Any]


@click.command(name="get")
@place_argument("[KEY]…", needed=False)
@click.option(
    "--release",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of this release; the newest where left out.",
)
@click.option(
    "--format", "file_form", type=click.Choice(FORMATS), help="As the file that containers get."
)
@click.option(
    "--draft", is_flag=True, help="As publishing the draft would make it: the place's own keys."
)
@connected
def get(
    session: Session, *, place: Place, words: tuple[str, ...], release: int | None,
    file_form: str | None, draft: bool,
) -> None:  # fmt: skip
    """The configuration of PLACE, or the values of some KEYs.

    One KEY alone prints its bare value, for scripts. Otherwise KEY=TEXT and KEY:=JSON, as `set`
    takes them. Secrets are never told.
    """
    keys = values.keys(words)
    if file_form is not None:
        if keys or draft:
            raise click.UsageError(
                "--format writes the whole configuration: leave out KEYs and --draft."
            )
        click.echo(_file(session, place, release, file_form), nl=False)
        return
    found = _entries(session, place, release, draft=draft)
    for key in keys:
        if key not in found:
            raise Failure(f"{place} has no key {key}.{_near(key, found)}", code="command.no_key")
    chosen = {key: found[key] for key in keys} if keys else found
    session.show(chosen, lambda: _words(chosen, bare=len(keys) == 1))


def _file(session: Session, place: Place, release: int | None, form: str) -> bytes:
    if place.is_scope:
        query = {"format": form, "release": release}
        return session.api.call("GET", f"{place.path}/config", query=query).content
    if release is not None:
        raise click.UsageError("--format and --release of a layer do not go together.")
    return session.api.call("GET", f"{place.path}/export", query={"format": form}).content


def _entries(session: Session, place: Place, release: int | None, *, draft: bool) -> Entries:
    if draft:
        if release is not None:
            raise click.UsageError("--draft and --release do not go together.")
        drafted = own.draft(session.api, place)
        return dict(sorted(own.with_draft(own.held(session.api, place), drafted).items()))
    if release is None:
        release = newest(session, place)
    return own.entries(session.api, place, release)


def newest(session: Session, place: Place) -> int:
    """The number of the newest release. Raises Failure before the first."""
    if place.is_scope:
        rows = session.api.get(f"{place.path}/releases", {"limit": 1})["items"]
        number = rows[0]["release"] if rows else None
    else:
        number = session.api.get(place.path)["release"]
    if not number:
        raise Failure(f"{place} has no release yet.", code="release.none")
    return int(number)


def _words(found: Entries, *, bare: bool) -> str:
    if bare:
        [value] = found.values()
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "\n".join(assignment(key, value) for key, value in found.items())


def _near(key: str, found: Entries) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, found, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


@click.command(name="set")
@place_argument("KEY=VALUE…", needed=False)
@click.option(
    "--secret",
    is_flag=True,
    help="The values are secrets: KEY asks (or reads stdin), KEY@FILE reads a file.",
)
@connected
def set_keys(session: Session, *, place: Place, words: tuple[str, ...], secret: bool) -> None:
    """Set keys in the draft of PLACE.

    \b
    KEY=TEXT      the text
    KEY:=JSON     200, true, null, ["a"], {"a": 1}
    KEY@FILE      the text of a file
    KEY:=@FILE    the JSON of a file

    With --secret: KEY (asked for unseen, or piped in) and KEY@FILE.
    """
    if not words:
        raise click.UsageError(f"Nothing is set. Write {values.FORMS}.")
    found = values.read_secrets(words) if secret else values.read(words)
    _change(session, place, {"set": found})


@click.command(name="unset")
@place_argument("KEY…")
@connected
def unset_keys(session: Session, *, place: Place, words: tuple[str, ...]) -> None:
    """Take keys out of PLACE, in its draft."""
    _change(session, place, {"unset": values.keys(words)})


def _change(session: Session, place: Place, body: dict[str, Any]) -> None:
    answer = session.api.call("PATCH", f"{place.path}/draft", body, headers={"If-Match": "*"})
    drafted = answer.document
    session.show(drafted, lambda: _drafted(place, drafted))


def _drafted(place: Place, drafted: dict[str, Any]) -> str:
    differing = len(drafted["changes"])
    if not differing:
        return f"The draft of {place} is as its newest release now."
    return (
        f"The draft of {place} has {count(differing, 'change')}, version {drafted['version']}.\n"
        f"Look: confhub diff {place}   Publish: confhub publish {place} -m TEXT"
    )
