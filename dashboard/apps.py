"""The application of the pages."""

from django.apps import AppConfig
from django.core import checks
from typing_extensions import override


class DashboardConfig(AppConfig):
    name = "dashboard"

    @override
    def ready(self) -> None:
        from dashboard.checks import front_end_is_built

        checks.register(front_end_is_built)
