"""A service's schema: JSON Schema 2020-12 of `{"KEY": value}`, with a few words of our own. Pure.

Beyond the standard a key may say `secret`, `reload`, `deprecated` with a sentence, and
`environments` with what is different there; docs/schemas.md describes them.

    document.py    what a schema may be, and what it is in one environment
    facts.py       what it says of each key, for pages and guards
    validating.py  entries against a schema, and one schema against the next
    inferring.py   a schema out of present values
    checking.py    what runs in a limited child: everything that a pattern could keep busy
    sentences.py   the library's errors as people would say them
"""

from confhub.catalog.schemas.document import BadSchema, check_document, effective
from confhub.catalog.schemas.facts import KeyFacts, facts
from confhub.catalog.schemas.inferring import infer
from confhub.catalog.schemas.validating import CannotValidate, breaking, validate

__all__ = [
    "BadSchema",
    "CannotValidate",
    "KeyFacts",
    "breaking",
    "check_document",
    "effective",
    "facts",
    "infer",
    "validate",
]
