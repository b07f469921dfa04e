"""`import` and `export`: other tools' files, and the files that `apply` reads."""

from pathlib import Path
from typing import Any

import click

from confhub.client.command import documents, own, places
from confhub.client.command.calls import Answer
from confhub.client.command.common import (
    Session,
    changed_by,
    connected,
    place_argument,
    reads_from,
    usage_told,
)
from confhub.client.command.failures import Failure, Problem
from confhub.client.command.places import Place
from confhub.client.command.words import change_lines, count, printable

SOURCES = ("env", "json", "yaml", "toml", "properties", "compose", "kubernetes", "consul", "etcd", "chef")  # fmt: skip
FORMATS = ("env", "compose", "json", "yaml", "toml", "properties", "configmap", "secret")


@click.command(name="import")
@place_argument("FILE")
@click.option("--source", type=click.Choice(SOURCES), help="What it is; guessed where left out.")
@click.option(
    "--replace", is_flag=True, help="The draft loses its own keys that the file does not have."
)
@click.option(
    "--flatten/--no-flatten", default=None, help="Objects become keys with dots, or stay one value."
)
@click.option("--prefix", default="", help="Left out of names of a store; '/' leaves nothing out.")
@click.option("--item", default="", help="The service of a Compose file, the object of a manifest.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@connected
def import_file(
    session: Session, *, place: Place, words: tuple[str, ...], source: str | None, dry_run: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Read FILE (- is stdin) into the draft of PLACE. Nothing is published.

    What can be read, and how names become keys: docs/import-export.md.
    """
    if len(words) != 1:
        raise click.UsageError("Behind PLACE belongs one FILE, or - for stdin.")
    body = {"text": reads_from(words[0]), "source": source or "", **options}
    seen = _sent(session, place, body, dry_run=True, version=None)
    answer = seen if dry_run else _sent(session, place, body, dry_run=False, version=changed_by(seen.headers))  # fmt: skip
    session.show(answer.document, lambda: _imported(place, answer.document))


def _sent(session: Session, place: Place, body: dict[str, Any], *, dry_run: bool, version: str | None) -> Answer:  # fmt: skip
    headers = {"If-Match": version} if version else {}
    query = {"dry_run": 1} if dry_run else {}
    try:
        return session.api.call(
            "POST", f"{place.path}/draft/import", body, query=query, headers=headers
        )
    except Problem as problem:
        if choices := problem.document.get("choices"):
            problem.document["fields"] = {"--item": f"write one of {', '.join(map(str, choices))}"}
        raise


def _imported(place: Place, document: dict[str, Any]) -> str:
    changes = document["changes"]
    act = "would change" if document["dry_run"] else "changed"
    lines = [f"Read as {document['source']}: {count(len(changes), 'key')} of the draft of {place} {act}, {len(document['same'])} are so already."]  # fmt: skip
    lines += change_lines(changes)
    lines += [
        printable(f"skipped {each['name']}: {each['reason']}") for each in document["skipped"]
    ]
    lines += [printable(f"renamed {each['name']} to {each['key']}") for each in document["renamed"]]
    lines += [printable(note) for note in document["notes"]]
    lines += [printable(f"{key}: {why}") for key, why in document["problems"].items()]
    return "\n".join(lines)


@click.command(name="export")
@click.argument("words", nargs=-1, metavar="PLACE…", type=places.PlaceType())
@click.option(
    "--format",
    "file_form",
    type=click.Choice(FORMATS),
    help="The effective configuration of one PLACE for another tool.",
)
@click.option(
    "--secrets",
    type=click.Choice(["masked", "sealed"]),
    default="masked",
    show_default=True,
    help="With --format: sealed as in etcd.",
)
@click.option("--draft", is_flag=True, help="What the draft would publish.")
@click.option("--with-layers", is_flag=True, help="Also the layers below each PLACE.")
@click.option("--with-service", is_flag=True, help="Also each service's name, includes and schema.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Into this file."
)
@connected
def export(
    session: Session, *, words: tuple[Place, ...], file_form: str | None, secrets: str, draft: bool,
    with_layers: bool, with_service: bool, out: Path | None,
) -> None:  # fmt: skip
    """Write the own keys of each PLACE as a file that `confhub apply` reads.

    Secrets stand as their masks, and apply leaves them as they are.
    """
    with usage_told():
        chosen = _chosen(words, session)
        if file_form is not None and (len(chosen) != 1 or with_layers or with_service):
            raise click.UsageError("--format writes one PLACE, without --with-layers and --with-service.")  # fmt: skip
    if file_form is not None:
        query = {"format": file_form, "secrets": secrets, "of": "draft" if draft else "release"}
        text = session.api.call("GET", f"{chosen[0].path}/export", query=query).content
    else:
        text = _documents(session, chosen, draft, with_layers, with_service).encode()
    _written(session, text, out)


def _chosen(words: tuple[Place, ...], session: Session) -> list[Place]:
    if words:
        return [*dict.fromkeys(words)]
    if not session.told.place:
        raise click.UsageError(f"PLACE is missing. Write {places.FORMS}.")
    return [places.place(session.told.place, name="CONFHUB_PLACE")]


def _documents(
    session: Session, chosen: list[Place], draft: bool, with_layers: bool, with_service: bool
) -> str:
    """Services first, then layers from the lowest, then scopes: the order in which they are applied."""
    services = {slug: session.api.get(f"/services/{slug}") for slug in sorted({each.service for each in chosen if each.is_scope})}  # fmt: skip
    texts = [_service(session, found) for found in services.values()] if with_service else []
    wanted = [*dict.fromkeys([*(_layers(chosen, services) if with_layers else []), *chosen])]
    for place in sorted(wanted, key=rank):
        held = own.held(session.api, place)
        entries = own.with_draft(held, own.draft(session.api, place)) if draft else held.own
        texts.append(documents.write_config(place, entries))
    return documents.together(texts)


def rank(place: Place) -> tuple[int, str]:
    """Lower layers first, so that what is above finds what it builds on."""
    return ("global", "environment", "set", "service", "scope").index(place.kind), str(place)


def _layers(chosen: list[Place], services: dict[str, Any]) -> list[Place]:
    found = [Place("global", "")]
    for each in chosen:
        if each.is_scope:
            found.append(Place("environment", each.environment))
            found += [Place("set", slug) for slug in services[each.service]["includes"]]
            found.append(Place("service", each.service))
    return found


def _service(session: Session, found: dict[str, Any]) -> str:
    try:
        schema = session.api.get(f"/services/{found['slug']}/schema")["document"]
    except Problem as problem:
        if problem.status != 404:
            raise
        schema = None
    return documents.write_service(
        found["slug"], name=found["name"], description=found["description"],
        includes=found["includes"], schema=schema,
    )  # fmt: skip


def _written(session: Session, content: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(content, nl=False)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise Failure(f"{out} cannot be written: {error.strerror}.", code="command.file") from error
    session.show({"file": str(out), "bytes": len(content)}, f"Wrote {out}.")
