"""`watch`: each release as it comes, over Server-Sent Events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from confhub.client.command import places
from confhub.client.command.calls import Unreachable, retry_after_s
from confhub.client.command.common import Session, connected, place_argument
from confhub.client.command.failures import Failure, Problem
from confhub.client.command.places import Place
from confhub.client.command.words import printable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
RETRY = " retry"  # no event of the server's can be called so


@dataclass(frozen=True)
class Event:
    name: str
    data: str
    id: str


@click.command(name="watch")
@place_argument()
@click.option(
    "--since", type=click.IntRange(min=0), metavar="N", help="Only releases after this one."
)
@click.option("--count", "most", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@connected
def watch(session: Session, *, place: Place, since: int | None, most: int | None) -> None:
    """The current release of PLACE and each new one, a line each, until Ctrl-C.

    With --output json: each release document in one line. After a broken connection it goes on where
    it was.
    """
    places.scope_only(place, "nobody watches a layer")
    for number, event in enumerate(releases(session, place, since), 1):
        _show(session, place, event)
        if number == most:
            return


def releases(session: Session, place: Place, since: int | None) -> Iterator[Event]:
    """Events `release`, for ever; resumed at the last one. Raises Problem where it is refused."""
    last_id = "" if since is None else str(since)
    pause_s = FIRST_PAUSE_S
    while True:
        wait_s = 0.0
        try:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with session.api.stream(f"{place.path}/watch", headers) as lines:
                for event in events(lines):
                    pause_s = FIRST_PAUSE_S
                    if event.name == RETRY:
                        pause_s = min(int(event.data) / 1000, LONGEST_PAUSE_S)
                    elif event.name == "release" and event.id != last_id:
                        last_id = event.id
                        yield event
        except Unreachable as failure:
            session.note(f"{failure} Trying again.")
        except Problem as problem:
            if problem.status not in (429, 503):
                raise
            wait_s = retry_after_s(problem)
        time.sleep(max(wait_s, pause_s * random.uniform(0.5, 1.0)))  # noqa: S311  # spreads watchers
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def events(lines: Iterator[str]) -> Iterator[Event]:
    """The stream's events; comments only keep it alive."""
    name, last_id = "", ""
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield Event(name or "message", "\n".join(data), last_id)
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value
        elif field == "retry" and value.isdecimal() and len(value) < 8:
            yield Event(RETRY, value, last_id)


def _show(session: Session, place: Place, event: Event) -> None:
    try:
        document: dict[str, Any] = json.loads(event.data)
    except ValueError as error:
        raise Failure("The stream holds something else than JSON.", code="command.no_confhub") from error  # fmt: skip
    if session.as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    told = f"{place} r{document['release']} by {document.get('author', '')}: {document.get('message', '')}"
    click.echo(printable(told))
