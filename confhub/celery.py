"""The Celery application: tasks are found in each folder's tasks.py, settings in settings.py."""

from celery import Celery
from celery.signals import setup_logging

from confhub.env import name_settings_module

name_settings_module()

app = Celery("confhub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Django's LOGGING stands; Celery installs its own where nobody listens here."""
