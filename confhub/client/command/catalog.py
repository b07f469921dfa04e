"""`services` and `env`: what there is."""

from typing import Any

import click

from confhub.client.command.common import Session, connected
from confhub.client.command.groups import Listing
from confhub.client.command.words import printable, table

Document = dict[str, Any]


@click.group(name="services", cls=Listing)
def services() -> None:
    """Services: list (what it does alone), show, create."""


@services.command(name="list")
@connected
def list_services(session: Session) -> None:
    """Every service that you may see."""
    found = session.api.pages("/services")
    rows = [(each["slug"], each["name"], each["description"]) for each in found["items"]]
    session.show(found, lambda: table(("SERVICE", "NAME", "DESCRIPTION"), rows) or "There is no service that you may see.")  # fmt: skip


@services.command(name="show")
@click.argument(
    "service", shell_complete=lambda context, parameter, incomplete: _services(incomplete)
)
@connected
def show_service(session: Session, service: str) -> None:
    """One service, with its newest release in each environment."""
    found = session.api.get(f"/services/{_slug(service, 'SERVICE')}")
    session.show(found, lambda: _service_words(found))


@services.command(name="create")
@click.argument("slug")
@click.option("--name", default="", help="For people; SLUG where left out.")
@click.option("--description", default="")
@connected
def create_service(session: Session, slug: str, name: str, description: str) -> None:
    """Make a service. SLUG never changes."""
    body = {"slug": slug, "name": name, "description": description}
    found = session.api.call("POST", "/services", body).document
    session.show(found, f"The service {found['slug']} is there.")


@click.group(name="env", cls=Listing)
def environments() -> None:
    """Environments: list (what it does alone), show, create."""


@environments.command(name="list")
@connected
def list_environments(session: Session) -> None:
    """Every environment that you may see."""
    found = session.api.pages("/environments")
    rows = [(each["slug"], each["name"], _switches(each)) for each in found["items"]]
    session.show(found, lambda: table(("ENVIRONMENT", "NAME", "ASKS FOR"), rows) or "There is no environment that you may see.")  # fmt: skip


@environments.command(name="show")
@click.argument("environment")
@connected
def show_environment(session: Session, environment: str) -> None:
    """One environment, and the freezes that stand there."""
    slug = _slug(environment, "ENVIRONMENT")
    found = session.api.get(f"/environments/{slug}")
    freezes = session.api.pages(f"/environments/{slug}/freezes")["items"]
    session.show({**found, "freezes": freezes}, lambda: _environment_words(found, freezes))


@environments.command(name="create")
@click.argument("slug")
@click.option("--name", default="", help="For people; SLUG where left out.")
@click.option("--protected", is_flag=True, help="A release needs a reason there.")
@click.option("--order", type=click.IntRange(min=0), default=0, help="Its place in lists.")
@click.option(
    "--approvals", type=click.IntRange(0, 1), default=0, help="1: another person has to agree."
)
@connected
def create_environment(session: Session, slug: str, **fields: Any) -> None:
    """Make an environment. SLUG never changes."""
    found = session.api.call("POST", "/environments", {"slug": slug, **fields}).document
    session.show(found, f"The environment {found['slug']} is there.")


def _slug(text: str, name: str) -> str:
    from watchers.wire.names import SLUG

    if not SLUG.fullmatch(text):
        raise click.BadParameter(f"{printable(text)[:140]!r} is no name of one.", param_hint=name)
    return text


def _service_words(found: Document) -> str:
    lines = [printable(f"{found['slug']}  {found['name']}  {found['description']}").rstrip()]
    if found["includes"]:
        lines.append(f"includes {', '.join(found['includes'])}")
    rows = [
        (
            each["environment"],
            f"r{each['release']}" if each["release"] else "none yet",
            _follows(each),
        )
        for each in found["environments"]
    ]
    return "\n".join([*lines, table(("ENVIRONMENT", "RELEASE", "LAYERS"), rows)])


def _follows(place: Document) -> str:
    told = ["holds back" if place["holds_back"] else "", "behind" if place["behind"] else ""]
    return ", ".join(filter(None, told))


def _switches(found: Document) -> str:
    told = ["a reason" if found["protected"] else "", "an approval" if found["approvals"] else ""]
    return ", ".join(filter(None, told))


def _environment_words(found: Document, freezes: list[Document]) -> str:
    asks = _switches(found)
    lines = [printable(f"{found['slug']}  {found['name']}{f'  asks for {asks}' if asks else ''}")]
    lines += [printable(f"frozen {each['starts_at']} to {each['ends_at']}: {each['reason']}") for each in freezes]  # fmt: skip
    return "\n".join(lines)


def _services(incomplete: str) -> list[Any]:
    from confhub.client.command.completing import services_for

    return services_for(incomplete)
