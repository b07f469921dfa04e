"""Configuration as a Python program reads it: typed, live, from etcd or from delivered files.

from confhub.client import Config

config = Config(service="shop", environment="prod")
config["MAX_CONNECTIONS"]
"""

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
