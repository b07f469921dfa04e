"""A WebSocket handshake is taken from our own pages only."""

import pytest
from pytest_django import Settings

from dashboard.live.origin import is_same_origin


def handshake(*headers: tuple[str, str], scheme: str = "ws") -> dict[str, object]:
    return {
        "type": "websocket",
        "scheme": scheme,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }


OWN = ("host", "localhost:8000")


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ([OWN, ("origin", "http://localhost:8000")], True),
        ([OWN, ("origin", "HTTP://LOCALHOST:8000")], True),
        ([("host", "localhost"), ("origin", "http://localhost:80")], True),
        ([OWN], False),  # no browser leaves it out
        ([OWN, ("origin", "null")], False),
        ([OWN, ("origin", "https://localhost:8000")], False),
        ([OWN, ("origin", "http://localhost:9000")], False),
        ([OWN, ("origin", "http://localhost")], False),
        ([OWN, ("origin", "http://evil.example:8000")], False),
        ([OWN, ("origin", "http://localhost:8000.evil.example")], False),
        ([OWN, ("origin", "http://localhost:8000"), ("origin", "http://evil.example")], False),
        ([("host", "evil.example"), ("origin", "http://evil.example")], False),
        ([("origin", "http://localhost:8000")], False),
    ],
)
def test_only_the_very_same_origin_passes(headers: list[tuple[str, str]], is_ours: bool) -> None:
    assert is_same_origin(handshake(*headers)) is is_ours


def test_behind_a_proxy_that_ends_tls_the_page_is_https(settings: Settings) -> None:
    forwarded = handshake(
        ("host", "localhost"), ("origin", "https://localhost"), ("x-forwarded-proto", "https")
    )
    assert not is_same_origin(forwarded)

    settings.CONFHUB_HTTPS = True

    assert is_same_origin(forwarded)


def test_an_origin_that_csrf_trusts_passes(settings: Settings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://confhub.example", "https://*.example"]
    host = ("host", "localhost:8000")

    assert is_same_origin(handshake(host, ("origin", "https://confhub.example")))
    assert not is_same_origin(handshake(host, ("origin", "https://other.example")))
