"""`diff`: the draft, two releases, or a file kept in git, against what is there."""

from typing import Any

import click

from confhub.client.command import documents, own
from confhub.client.command.common import Session, connected, place_argument, reads_from
from confhub.client.command.failures import REFUSED
from confhub.client.command.places import Place
from confhub.client.command.words import change_lines, change_markdown

Changes = list[dict[str, Any]]


@click.command(name="diff")
@place_argument("[N [M]]", needed=False)
@click.option(
    "--from-file", metavar="FILE", help="Compare this file (- is stdin) with the newest release."
)
@click.option("--markdown", is_flag=True, help="A table for a pull request.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where anything differs.")
@connected
def diff(
    session: Session, *, place: Place, words: tuple[str, ...], from_file: str | None, markdown: bool,
    exit_code: bool,
) -> int:  # fmt: skip
    """What the draft of PLACE would change; what release N changed; what M has otherwise than N.

    With --from-file: what the file has otherwise than the newest release's own keys. The file is what
    `confhub export` writes, or KEY: value in YAML or JSON.
    """
    numbers = _numbers(words)
    if from_file is not None:
        if numbers:
            raise click.UsageError(
                "--from-file compares with the newest release: leave out the number."
            )
        document = _with_file(session, place, from_file)
    elif numbers:
        document = _releases(session, place, numbers)
    else:
        document = _draft(session, place)
    changes: Changes = document["changes"]
    session.show(document, lambda: _words(place, changes, markdown=markdown))
    return REFUSED if exit_code and changes else 0


def _words(place: Place, changes: Changes, *, markdown: bool) -> str:
    if markdown:
        return change_markdown(changes)
    return "\n".join(change_lines(changes)) if changes else f"{place}: nothing differs."


def _numbers(words: tuple[str, ...]) -> list[int]:
    if len(words) > 2 or not all(word.isdecimal() and len(word) < 10 for word in words):
        raise click.UsageError("Behind PLACE belong numbers of releases, two at most: confhub diff checkout@prod 41 42")  # fmt: skip
    return [int(word) for word in words]


def _releases(session: Session, place: Place, numbers: list[int]) -> dict[str, Any]:
    """The server's own answer: of N, or from N to M."""
    against = numbers[0] if len(numbers) == 2 else None
    path = f"{place.path}/releases/{numbers[-1]}/diff"
    found: dict[str, Any] = session.api.get(path, {"against": against})
    found["changes"] = [_plain(each) for each in found["changes"]]
    return found


def _plain(change: dict[str, Any]) -> dict[str, Any]:
    return {name: change[name] for name in ("key", "kind", "old", "new")}


def _draft(session: Session, place: Place) -> dict[str, Any]:
    drafted = own.draft(session.api, place)
    held = own.held(session.api, place)
    changes = own.drafted_changes(held, drafted)
    return {
        "place": str(place),
        "release": held.release,
        "draft": drafted["version"],
        "changes": changes,
    }


def _with_file(session: Session, place: Place, name: str) -> dict[str, Any]:
    found = documents.entries_for(place, reads_from(name, what="--from-file"), name)
    held = own.held(session.api, place)
    changes = own.differences(held.own, documents.as_they_are(found, held.own))
    return {"place": str(place), "release": held.release, "file": name, "changes": changes}
