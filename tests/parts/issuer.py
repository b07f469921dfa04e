"""An issuer of identity tokens as the forges run one: discovery, a key set, tokens as they sign them."""

import base64
import json
import threading
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


@cache
def private_key(kind: str, number: int = 0) -> Any:
    """One key of its kind for a whole run, because an RSA key takes a while; `number` is another."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:] or 2048))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """The public part as a key set has it."""
    algorithms = jwt.algorithms.get_default_algorithms()
    name = (
        "RS256" if isinstance(key, rsa.RSAPrivateKey)
        else "EdDSA" if isinstance(key, ed25519.Ed25519PrivateKey) else "ES256"
    )  # fmt: skip
    return {**json.loads(algorithms[name].to_jwk(key.public_key())), "kid": kid, **more}


class Issuer:
    """A server on a port of its own. `keys` is what it publishes; `answers` replaces an answer by
    (status, body) at a path; `asked` lists the paths that were asked for."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.held = threading.Event()  # cleared: it does not answer
        self.held.set()
        self._signing: tuple[str, Any, str] = ("RS256", private_key("rsa"), "key-1")
        self.keys.append(jwk(private_key("rsa"), "key-1", use="sig", alg="RS256"))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def stop(self) -> None:
        self.held.set()
        self._server.shutdown()
        self._server.server_close()

    def sign_with(self, algorithm: str, key: Any, kid: str, *, publish: bool = True, **more: Any) -> None:  # fmt: skip
        """Sign what comes with `key`, which is published beside the others."""
        self._signing = (algorithm, key, kid)
        if publish:
            self.keys.append(jwk(key, kid, use="sig", **more))

    def token(self, claims: Mapping[str, Any], headers: Mapping[str, Any] | None = None) -> str:
        algorithm, key, kid = self._signing
        return jwt.encode(
            dict(claims), key, algorithm=algorithm,
            headers={"kid": kid, "typ": "JWT", **(headers or {})},
        )  # fmt: skip

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                issuer.held.wait(30)
                status, body = issuer.answers.get(self.path) or issuer._usual(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler

    def _usual(self, path: str) -> tuple[int, bytes]:
        found: dict[str, Any] | None = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + KEYS},
            KEYS: {"keys": self.keys},
        }.get(path)
        return (404, b"{}") if found is None else (200, json.dumps(found).encode())


def github(issuer: str, *, now: datetime, **other: Any) -> dict[str, Any]:
    """The claims of a job's token at GitHub Actions: valid for five minutes, and ten back."""
    at = int(now.timestamp())
    return {
        "actor": "mona", "actor_id": "583231", "aud": "https://confhub.example", "base_ref": "",
        "check_run_id": "96193868770", "environment": "prod", "event_name": "push", "exp": at + 300,
        "head_ref": "", "iat": at, "iss": issuer,
        "job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
        "job_workflow_sha": "b8962f4eaff8e14fc646cb22c596c81e67d71362",
        "jti": "1e410ab1-302e-4e33-8c5f-869a4bd12c3b", "nbf": at - 300, "ref": "refs/heads/main",
        "ref_protected": "true", "ref_type": "branch", "repository": "acme/shop",
        "repository_id": "1339936803", "repository_owner": "acme", "repository_owner_id": "285964",
        "repository_visibility": "private", "run_attempt": "1", "run_id": "32291736541",
        "run_number": "10", "runner_environment": "github-hosted",
        "sha": "b8962f4eaff8e14fc646cb22c596c81e67d71362",
        "sub": "repo:acme@285964/shop@1339936803:environment:prod", "workflow": "deploy",
        "workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
        "workflow_sha": "b8962f4eaff8e14fc646cb22c596c81e67d71362", **other,
    }  # fmt: skip


def gitlab(issuer: str, *, now: datetime, **other: Any) -> dict[str, Any]:
    """The claims of a job's ID token at GitLab: valid for as long as the job may run."""
    at = int(now.timestamp())
    return {
        "namespace_id": "72", "namespace_path": "acme", "project_id": "20",
        "project_path": "acme/shop", "user_id": "1", "user_login": "mia",
        "user_email": "mia@acme.example", "user_access_level": "owner",
        "user_identities": [{"provider": "github", "extern_uid": "2435223452345"}],
        "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main",
        "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
        "groups_direct": ["acme/platform", "acme/oncall"], "environment": "prod",
        "environment_protected": "true", "deployment_tier": "production",
        "environment_action": "start", "runner_id": 1, "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "project_visibility": "public",
        "ci_config_ref_uri": "gitlab.example.com/acme/shop//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "job_source": "push",
        "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b", "iss": issuer, "iat": at, "nbf": at - 5,
        "exp": at + 3600, "sub": "project_path:acme/shop:ref_type:branch:ref:main",
        "aud": "https://confhub.example", **other,
    }  # fmt: skip


def tampered(token: str, **claims: Any) -> str:
    """The token with other claims and the old signature."""
    header, body, signature = token.split(".")
    held = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    fresh = base64.urlsafe_b64encode(json.dumps({**held, **claims}).encode()).decode().rstrip("=")
    return f"{header}.{fresh}.{signature}"


def unsigned(claims: Mapping[str, Any], **header: Any) -> str:
    """A token without a signature, with any header."""

    def part(held: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(held).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT', **header})}.{part(claims)}."
