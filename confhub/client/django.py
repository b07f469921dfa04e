"""Django settings from ConfHub, in three lines of settings.py:

from confhub.client.django import config, overlay
overlay(globals(), "ALLOWED_HOSTS", "EMAIL_HOST")   # read once; a change waits for a restart
LIVE = config.live(Live)                            # settings.LIVE.max_items: always the current one

CONFHUB_SERVICE and CONFHUB_ENVIRONMENT say whose configuration it is, or CONFHUB_DIR where it is.
"""

import re
from collections.abc import MutableMapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from confhub.client.config import Config
from confhub.client.errors import ConfigError
from confhub.client.typed import value_as

# Configuration is data: whoever may publish must not choose what code a machine loads by it.
CHOOSES_CODE = re.compile(
    r"INSTALLED_APPS|TEMPLATES|LOGGING|DATABASES|CACHES|STORAGES|PASSWORD_HASHERS|MIDDLEWARE"
    r"|ROOT_URLCONF|[AW]SGI_APPLICATION|AUTH_PASSWORD_VALIDATORS|LOGGING_CONFIG|DATABASE_ROUTERS"
    r"|.*_(BACKENDS?|CLASS|ENGINE|MODULES?|FINDERS|RUNNER|HANDLERS?|SERIALIZER|FILTER|VIEW|STORAGE)"
)


def _made() -> Config:
    try:
        return Config()
    except ConfigError as error:
        raise ImproperlyConfigured(str(error)) from error


config = _made()


def overlay(settings: MutableMapping[str, Any], *names: str) -> None:
    """Set those of `names` that the release has, each as the type of the default that stands there.

    Django reads most settings once, so a release that changes one says that it waits for a restart.
    Raises ImproperlyConfigured.
    """
    for name in names:
        if not name.isupper() or CHOOSES_CODE.fullmatch(name):
            raise ImproperlyConfigured(
                f"{name} cannot come from ConfHub: it is no setting's name, or chooses code. Set it "
                "in settings.py, from an entry of another name if need be."
            )
        try:
            value = config.at_start(name, None)
            if value is not None and settings.get(name) is not None:
                value = value_as(type(settings[name]), value, where=name)
        except (ConfigError, TypeError) as error:
            raise ImproperlyConfigured(str(error)) from error
        if name in config.current:
            settings[name] = value
