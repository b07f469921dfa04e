"""The newest release and the draft's size of many scopes at once, for pages that list them."""

from collections.abc import Collection

from django.db.models import F, Q

from confhub.catalog.models import Scope
from confhub.releases.models import DraftChange, Release
from confhub.releases.queries import draft_of


def heads_of(scopes: Collection[Scope]) -> dict[int, Release]:
    """{scope row id: its newest release}, without the entries; one query for all of them."""
    newest = Release.objects.filter(scope__in=scopes, number=F("scope__head")).defer("entries")
    return {release.scope_id: release for release in newest}


def draft_sizes(scopes: Collection[Scope]) -> dict[int, int]:
    """{scope row id: how many keys its draft changes}, without scopes whose draft is empty.

    Only drafts with rows are read whole, because a row may say what the release says already.
    """
    drafted = DraftChange.objects.filter(draft__scope__in=scopes).filter(
        Q(removed=True) | ~Q(entry={})
    )
    begun = set(drafted.values_list("draft__scope_id", flat=True))
    sizes = {scope.pk: len(draft_of(scope).changes) for scope in scopes if scope.pk in begun}
    return {pk: size for pk, size in sizes.items() if size}
