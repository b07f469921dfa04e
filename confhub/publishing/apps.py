"""The application, with its system checks."""

from django.apps import AppConfig
from django.core.checks import register


class PublishingConfig(AppConfig):
    name = "confhub.publishing"

    def ready(self) -> None:
        from confhub.publishing import checks  # models are ready only now

        register(checks.settings_fit_the_store)
        register(checks.master_keys_can_be_used)
