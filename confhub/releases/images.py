"""The image that a release was made for, and what a step back on one side offers on the other."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from confhub.core.errors import ConfHubError
from confhub.releases.models import Release

MAX_NAME_CHARS = 300
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class BadImage(ConfHubError):
    """Not the name of an image with the digest of its manifest."""

    code: ClassVar[str] = "image.bad"
    status: ClassVar[int] = 422


@dataclass(frozen=True)
class Offers:
    """The other half of a step back: the image that a restored configuration was made for, or the
    release that last ran with an image that comes back. At most one of the two."""

    image: dict[str, str] | None = None
    release: int | None = None

    def __bool__(self) -> bool:
        return self.image is not None or self.release is not None


def checked(image: Mapping[str, Any]) -> dict[str, str]:
    """{"name", "digest"} as it is kept. Raises BadImage."""
    name, digest = image.get("name"), image.get("digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        sentence = "Write the manifest's digest: sha256: and 64 small hexadecimal digits."
        raise BadImage(f"The image's digest cannot be kept. {sentence}", fields={"image": sentence})
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= MAX_NAME_CHARS
        or not name.isprintable()
        or " " in name
    ):
        sentence = (
            f"Write 1 to {MAX_NAME_CHARS} characters without spaces, such as ghcr.io/acme/shop."
        )
        raise BadImage(f"The image's name cannot be kept. {sentence}", fields={"image": sentence})
    return {"name": name, "digest": digest}


def digest_of(release: Release | None) -> str:
    """ "" where it is not known which image the release was made for."""
    return str(release.image["digest"]) if release is not None and release.image else ""


def is_another(image: Mapping[str, str] | None, head: Release | None) -> bool:
    """Would a release for `image` (None: whatever `head` was made for) pin another one than `head`?"""
    return image is not None and image.get("digest") != digest_of(head)


def offers(release: Release) -> Offers:
    """What goes with `release`, which changed the image against the one before it. One or two queries,
    none for a release that names no image."""
    if not release.image or release.parent is None:
        return Offers()
    of_scope = Release.objects.filter(scope_id=release.scope_id)
    parent = of_scope.filter(number=release.parent).only("image").first()
    if not digest_of(parent) or digest_of(parent) == digest_of(release):
        return Offers()
    if release.restores is not None:
        return Offers(image=release.image)
    older = of_scope.filter(number__lt=release.number, image__digest=digest_of(release))
    held = older.order_by("-number").values_list("number", "checksum").first()
    return Offers(release=held[0]) if held and held[1] != release.checksum else Offers()


def offers_beside(release: Release) -> Offers:
    """What is offered where one looks at `release`: of the newest one what goes with it, of an older
    one its image, where the newest was made for another. No query for one that names no image."""
    if not release.image:
        return Offers()
    rows = Release.objects.filter(scope_id=release.scope_id).order_by("-number")
    head = rows.only("number", "image").first()
    if head is None or head.number == release.number:
        return offers(release)
    return Offers(image=release.image) if digest_of(release) != digest_of(head) else Offers()
