"""What an identity token must be: signed by its issuer's key, for us, of now, and as it was asked for."""

from datetime import timedelta
from typing import Any

import jwt
import pytest

from confhub.access import oidc
from confhub.access.oidc import BadIdentity, unmet
from tests.parts.factories import NOON, later
from tests.parts.issuer import github, gitlab, jwk, private_key, tampered, unsigned

FORGE, US = "https://forge.example", "https://confhub.example"


def signed(
    claims: dict[str, Any], *, algorithm: str = "RS256", key: Any = None, **header: Any
) -> str:
    return jwt.encode(
        claims, private_key("rsa") if key is None else key, algorithm=algorithm,
        headers={"kid": "key-1", **header},
    )  # fmt: skip


def proven(token: str, key: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    terms = {"issuer": FORGE, "audience": US, "now": NOON, **other}
    return oidc.prove(oidc.read(token), key or jwk(private_key("rsa"), "key-1"), **terms)


@pytest.mark.parametrize("forge", [github, gitlab], ids=["github", "gitlab"])
def test_a_forges_token_is_taken(forge: Any) -> None:
    claims = forge(FORGE, now=NOON)

    assert proven(signed(claims)) == claims


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("RS256", "rsa"), ("RS384", "rsa"), ("RS512", "rsa"), ("PS256", "rsa"), ("PS384", "rsa"),
        ("PS512", "rsa"), ("ES256", "p256"), ("ES384", "p384"), ("EdDSA", "ed25519"),
    ],
)  # fmt: skip
def test_each_algorithm_with_its_key(algorithm: str, kind: str) -> None:
    token = signed(github(FORGE, now=NOON), algorithm=algorithm, key=private_key(kind))
    public = jwk(private_key(kind), "key-1", use="sig", alg=algorithm)

    assert proven(token, public)["repository"] == "acme/shop"
    del public["alg"]
    assert proven(token, public)["repository"] == "acme/shop"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"alg": "RS384"}, "not one to sign with RS256"),
        ({"use": "enc"}, "not one to sign with RS256"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "not one to sign with RS256"),
        ({"n": "AQAB"}, "too weak|cannot be read"),
        ({"n": "A" * 4000}, "too large"),
        ({"n": "!"}, "cannot be read"),
        ({"e": None}, "cannot be read"),
    ],
    ids=["other-algorithm", "encryption", "symmetric", "tiny", "huge", "no-base64", "half"],
)
def test_a_key_of_another_kind_proves_nothing(other: dict[str, Any], says: str) -> None:
    with pytest.raises(BadIdentity, match=says):
        proven(signed(github(FORGE, now=NOON)), jwk(private_key("rsa"), "key-1") | other)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_short_rsa_key_is_too_weak() -> None:
    token = signed(github(FORGE, now=NOON), key=private_key("rsa1024"))

    with pytest.raises(BadIdentity, match="too weak"):
        proven(token, jwk(private_key("rsa1024"), "key-1"))


def test_another_key_has_not_signed_it() -> None:
    with pytest.raises(BadIdentity, match="signature"):
        proven(signed(github(FORGE, now=NOON)), jwk(private_key("rsa", 2), "key-1"))


def test_a_changed_claim_breaks_the_signature() -> None:
    token = signed(github(FORGE, now=NOON, repository="mallory/shop"))

    with pytest.raises(BadIdentity, match="signature"):
        proven(tampered(token, repository="acme/shop"))


def test_the_public_key_is_no_secret_to_sign_with() -> None:
    """The old confusion of RS256 with HS256, by hand, because the library refuses to make one."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from jwt.utils import base64url_encode

    pem = private_key("rsa").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # fmt: skip
    told = unsigned(github(FORGE, now=NOON), alg="HS256", kid="key-1").rstrip(".")
    mac = hmac.new(pem, told.encode(), hashlib.sha256).digest()

    with pytest.raises(BadIdentity, match="'HS256'"):
        proven(f"{told}.{base64url_encode(mac).decode()}")


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("", "no identity token"),
        ("cht_a-token-of-ours", "no identity token"),
        ("a.b.c", "no identity token"),
        ("Grüße.aus.Köln", "no identity token"),
        ("\ud800.a.b", "no identity token"),
        ("x" * 16_385, "16,385 characters"),
        (unsigned({"iss": FORGE}), "'none'"),
        (unsigned({"iss": FORGE}, alg="NONE"), "'NONE'"),
        (unsigned({"iss": FORGE}, alg="HS256", kid="k"), "'HS256'"),
        (unsigned({"iss": FORGE}, alg="RS256"), "with which key"),
        (unsigned({"iss": FORGE}, alg="RS256", kid=""), "with which key"),
        (unsigned({"iss": FORGE}, alg="RS256", kid=7), "no identity token"),
        (unsigned({"iss": FORGE}, alg=["RS256"], kid="k"), "no identity token|signed with"),
        (unsigned({"iss": FORGE}, alg="RS256", kid="k", crit=["exp"]), "no identity token"),
        (unsigned({"iss": FORGE}, alg="RS256", kid="k", crit=["b64"], b64=True), "critical"),
        (unsigned({"iss": 7}, alg="RS256", kid="k"), "who issued it|no identity token"),
        (unsigned({}, alg="RS256", kid="k"), "who issued it"),
        (unsigned([], alg="RS256", kid="k"), "no identity token"),  # type: ignore[arg-type]
    ],
    ids=[
        "empty", "ours", "words", "umlauts", "surrogate", "large", "none", "NONE", "symmetric",
        "no-kid", "empty-kid", "number-kid", "list-alg", "crit", "b64",
        "number-iss", "no-iss", "list",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_before_anybody_is_asked(token: str, says: str) -> None:
    with pytest.raises(BadIdentity, match=says):
        oidc.read(token)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"iss": "https://forge.example/"}, "signature"),
        ({"aud": "https://elsewhere.example"}, "another audience"),
        ({"aud": ["a", "b"]}, "another audience"),
        ({"aud": None}, "`aud`|audience"),
        ({"sub": None}, "`sub`"),
        ({"exp": None}, "`exp`"),
        ({"iat": None}, "`iat`"),
        ({"exp": "soon"}, "`exp` is no time"),
        ({"exp": 1e300}, "`exp` is no time"),
        ({"iat": True}, "`iat` is no time"),
        ({"nbf": []}, "`nbf` is no time"),
    ],
    ids=[
        "issuer", "audience", "audiences", "no-aud", "no-sub", "no-exp", "no-iat", "word", "huge",
        "bool", "list",
    ],
)  # fmt: skip
def test_a_claim_that_is_wrong_is_named(other: dict[str, Any], says: str) -> None:
    claims = {name: held for name, held in github(FORGE, now=NOON, **other).items() if held is not None}  # fmt: skip

    with pytest.raises(BadIdentity, match=says):
        proven(signed(claims))


def test_one_of_several_audiences_is_enough() -> None:
    assert proven(signed(github(FORGE, now=NOON, aud=["https://vault.example", US])))


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [(-331, False), (-330, True), (0, True), (329, True), (330, False)],
    ids=["early", "early-enough", "at-once", "late-enough", "late"],
)
def test_it_is_valid_for_its_time_and_half_a_minute_around_it(seconds: int, taken: bool) -> None:
    claims = github(FORGE, now=NOON)
    claims["iat"] = claims["nbf"]  # five minutes before

    def prove() -> None:
        proven(signed(claims), now=later(seconds))

    if taken:
        prove()
        return
    with pytest.raises(BadIdentity, match="valid"):
        prove()


def test_it_cannot_come_from_the_future() -> None:
    claims = github(FORGE, now=NOON + timedelta(minutes=1))

    with pytest.raises(BadIdentity, match="not valid yet"):
        proven(signed(claims))


@pytest.mark.parametrize(
    ("pattern", "held", "met"),
    [
        ("acme/shop", "acme/shop", True),
        ("acme/shop", "acme/shop2", False),
        ("acme/shop", "Acme/shop", False),
        ("acme/*", "acme/shop", True),
        ("acme/*", "acme/", True),
        ("acme/*", "acmeevil/shop", False),
        ("*/shop", "evil/acme/shop", True),
        ("refs/heads/*", "refs/heads/a/b", True),
        ("refs/heads/release-*-ok", "refs/heads/release-1-ok", True),
        ("refs/heads/release-*-ok", "refs/heads/release-ok", False),
        ("a*a", "a", False),
        ("*b*b*", "xbx", False),
        ("*b*b*", "xbxb", True),
        ("*", "", True),
        ("[a-z]", "a", False),
        ("a?c", "abc", False),
        ("a.c", "abc", False),
        ("acme/platform", ["acme/oncall", "acme/platform"], True),
        ("acme/platform", ["acme/oncall", 7, None, ["acme/platform"]], False),
        ("acme/platform", [], False),
        ("1", 1, True),
        ("1", 1.0, False),
        ("true", True, True),
        ("True", True, False),
        ("*", None, False),
        ("*", {"a": "b"}, False),
    ],
)
def test_a_condition(pattern: str, held: Any, met: bool) -> None:
    assert (unmet({"claim": pattern}, {"claim": held}) == []) is met


def test_every_condition_has_to_be_met() -> None:
    wanted = {"repository": "acme/*", "ref": "refs/heads/main", "environment": "prod"}
    claims = github(FORGE, now=NOON, ref="refs/heads/x")
    del claims["environment"]

    assert unmet(wanted, claims) == ["ref", "environment"]


def test_a_hostile_text_takes_no_time() -> None:
    pattern = "*a*a*a*a*b"

    assert unmet({"x": pattern}, {"x": "a" * 16_000}) == ["x"]
