"""The `environment` of one service of a Compose file.

https://docs.docker.com/reference/compose-file/services/#environment, and for `$` in values
https://docs.docker.com/reference/compose-file/interpolation/
"""

import re
from typing import Any

from confhub.releases.imports.base import Found, Item, Unfit
from confhub.releases.imports.documents import documents

_INTERPOLATED = re.compile(r"\$\$|\$\{?(?P<name>[A-Za-z_][A-Za-z0-9_]*)")


def read(text: str, *, service: str) -> Found:
    """`service` may be empty where only one of them has an environment. Raises Unfit."""
    services = _services(text)
    name = _chosen(services, service)
    held = services[name]
    found = Found(
        texts_only=True, last_wins=True, notes=[f"These are the variables of the service {name}."]
    )
    for variable, value in _variables(name, held.get("environment")):
        _take(found, variable, value)
    _note_what_is_elsewhere(found, name, held)
    return found


def _services(text: str) -> dict[str, dict[str, Any]]:
    found = documents(text)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise Unfit("A Compose file is one mapping with `services` in it. Take the whole file.")
    services = found[0].get("services")
    if not isinstance(services, dict):
        raise Unfit("There is no `services` in this text. Take the whole Compose file.")
    return {name: held for name, held in services.items() if isinstance(held, dict)}


def _chosen(services: dict[str, dict[str, Any]], wanted: str) -> str:
    having = [name for name, held in services.items() if held.get("environment")]
    if wanted:
        if wanted in services:
            return wanted
        raise Unfit(f"There is no service {wanted[:80]!r} in this file.", choices=services)
    if len(having) == 1:
        return having[0]
    if not having:
        raise Unfit("No service of this file has an `environment`.")
    raise Unfit(
        f"Several services have an environment: {', '.join(having[:20])}. Name one of them.",
        choices=having,
    )


def _variables(service: str, held: Any) -> list[tuple[str, Any]]:
    """[(name, text, or None for what the shell has)] of either form."""
    if isinstance(held, dict):
        return list(held.items())
    if isinstance(held, list):
        pairs = [str(each).partition("=") for each in held]
        return [(name.strip(), text if mark else None) for name, mark, text in pairs]
    if held is None:
        return []
    raise Unfit(f"The environment of {service} is neither a list nor a mapping. Write one of them.")


def _take(found: Found, name: str, value: Any) -> None:
    if value is None:
        found.skip(name, "It has no value here: Compose takes it from the shell. Set it by hand.")
    elif not isinstance(value, str):
        found.skip(name, "Its value is a list or a mapping, which no variable can be.")
    elif asked := [each["name"] for each in _INTERPOLATED.finditer(value) if each["name"]]:
        # The name alone, because what stands behind it may be a password as default.
        found.skip(
            name,
            f"Compose puts ${asked[0][:60]} in when it starts, and its value is not in this file. "
            "Set it by hand.",
        )
    else:
        found.items.append(Item(name, value.replace("$$", "$")))


def _note_what_is_elsewhere(found: Found, name: str, held: dict[str, Any]) -> None:
    files = held.get("env_file") or []
    for each in files if isinstance(files, list) else [files]:
        path = each.get("path") if isinstance(each, dict) else each
        found.notes.append(f"env_file {path} is not followed. Import that file as .env first.")
    if held.get("extends"):
        found.notes.append(f"What {name} extends is not followed. Import it first.")
    if held.get("secrets"):
        found.notes.append(f"The secrets of {name} are files, and not in this one.")
