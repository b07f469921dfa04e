"""Objects that are too large for options: read from a file, as YAML or JSON."""

from typing import Any

import click

from confhub.client.command import strict_yaml, values
from confhub.client.command.common import reads_from
from confhub.client.command.words import printable


def read(name: str, *, option: str) -> dict[str, Any]:
    """The one object of a file, "-" for stdin. Raises click.UsageError."""
    text = reads_from(name, what=option)
    try:
        found = [values.strict_json(text)] if text.lstrip().startswith("{") else strict_yaml.documents(text)  # fmt: skip
    except ValueError as error:
        raise click.UsageError(f"{option} {name}: {printable(str(error))}") from error
    if len(found) != 1 or not isinstance(found[0], dict):
        raise click.UsageError(f"{option} {name}: write one object.")
    return found[0]
