"""Releases: publish, read, compare, roll back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from confhub.access import queries as access
from confhub.api.auth import who_asks
from confhub.api.consents import consent_of
from confhub.api.idempotency import MAY_REPEAT
from confhub.api.lists import After, Limit, cursor, number_of
from confhub.api.publishes import published_once
from confhub.api.schemas import (
    ChangeOut,
    DiffOut,
    ImageOut,
    OffersOut,
    Page,
    PublicationOut,
    ReleaseIn,
    ReleaseOut,
    ReleaseWithEntries,
    RollbackIn,
)
from confhub.core import clock
from confhub.publishing import actions as publishing
from confhub.publishing import queries as publications
from confhub.publishing.gates import Consent
from confhub.releases import images
from confhub.releases import queries as releases
from confhub.releases.diff import diff

if TYPE_CHECKING:
    from confhub.catalog.models import Scope
    from confhub.publishing.actions import Published
    from confhub.publishing.models import Publication
    from confhub.releases.models import Release

router = Router(tags=["releases"])
PATH = "/services/{service}/environments/{environment}/releases"
_JUST_QUEUED = PublicationOut(
    state="waiting", written_at=None, revision=None, tries=0, last_error=""
)  # what stands in its row a moment after the publish, without a query for it


@router.post(PATH, response={201: ReleaseOut, 200: ReleaseOut}, openapi_extra=MAY_REPEAT)
def publish(
    request: HttpRequest, service: str, environment: str, body: ReleaseIn, response: HttpResponse
) -> Any:
    """Publish the draft, or the newest release with `set` and `unset`.

    201 with the new release; 200 with the current one where nothing would change. etcd is written
    right after the answer; `publication` of the release says when.
    """
    who, now = who_asks(request), clock.now()
    scope = access.scope_for(who, "publish", service, environment)
    consent = consent_of(body)
    if body.image is not None:
        consent = replace(consent, image=images.checked(body.image.model_dump()))

    def act(consent: Consent) -> Status[ReleaseOut]:
        if body.set is None and body.unset is None:
            published = publishing.publish_draft(
                scope, message=body.message, expected_release=body.expected_release,
                consent=consent, who=who, now=now,
            )  # fmt: skip
        else:
            published = publishing.publish_changes(
                scope, set=body.set or {}, unset=body.unset or [], message=body.message,
                expected_release=body.expected_release, consent=consent, who=who, now=now,
            )  # fmt: skip
        return _published(scope, published, response)

    return published_once(request, response, act, consent, who=who, now=now)


@router.get(PATH, response=Page[ReleaseOut])
def list_releases(
    request: HttpRequest, service: str, environment: str, after: After, limit: Limit
) -> Page[ReleaseOut]:
    """The newest first."""
    scope = access.scope_for(who_asks(request), "see", service, environment)
    rows = releases.releases_of(scope, before=number_of(after), limit=limit + 1)
    shown = rows[:limit]
    states = publications.publications_of(shown)
    return Page(
        items=[_out(scope, release, states.get(release.pk)) for release in shown],
        next=cursor(str(shown[-1].number)) if len(rows) > limit else None,
    )


@router.get(PATH + "/{release}", response=ReleaseWithEntries)
def get_release(
    request: HttpRequest, service: str, environment: str, release: int
) -> ReleaseWithEntries:
    """One release with its entries, as containers get them."""
    who = who_asks(request)
    scope = access.scope_for(who, "see", service, environment)
    held = releases.release_for(who, "see", scope, release)
    summary = _out(scope, held, publications.publication_of(held))
    summary.offers = offers_out(scope, images.offers_beside(held))
    return ReleaseWithEntries(**summary.model_dump(), entries=held.shown)


@router.get(PATH + "/{release}/diff", response=DiffOut)
def diff_releases(
    request: HttpRequest, service: str, environment: str, release: int,
    against: Annotated[
        int | None, Query(None, ge=0, description="Another release; the one before where left out.")
    ],
) -> DiffOut:  # fmt: skip
    """What the release has otherwise than another one, key by key."""
    who = who_asks(request)
    scope = access.scope_for(who, "see", service, environment)
    held = releases.release_for(who, "see", scope, release)
    number = held.number - 1 if against is None else against
    older = releases.release_for(who, "see", scope, number).shown if number else {}
    changes = [
        ChangeOut(key=change.key, kind=change.kind, old=change.old, new=change.new)
        for change in diff(older, held.shown)
    ]
    return DiffOut(release=held.number, against=number, changes=changes)


@router.post(
    PATH + "/{release}/rollback",
    response={201: ReleaseOut, 200: ReleaseOut},
    openapi_extra=MAY_REPEAT,
)
def roll_back(
    request: HttpRequest, service: str, environment: str, release: int, response: HttpResponse,
    body: RollbackIn | None = None,
) -> Any:  # fmt: skip
    """Publish the content of an older release under a new number.

    200 with the current one where it has this content already.
    """
    who, now = who_asks(request), clock.now()
    scope = access.scope_for(who, "publish", service, environment)
    asked = body or RollbackIn()

    def act(consent: Consent) -> Status[ReleaseOut]:
        published = publishing.roll_back(
            scope, number=release, message=asked.message, expected_release=asked.expected_release,
            consent=consent, who=who, now=now,
        )  # fmt: skip
        return _published(scope, published, response)

    return published_once(request, response, act, consent_of(asked), who=who, now=now)


def _published(
    scope: "Scope", published: "Published", response: HttpResponse
) -> Status[ReleaseOut]:
    release = published.release
    state = None if published.created else publications.publication_of(release)
    response["Location"] = (
        f"/api/v1/services/{scope.service.slug}/environments/{scope.environment.slug}"
        f"/releases/{release.number}"
    )
    answer = _out(scope, release, state)
    if published.created:
        answer.offers = offers_out(scope, images.offers(release))
    return Status(201 if published.created else 200, answer)


def _out(scope: "Scope", release: "Release", state: "Publication | None") -> ReleaseOut:
    return ReleaseOut(
        service=scope.service.slug,
        environment=scope.environment.slug,
        release=release.number,
        checksum=release.checksum,
        message=release.message,
        author=release.author,
        created_at=clock.stamp(release.created_at),
        parent=release.parent,
        restores=release.restores,
        keys=len(release.entries),
        emergency=release.emergency,
        annotations=release.annotations or {},
        image=image_out(release.image),
        offers=None,
        publication=_publication(state) if state else _JUST_QUEUED,
    )


def image_out(image: Mapping[str, str] | None) -> ImageOut | None:
    return ImageOut(name=image["name"], digest=image["digest"]) if image else None


def offers_out(scope: "Scope", found: images.Offers) -> OffersOut | None:
    """What stands beside a release: an image, or a release with the call that goes back to it."""
    if not found:
        return None
    place = f"/api/v1/services/{scope.service.slug}/environments/{scope.environment.slug}"
    back = f"{place}/releases/{found.release}/rollback" if found.release else None
    return OffersOut(image=image_out(found.image), release=found.release, rollback=back)


def _publication(state: "Publication") -> PublicationOut:
    return PublicationOut(
        state=state.state,  # type: ignore[arg-type]  # its column has these choices
        written_at=clock.stamp(state.written_at) if state.written_at else None,
        revision=state.revision,
        tries=state.tries,
        last_error=state.last_error,
    )
