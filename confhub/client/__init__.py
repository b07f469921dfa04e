"""Configuration as a Python program reads it: typed, live, from etcd or from delivered files.

from confhub.client import Config

config = Config(service="shop", environment="prod")
config["MAX_CONNECTIONS"]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from confhub.client.config import Config
    from confhub.client.errors import BadValue, ConfigError, MissingKey, NoConfiguration
    from confhub.client.snapshot import Change, Snapshot

__all__ = [
    "BadValue",
    "Change",
    "Config",
    "ConfigError",
    "MissingKey",
    "NoConfiguration",
    "Snapshot",
]

# Found when they are asked for, because the `confhub` command lives below this package and starts
# without them (https://peps.python.org/pep-0562/).
_HOMES = {
    "Config": "config",
    "BadValue": "errors",
    "ConfigError": "errors",
    "MissingKey": "errors",
    "NoConfiguration": "errors",
    "Change": "snapshot",
    "Snapshot": "snapshot",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
