"""What one instance said of each release that it met."""

from confhub.catalog.models import Scope
from confhub.fleet.models import Receipt


def receipts_of(
    scope: Scope, instance_id: str, *, before: int | None = None, limit: int = 50
) -> list[Receipt]:
    """The newest release first, below release `before` where given. The last fifty are kept."""
    rows = Receipt.objects.filter(instance__scope=scope, instance__instance_id=instance_id)
    if before is not None:
        rows = rows.filter(release__lt=before)
    return list(rows.order_by("-release")[:limit])
