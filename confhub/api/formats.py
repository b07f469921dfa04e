"""A release as a file, byte for byte the one that is delivered into containers."""

from typing import TYPE_CHECKING

from watchers.render.release import Files, render
from watchers.wire.documents import ReleaseDocument

if TYPE_CHECKING:
    from confhub.releases.models import Release

# What can be answered now, with its media type.
MEDIA_TYPES = {
    "json": "application/json; charset=utf-8",
    "env": "text/plain; charset=utf-8",
}


def written(release: "Release", format: str) -> bytes:  # the contract's word
    """`release` in one of MEDIA_TYPES. Raises nothing: what cannot be a file is never frozen."""
    document = ReleaseDocument(
        service="",
        environment="",
        release=release.number,
        checksum=release.checksum,
        entries=release.entries,
    )
    return render(document, Files(formats=(format,)))[f"config.{format}"]
