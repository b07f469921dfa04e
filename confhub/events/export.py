"""The audit as JSON lines and as CSV, for whoever keeps it elsewhere."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args

from confhub.events.chain import as_document
from confhub.events.models import AuditEntry

Format = Literal["jsonl", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
MEDIA_TYPES: dict[Format, str] = {
    "jsonl": "application/jsonl; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
COLUMNS = ("position", "at", "actor", "action", "target", "data", "request_id", "digest")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def document(entry: AuditEntry) -> dict[str, Any]:
    """What the digest is over, and the digest."""
    return as_document(entry) | {"digest": entry.digest}


def lines(entries: Iterable[AuditEntry], format: Format) -> Iterator[str]:
    """Lines with their ends; CSV begins with the columns' names."""
    return _csv(entries) if format == "csv" else _jsonl(entries)


def _jsonl(entries: Iterable[AuditEntry]) -> Iterator[str]:
    for entry in entries:
        yield json.dumps(document(entry), ensure_ascii=False, separators=(",", ":")) + "\n"


def _csv(entries: Iterable[AuditEntry]) -> Iterator[str]:
    yield _row(COLUMNS)
    for entry in entries:
        held = document(entry)
        held["data"] = json.dumps(held["data"], ensure_ascii=False, sort_keys=True)
        yield _row([_plain(str(held[column])) for column in COLUMNS])


def _row(cells: Iterable[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()


def _plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: a person may be called `=cmd` or `@x`."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
