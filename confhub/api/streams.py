"""Server-Sent Events of a scope's releases: what goes over the wire. docs/rest/watch.md describes it.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import random
import re

from django.http import HttpResponse

from confhub.api.bodies import BadHeader

MEDIA_TYPE = "text/event-stream"
BEAT = b": heartbeat\n\n"  # a comment, which clients pass over
RETRY_MS = (1000, 4000)  # of a client's choice, so that not all of them come back at once
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_LARGEST = 2**31 - 1


def seen_release(header: str | None) -> int:
    """The release that `Last-Event-ID` names, 0 where it is not sent. Raises BadHeader."""
    if header is None or header == "":
        return 0  # browsers send none before the first event
    if not _NUMBER.fullmatch(header) or int(header) > _LARGEST:
        raise BadHeader(
            f"Last-Event-ID: {header[:40]!r} is no release. Send the id of the last event that came, "
            "or leave it out.",
            fields={"Last-Event-ID": "Not the number of a release."},
        )
    return int(header)


def begun() -> HttpResponse:
    """The head of a stream; its body is left to whoever sends it."""
    response = HttpResponse(content_type=MEDIA_TYPE)
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would keep events until its buffer is full
    return response


def opening() -> bytes:
    """The first words: after how long to come back once the stream has ended."""
    return b"retry: %d\n\n" % random.randint(*RETRY_MS)  # noqa: S311  # jitter, not a secret


def release_event(number: int, document: bytes) -> bytes:
    """One release; `document` is JSON on one line. Other kinds of events get other names."""
    return b"id: %d\nevent: release\ndata: %s\n\n" % (number, document)
