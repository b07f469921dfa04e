"""Identity tokens of CI jobs: JSON Web Tokens that their forge signed. No rows here.

RFC 7519 (JWT), RFC 8725 (what goes wrong with them), OpenID Connect Core 1.0 section 3.1.3.7.
What GitHub and GitLab put into theirs:
https://docs.github.com/en/actions/reference/security/oidc
https://docs.gitlab.com/ci/secrets/id_token_authentication/
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import jwt

from confhub.access.issuers import Jwk
from confhub.core.errors import ConfHubError

MAX_TOKEN_CHARS = 16 * 1024  # GitLab's with 200 groups has about 12 thousand
MAX_KEY_CHARS = 2048  # of one number of a key in base64: RSA of 12 thousand bits
LEEWAY_S = 30.0  # two clocks are seldom the same
# The algorithm, and what its key must be: (kty, crv). Nothing symmetric, because a public key is
# no secret to sign with; never "none". The token's header chooses among these only.
ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
_PUBLIC = ("kty", "crv", "n", "e", "x", "y")  # of a key; an issuer may say too much


class BadIdentity(ConfHubError):
    """The identity token is none, is not from whom it says, or is not for here and now."""

    code: ClassVar[str] = "oidc.token_bad"
    status: ClassVar[int] = 401


@dataclass(frozen=True)
class Unproven:
    """What a token says of itself, before anybody looked at its signature."""

    token: str = field(repr=False)
    algorithm: str
    kid: str
    issuer: str
    audiences: frozenset[str]


def read(token: str) -> Unproven:
    """Raises BadIdentity for what cannot be an identity token, whoever signed it."""
    if len(token) > MAX_TOKEN_CHARS:
        raise BadIdentity(
            f"The identity token has {len(token):,} characters; at most {MAX_TOKEN_CHARS:,} are read."
        )
    try:
        said = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, UnicodeEncodeError) as error:
        raise BadIdentity(
            "This is no identity token. Send the JSON Web Token as the forge gave it to the job, "
            "three parts with dots between them."
        ) from error
    header, claims = said["header"], said["payload"]
    algorithm, kid, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise BadIdentity(
            f"The identity token is signed with {str(algorithm)[:20]!r}; "
            f"{', '.join(ALGORITHMS)} are taken."
        )
    if header.get("crit") is not None:  # RFC 7515 section 4.1.11: what is not understood is refused
        raise BadIdentity("The identity token has a critical extension, and none is known here.")
    if not isinstance(kid, str) or not kid:
        raise BadIdentity("The identity token does not say with which key it is signed (`kid`).")
    if not isinstance(issuer, str):
        raise BadIdentity("The identity token does not say who issued it (`iss`).")
    return Unproven(token, algorithm, kid, issuer, _audiences(claims.get("aud")))


def prove(said: Unproven, key: Jwk, *, issuer: str, audience: str, now: datetime) -> dict[str, Any]:
    """The claims, once the token is known to be the issuer's, for `audience`, and of now.

    `key` is the issuer's of the token's `kid`; `now` an aware UTC time. Raises BadIdentity.
    """
    public = _public_key(said, key)
    try:
        claims = jwt.decode(
            said.token, public, algorithms=[said.algorithm], issuer=issuer, audience=audience,
            options={
                "require": ["iss", "sub", "aud", "exp", "iat"],
                "verify_exp": False, "verify_nbf": False, "verify_iat": False,  # below, by `now`
                "enforce_minimum_key_length": True,
            },
        )  # fmt: skip
    except jwt.InvalidAudienceError as error:
        raise not_for(audience) from error
    except jwt.MissingRequiredClaimError as error:
        raise BadIdentity(f"The identity token has no claim `{error.claim}`.") from error
    except jwt.InvalidKeyError as error:
        raise BadIdentity(f"The issuer's key is too weak: {error}") from error
    except jwt.PyJWTError as error:
        raise BadIdentity(
            f"The signature of the identity token is not that of {issuer}'s key."
        ) from error
    _check_times(claims, now=now)
    return claims


def unmet(wanted: Mapping[str, str], claims: Mapping[str, Any]) -> list[str]:
    """The names of those claims that are not as wanted; of a list, one has to be.

    `*` in what is wanted stands for any number of any characters, "/" among them.
    """
    return [name for name, pattern in wanted.items() if not _is_met(pattern, claims.get(name))]


def _is_met(pattern: str, held: Any) -> bool:
    if isinstance(held, list):
        return any(_is_met(pattern, each) for each in held if not isinstance(each, list))
    if isinstance(held, bool):
        return _fits(pattern, "true" if held else "false")
    if isinstance(held, int):
        return _fits(pattern, str(held))
    return isinstance(held, str) and _fits(pattern, held)


def _fits(pattern: str, text: str) -> bool:
    """By hand, because a regular expression of many stars may take minutes for a hostile text."""
    first, *parts = pattern.split("*")
    if not parts:
        return pattern == text
    last = parts.pop()
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in parts:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _public_key(said: Unproven, key: Jwk) -> jwt.PyJWK:
    kty, crv = ALGORITHMS[said.algorithm]
    fits = key.get("kty") == kty and (crv is None or key.get("crv") == crv)
    # A key that is published for one algorithm is used with no other (RFC 8725 section 3.1).
    if not fits or key.get("alg") not in (None, said.algorithm) or key.get("use") not in (None, "sig"):  # fmt: skip
        raise BadIdentity(
            f"The issuer's key {said.kid[:80]!r} is not one to sign with {said.algorithm}."
        )
    public = {name: key[name] for name in _PUBLIC if isinstance(key.get(name), str)}
    if any(len(part) > MAX_KEY_CHARS for part in public.values()):
        raise BadIdentity(f"The issuer's key {said.kid[:80]!r} is too large to be used.")
    try:
        return jwt.PyJWK(public, algorithm=said.algorithm)
    except (jwt.PyJWTError, ValueError, KeyError) as error:
        raise BadIdentity(f"The issuer's key {said.kid[:80]!r} cannot be read.") from error


def _check_times(claims: Mapping[str, Any], *, now: datetime) -> None:
    at = now.timestamp()
    expires, issued, since = (_moment(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None or at >= expires + LEEWAY_S:
        raise BadIdentity("The identity token is no longer valid. Ask the forge for a new one.")
    if max(issued or 0.0, since or 0.0) > at + LEEWAY_S:
        raise BadIdentity(
            "The identity token is not valid yet. Compare this server's clock with the forge's."
        )


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    """Seconds since 1970, in which fractions may be. Raises BadIdentity."""
    held = claims.get(name)
    if held is None and name == "nbf":
        return None
    if isinstance(held, bool) or not isinstance(held, int | float) or not 0 <= held < 2**53:
        raise BadIdentity(f"The identity token's claim `{name}` is no time.")
    return float(held)


def _audiences(held: Any) -> frozenset[str]:
    found = held if isinstance(held, list) else [held]
    return frozenset(each for each in found if isinstance(each, str))


def not_for(audience: str) -> BadIdentity:
    return BadIdentity(
        f"The identity token is for another audience. Ask the forge for one for {audience!r}."
    )
