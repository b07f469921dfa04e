"""`publish` and `rollback`, and the wait for their outcome."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from confhub.client.command import places, values, waiting
from confhub.client.command.calls import Answer, Unreachable
from confhub.client.command.common import Session, connected, place_argument
from confhub.client.command.places import Place
from confhub.client.command.waiting import USUAL_S, Target
from confhub.client.command.words import change_lines, count, printable

Made = TypeVar("Made", bound=Callable[..., Any])
Options = dict[str, Any]


class Waiting(click.Command):
    """A command whose `--wait` may stand without its number, also before another word."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(context, _with_seconds(args))


def _with_seconds(args: Sequence[str]) -> list[str]:
    told: list[str] = []
    for at, word in enumerate(args):
        if word == "--":
            return [*told, *args[at:]]
        following = args[at + 1] if at + 1 < len(args) else ""
        bare = word == "--wait" and not following.replace(".", "", 1).isdecimal()
        told.append(f"--wait={USUAL_S:g}" if bare else word)
    return told


wait_option = click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0, max=86_400), metavar="[SECONDS]",
    help=f"Until every instance confirmed it ({USUAL_S:g} s at most where left out): exit 0; 1 where one "
    "failed, 3 where the time is over.",
)  # fmt: skip
require_option = click.option(
    "--require-instances", is_flag=True, help="With --wait: exit with 1 where nobody runs it."
)


def consents(function: Made) -> Made:
    """The options that every act of publishing has."""
    for option in reversed(
        (
            click.option("--expected-release", type=click.IntRange(min=0), metavar="N", help="Refuse where another one is the newest; 0 for none."),
            click.option("--confirm", multiple=True, metavar="CODE", help="A guard that is meant (count_halved …); repeatable."),
            click.option("--request", type=click.IntRange(min=1), metavar="N", help="The approved request."),
            click.option("--emergency", is_flag=True, help="Past a freeze or a missing approval; the release says so for ever."),
            click.option("--target", "targets", multiple=True, metavar="SERVICE@ENVIRONMENT", help="Of a layer: only for these; repeatable."),
            click.option("--dry-run", is_flag=True, help="Show what would be published, and do nothing."),
            click.option("--markdown", is_flag=True, help="With --dry-run: a table for a pull request."),
            click.option("--key", metavar="WORD", help="Idempotency-Key: repeated within a day, the call does nothing again."),
            wait_option,
            require_option,
        )
    ):  # fmt: skip
        function = option(function)
    return function


@click.command(name="publish", cls=Waiting)
@place_argument()
@click.option("-m", "--message", metavar="TEXT", help="Why, for the history.")
@click.option(
    "--set",
    "set_",
    multiple=True,
    metavar="KEY=VALUE",
    help="Publish the newest release with this change; the draft stays. Repeatable.",
)
@click.option(
    "--unset", multiple=True, metavar="KEY", help="The same, without this key. Repeatable."
)
@click.option(
    "--image", metavar="NAME@DIGEST", help="The image that this configuration is made for."
)
@consents
@connected
def publish(
    session: Session, *, place: Place, message: str | None, set_: tuple[str, ...],
    unset: tuple[str, ...], image: str | None, **options: Any,
) -> None:  # fmt: skip
    """Publish the draft of PLACE, or with --set and --unset the newest release with these changes.

    \b
    confhub publish checkout@prod -m "raise the pool" --set POOL:=200 --wait

    A broken connection never publishes twice.
    """
    if message is None:
        message = _asked_message(session, options["request"])
    body: dict[str, Any] = {"message": message, **_consent(place, options)}
    if set_ or unset:
        body |= {"set": values.read(set_), "unset": values.keys(unset)}
    if image is not None:
        body["image"] = _image(image)
    _act(session, place, f"{place.path}/releases", body, options)


@click.command(name="rollback", cls=Waiting)
@place_argument("N")
@click.option(
    "-m", "--message", default="", metavar="TEXT", help="Why; 'Roll back to rN' where left out."
)
@consents
@connected
def rollback(
    session: Session, *, place: Place, words: tuple[str, ...], message: str, **options: Any
) -> None:
    """Publish the content of release N of PLACE again, under a new number."""
    if len(words) != 1 or not words[0].isdecimal() or not 0 < len(words[0]) < 10:
        raise click.UsageError("Behind PLACE belongs the number of one release: confhub rollback checkout@prod 41")  # fmt: skip
    body = {"message": message, **_consent(place, options)}
    _act(session, place, f"{place.path}/releases/{words[0]}/rollback", body, options)


def _image(text: str) -> dict[str, str]:
    name, mark, digest = text.rpartition("@")
    if not (name and mark and digest):
        raise click.UsageError("--image: write NAME@DIGEST: registry/shop@sha256:…")
    return {"name": name, "digest": digest}


def _asked_message(session: Session, request: int | None) -> str:
    """The request's own reason. Raises click.UsageError where there is no request either."""
    if request is None:
        raise click.UsageError("Missing option '-m': write why, for the history.")
    return str(session.api.get(f"/requests/{request}")["message"])


def _consent(place: Place, options: Options) -> dict[str, Any]:
    body: dict[str, Any] = {"emergency": True} if options["emergency"] else {}
    for name in ("expected_release", "request"):
        if options[name] is not None:
            body[name] = options[name]
    if options["confirm"]:
        body["confirm"] = [*options["confirm"]]
    if options["targets"]:
        if place.is_scope:
            raise click.UsageError("--target is for layers.")
        found = [places.scope_only(places.place(each, name="--target"), "a target is none") for each in options["targets"]]  # fmt: skip
        body["targets"] = [
            {"service": each.service, "environment": each.environment} for each in found
        ]
    return body


def _act(session: Session, place: Place, path: str, body: dict[str, Any], options: Options) -> None:
    """Publish, tell it, and wait where asked to."""
    if options["dry_run"]:
        rehearse(session, place, path, body, markdown=options["markdown"])
        return
    answer = send(session, path, body, options["key"])
    document = answer.document
    targets = cut(place, document)
    if not session.as_json:
        click.echo(told(place, document, answer.status == 201))
    if options["wait_s"] is not None and targets:
        found = waiting.follow(session, targets, options["wait_s"], require_instances=options["require_instances"])  # fmt: skip
        document = {**document, "convergence": found[0] if place.is_scope else found}
        if not session.as_json:
            for target, each in zip(targets, found, strict=True):
                click.echo(waiting.ending(target, each))
    if session.as_json:
        session.show(document, "")


def send(session: Session, path: str, body: dict[str, Any], key: str | None = None) -> Answer:
    """The POST that publishes, at most once however often the connection breaks."""
    key = key or str(uuid.uuid4())
    try:
        return session.api.call("POST", path, body, headers={"Idempotency-Key": key})
    except Unreachable as failure:
        if failure.document["code"] == "command.connection_broke":
            failure.args = (f"{failure} Whether it was published is not known; the same command with --key {key} does it once at most.",)  # fmt: skip
            failure.document |= {"detail": str(failure), "idempotency_key": key}
        raise


def rehearse(
    session: Session, place: Place, path: str, body: dict[str, Any], *, markdown: bool
) -> None:
    """What publishing would do, as the server answers it after everything that it checks."""
    if markdown:
        headers = {"Accept": "text/markdown"}
        answer = session.api.call("POST", path, body, query={"dry_run": 1}, headers=headers)
        click.echo(answer.text, nl=not answer.text.endswith("\n"))
        return
    document = session.api.call("POST", path, body, query={"dry_run": 1}).document
    session.show(document, lambda: _rehearsed(place, document))


def _rehearsed(place: Place, document: dict[str, Any]) -> str:
    releases = [each for each in document["changes"] if each["of"] == "release"]
    if not releases:
        return f"{place}: nothing would be published."
    lines = []
    for each in releases:
        number = f" r{each['release']}" if each["release"] else ""
        lines.append(printable(f"{each['place']}{number} would be published:"))
        lines += [f"  {line}" for line in change_lines(each["changes"])]
    for each in document["hooks"]:
        if each["would_ask"]:
            lines.append(printable(f"{each['place']}: asked first: {', '.join(each['would_ask'])}"))
    return "\n".join(lines)


def cut(place: Place, document: dict[str, Any]) -> list[Target]:
    """The scopes' releases that came of it."""
    if place.is_scope:
        return [Target(place, document["release"])]
    return [
        Target(places.scope(each["service"], each["environment"]), each["release"])
        for each in document["releases"]
    ]


def told(place: Place, document: dict[str, Any], is_new: bool) -> str:
    """What was published, and what belongs to it."""
    if not is_new:
        return f"{place} r{document['release']} is what it would be, so nothing was published."
    line = f"{place} r{document['release']} is published ({count(document['keys'], 'key')})."
    if not place.is_scope:
        releases = ", ".join(map(str, cut(place, document)))
        return (
            f"{line} Releases: {releases}." if releases else f"{line} It changes no configuration."
        )
    offers = document.get("offers") or {}
    if image := offers.get("image"):
        line += printable(f"\nIt was made for the image {image['name']}@{image['digest']}, unlike the one before.")  # fmt: skip
    if release := offers.get("release"):
        line += f"\nThis image ran with r{release} last: confhub rollback {place} {release}"
    return line
