"""How this process is known to etcd. A module of its own, because settings are read without gRPC."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Credentials:
    """How we are known to etcd. A certificate's common name is the better login than a password."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None  # None with https: the system's authorities
    certificate: Path | None = None
    key: Path | None = None
