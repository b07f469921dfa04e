"""The application that every process loads."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "confhub.core"

    def ready(self) -> None:
        import confhub.celery  # noqa: F401  # so that web and commands ring on the configured broker
