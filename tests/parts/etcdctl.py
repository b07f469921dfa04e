"""etcd asked over its JSON gateway: another client than the one under test, and no extra program."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any


def call(
    endpoint: str, path: str, body: dict[str, Any], *, timeout_s: float = 5.0, token: str = ""
) -> dict[str, Any]:
    """POST `body` to etcd's gateway (`/v3/kv/range`, …) and return its answer."""
    request = urllib.request.Request(  # always http to loopback
        f"http://{endpoint}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **({"Authorization": token} if token else {})},
    )
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
        held: dict[str, Any] = json.load(answer)
    return held


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def health(endpoint: str) -> bool:
    """True when a linearizable read is answered."""
    try:
        call(endpoint, "/v3/kv/range", {"key": b64("health")}, timeout_s=1.0)
    except (OSError, urllib.error.URLError, ValueError):
        return False
    return True


def put(endpoint: str, key: str, value: str | bytes) -> int:
    """Write one key; return the store's revision after it."""
    answer = call(endpoint, "/v3/kv/put", {"key": b64(key), "value": b64(value)})
    return int(answer["header"]["revision"])


def get(endpoint: str, key: str) -> bytes | None:
    kvs = call(endpoint, "/v3/kv/range", {"key": b64(key)}).get("kvs", [])
    return base64.b64decode(kvs[0].get("value", "")) if kvs else None


def get_prefix(endpoint: str, prefix: str) -> dict[str, bytes]:
    """{key: value} of everything below `prefix`."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    answer = call(endpoint, "/v3/kv/range", {"key": b64(prefix), "range_end": b64(end)})
    return {
        base64.b64decode(kv["key"]).decode(): base64.b64decode(kv.get("value", ""))
        for kv in answer.get("kvs", [])
    }


def delete_prefix(endpoint: str, prefix: str) -> None:
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    call(endpoint, "/v3/kv/deleterange", {"key": b64(prefix), "range_end": b64(end)})


def compact(endpoint: str, revision: int) -> None:
    call(endpoint, "/v3/kv/compaction", {"revision": revision, "physical": True})
