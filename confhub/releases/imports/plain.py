"""The five formats in which a draft can be written, read with the draft's own parsers.

.env          https://docs.docker.com/reference/compose-file/services/#env_file-format
properties    java.util.Properties
json, yaml, toml: one object; what is nested stays one value, or is flattened with dots
"""

from confhub.releases.imports.base import Found, Item, Unfit, flat
from confhub.releases.texts.base import Bad, check_characters, line_and_column
from confhub.releases.texts.reading import FORMS, TEXTS_ONLY


def read(source: str, text: str, *, flatten: bool) -> Found:
    """Raises Unfit."""
    try:
        check_characters(text)
        parsed = FORMS[source].parse(text)
    except Bad as error:
        line, _ = line_and_column(text, error.at)
        raise Unfit(error.message, line=line) from error
    pairs = [(item.key, item.value) for item in parsed]
    if flatten:
        pairs = [pair for name, value in pairs for pair in flat({name: value})]
    items = [Item(name, value) for name, value in pairs]
    has_lines = source in TEXTS_ONLY
    return Found(items, texts_only=has_lines, last_wins=has_lines)
