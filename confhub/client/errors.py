"""What can be wrong with a configuration, each in a sentence that names the way out."""


class ConfigError(Exception):
    """Anything that the client raises about a configuration."""


class NoConfiguration(ConfigError):
    """There is nothing to read, neither from etcd nor on disk. The text says why."""


class BadValue(ConfigError, ValueError):
    """An entry is not what the program needs; it names the entry, the wanted type and what is there.

    It never holds the value itself, because it travels into logs and receipts.
    """


class MissingKey(ConfigError, KeyError):
    """The release has no such entry."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show its repr
