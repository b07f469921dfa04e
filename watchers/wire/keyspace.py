"""Where each thing stands in etcd (docs/protocols/etcd.md). Names are checked slugs and keys."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Keyspace:
    """The keys below one prefix, by default `/confhub/v1`."""

    prefix: str = "/confhub/v1"

    def __post_init__(self) -> None:
        if not self.prefix.startswith("/") or self.prefix.endswith("/"):
            raise ValueError(f"ETCD_PREFIX={self.prefix!r}: begin with '/' and end without one.")

    @property
    def everything(self) -> str:
        """The prefix of all keys, with its slash, so that `/confhub/v1` does not cover `/confhub/v10`."""
        return f"{self.prefix}/"

    @property
    def epoch(self) -> str:
        return f"{self.prefix}/meta/epoch"

    @property
    def follower(self) -> str:
        """Held under a lease by the one worker that turns statuses into rows."""
        return f"{self.prefix}/meta/follower"

    def scope(self, service: str, environment: str) -> "ScopeKeys":
        return ScopeKeys(f"{self.prefix}/{environment}/{service}")

    def instance_of(self, key: str) -> tuple[str, str, str] | None:
        """(service, environment, instance id) of an instance's key, or None for any other key."""
        parts = key.removeprefix(self.everything).split("/")
        if key.startswith(self.everything) and len(parts) == 4 and parts[2] == "instances":
            return parts[1], parts[0], parts[3]
        return None


@dataclass(frozen=True)
class ScopeKeys:
    """The keys of one service in one environment."""

    root: str

    @property
    def current(self) -> str:
        return f"{self.root}/current"

    @property
    def rollout(self) -> str:
        return f"{self.root}/rollout"

    @property
    def releases(self) -> str:
        return f"{self.root}/releases/"

    def release(self, number: int) -> str:
        """Padded to eight digits, so that etcd's byte order is the numbers' order."""
        return f"{self.root}/releases/{number:08d}"

    @property
    def values(self) -> str:
        return f"{self.root}/keys/"

    def value(self, key: str) -> str:
        return f"{self.root}/keys/{key}"

    @property
    def instances(self) -> str:
        return f"{self.root}/instances/"

    def instance(self, instance_id: str) -> str:
        return f"{self.root}/instances/{instance_id}"
