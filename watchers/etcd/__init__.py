"""The one place that speaks to etcd: reads, transactions, leases, and follow(), which never goes deaf.

Why not the client package alone, and what is believed of etcd: docs/decisions/0002-etcd-client.md.
"""

from watchers.credentials import Credentials
from watchers.etcd.errors import (
    Denied,
    EtcdError,
    LeaseGone,
    OutcomeUnknown,
    Refused,
    StoreFull,
    Unreachable,
)
from watchers.etcd.following import Snapshot
from watchers.etcd.operations import (
    Compare,
    Op,
    Result,
    Stored,
    delete,
    delete_prefix,
    get,
    get_prefix,
    mod_revision_is,
    put,
    value_is,
)
from watchers.etcd.store import Etcd

__all__ = [
    "Compare",
    "Credentials",
    "Denied",
    "Etcd",
    "EtcdError",
    "LeaseGone",
    "Op",
    "OutcomeUnknown",
    "Refused",
    "Result",
    "Snapshot",
    "StoreFull",
    "Stored",
    "Unreachable",
    "delete",
    "delete_prefix",
    "get",
    "get_prefix",
    "mod_revision_is",
    "put",
    "value_is",
]
