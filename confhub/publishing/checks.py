"""System checks: settings with which nothing could ever be published stop the start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from confhub.publishing.store import MAX_BYTES
from confhub.releases.keyring import master_keys
from watchers.wire.keyspace import Keyspace
from watchers.wire.sealing import BadKey


def settings_fit_the_store(**_: Any) -> list[CheckMessage]:
    """E001: etcd would refuse the largest release. E002: no such prefix. E003: no endpoint."""
    found: list[CheckMessage] = []
    largest = settings.CONFHUB_MAX_RELEASE_BYTES
    if not 0 < largest <= MAX_BYTES - 20_000:
        found.append(
            Error(
                f"CONFHUB_MAX_RELEASE_BYTES={largest}: etcd takes 1.5 MiB a request by default.",
                hint=f"Write a number from 1 to {MAX_BYTES - 20_000}.",
                id="confhub.E001",
            )
        )
    try:
        Keyspace(settings.ETCD_PREFIX)
    except ValueError as error:
        found.append(Error(str(error), hint="The default is /confhub/v1.", id="confhub.E002"))
    if not settings.ETCD_ENDPOINTS:
        found.append(
            Error(
                "ETCD_ENDPOINTS is empty.",
                hint="Write host:port, several with commas.",
                id="confhub.E003",
            )
        )
    return found


def master_keys_can_be_used(**_: Any) -> list[CheckMessage]:
    """E004: one of CONFHUB_MASTER_KEYS is no key. None at all is allowed: no secret is kept then."""
    try:
        master_keys()
    except BadKey as error:
        return [
            Error(
                str(error),
                hint="Write KID:BASE64 with 32 bytes in BASE64, several with commas; "
                "`manage.py new_master_key` prints one.",
                id="confhub.E004",
            )
        ]
    return []
