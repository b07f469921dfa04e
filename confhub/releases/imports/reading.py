"""Read one document in one process. Other people's texts come here through a limited child: what is
wrong with one is answered as data."""

from typing import Any

from confhub.releases.imports import chef, compose, kubernetes, plain, stores
from confhub.releases.imports.base import Found, Unfit, collected, shown

MAX_CHOICES = 200


def read(source: str, text: str, options: dict[str, Any]) -> dict[str, Any]:
    """What `base.collected` answers, or {"problem": {"line", "message", "choices"}}.

    `options`: {"flatten": bool or None, "prefix": "", "item": ""}.
    """
    try:
        return collected(_found(source, text.removeprefix("\ufeff"), options))
    except Unfit as error:
        choices = [shown(choice) for choice in error.choices[:MAX_CHOICES]]
        message = shown(error.message)
        return {"problem": {"line": error.line, "message": message, "choices": choices}}


def _found(source: str, text: str, options: dict[str, Any]) -> Found:
    flatten = options["flatten"]
    match source:
        case "compose":
            return compose.read(text, service=options["item"])
        case "kubernetes":
            return kubernetes.read(text, item=options["item"])
        case "consul":
            return stores.consul(text, prefix=options["prefix"])
        case "etcd":
            return stores.etcd(text, prefix=options["prefix"])
        case "chef":
            return chef.read(text, flatten=flatten is not False)
    return plain.read(source, text, flatten=bool(flatten))
