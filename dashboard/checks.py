"""A missing front-end build is named at start and not met as an unstyled page."""

from typing import Any

from django.conf import settings
from django.core import checks


def front_end_is_built(**_: Any) -> list[checks.CheckMessage]:
    manifest = settings.FRONTEND_DIST / "manifest.json"
    if manifest.is_file():
        return []
    return [
        checks.Warning(
            f"The front end is not built: {manifest} is missing. Pages work, but unstyled and "
            "without anything live.",
            hint="Run `make up`, or `npm ci && npm run build` in dashboard/frontend.",
            id="confhub.W001",
        )
    ]
