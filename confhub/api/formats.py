"""A release as a file, byte for byte the one that is delivered into containers."""

from typing import TYPE_CHECKING, ClassVar

from confhub.core.errors import ConfHubError
from confhub.releases.entries import as_document
from watchers.render.errors import CannotRender
from watchers.render.files import Files
from watchers.render.release import render
from watchers.wire.documents import ReleaseDocument

if TYPE_CHECKING:
    from confhub.releases.models import Release

# What can be answered, with its media type.
MEDIA_TYPES = {
    "json": "application/json; charset=utf-8",
    "yaml": "application/yaml; charset=utf-8",
    "env": "text/plain; charset=utf-8",
    "toml": "application/toml; charset=utf-8",
    "properties": "text/plain; charset=utf-8",
}
NAMES = f"{', '.join([*MEDIA_TYPES][:-1])} or {[*MEDIA_TYPES][-1]}"  # for a sentence


class NoSuchForm(ConfHubError):
    """A value of this release has no form in the format that was asked for."""

    code: ClassVar[str] = "format.unfit"
    status: ClassVar[int] = 422


def written(release: "Release", format: str) -> bytes:  # the contract's word
    """`release` in one of MEDIA_TYPES. Raises NoSuchForm: null in TOML, say."""
    document = ReleaseDocument(
        service="",
        environment="",
        release=release.number,
        checksum=release.checksum,
        entries=as_document(release.entries),
    )
    try:
        return render(document, Files(formats=(format,)))[f"config.{format}"]
    except CannotRender as error:
        raise NoSuchForm(str(error), fields={"format": str(error)}) from error
