"""How every documented refusal comes about: one request, and what has to be so before it."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from confhub.webhooks.models import WebhookDelivery

AS_IT_IS = object()
NOBODY_KNOWS = {
    "service": "nope", "environment": "nope", "slug": "nope", "name": "nope", "hook": "nope",
    "instance": "nope", "key": "NOPE", "number": 99999, "release": 99999, "grant": 99999,
    "freeze": 99999, "delivery": 99999, "message_id": "nope",
}  # fmt: skip
_TOO_NEW = '"999999999"'


@dataclass(frozen=True)
class Ask:
    """A request, as a change of the call's row in the permission matrix."""

    body: Any = AS_IT_IS  # bytes: sent as they are
    more: Mapping[str, Any] = field(default_factory=dict)  # fields beside those of the row's body
    args: Mapping[str, Any] = field(default_factory=dict)  # other parts of the address
    query: str | None = None  # in place of the row's
    who: str = "admin"
    headers: Mapping[str, str | None] = field(default_factory=dict)  # None: without it
    settings: Mapping[str, Any] = field(default_factory=dict)
    # (method, path, body) of what happens first, and who does it where that is not admin
    before: Sequence[tuple[Any, ...]] = ()
    rows: Callable[[], object] | None = None  # what no call could bring about
    times: int = 1  # the answer of the last one counts
    database: bool = True  # False: it does not answer


NO_KEYS = {"CONFHUB_MASTER_KEYS": ""}
NEW_SECRET = {"set": {"FRESH": {"$secret": "of-nobody"}}}
STALE = Ask(more={"expected_release": 99})
TRUST = {
    "name": "new", "issuer": "https://forge.example", "audience": "here",
    "claims": {"project": "billing"}, "person": "admin",
    "reach": [{"verbs": ["see"], "service": "billing"}],
}  # fmt: skip
TLS, DEV = "/layers/sets/tls", "/services/billing/environments/dev"


PUBLIC = "https://93.184.215.14/here"  # an address that needs no name server
# Only `properties` takes POOL, so a schema without it would refuse what stands there.
CLOSED = {
    "type": "object", "properties": {"POOL": {}}, "additionalProperties": False,
    "patternProperties": {"^[^P]": {}, "^PA": {}},
}  # fmt: skip
HOOK_SECRET = "a-secret-of-more-than-thirty-two-letters"
SIGNED = {"name": "signed", "kind": "github", "secret": HOOK_SECRET, "service": "billing",
          "environment": "dev", "mapping": {"set": {"POOL": {"pointer": "/pool"}}}}  # fmt: skip
MAKES_HOOK = ("POST", "/deploy-hooks", SIGNED)


def _signed(body: bytes, *before: tuple[Any, ...]) -> Ask:
    """What GitHub would send to a hook that was made a moment ago."""
    digest = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Event": "deployment",
        "X-GitHub-Delivery": "d-1",
    }  # fmt: skip
    return Ask(body, args={"hook": "signed"}, headers=headers, before=before or (MAKES_HOOK,))


def _identity(issuer: str) -> dict[str, str]:
    """The form of an identity token, signed by nobody."""
    said = [{"alg": "RS256", "kid": "k", "typ": "JWT"},
            {"iss": issuer, "aud": "here", "sub": "s", "exp": 4102444800, "iat": 1, "nbf": 1}]  # fmt: skip
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode() for each in said]
    return {"token": ".".join([*(each.rstrip("=") for each in parts), "c2ln"])}


def _told_of_a_release() -> None:
    """A test is sent again to a webhook that is off, what happened is not."""
    WebhookDelivery.objects.update(kind="release.published")


def _overtaken(place: str, targets: Any) -> list[tuple[str, str, Any]]:
    """The draft has a key that a release changed after the draft's base."""
    release = {"message": "m", "set": {"NEW": 2}} | ({} if targets is None else {"targets": []})
    first = {"message": "m", "set": {"OTHER": 1}} | ({} if targets is None else {"targets": []})
    return [
        ("POST", f"{place}/releases", first),
        ("PATCH", f"{place}/draft", {"set": {"NEW": 1}}),
        ("POST", f"{place}/releases", release),
    ]


# (pattern of "METHOD /path", status, how). The first that fits counts, before the general ones.
SPECIAL: list[tuple[str, int, Ask]] = [
    # drafts
    (r"PATCH .*/draft", 409, Ask(NEW_SECRET, settings=NO_KEYS)),
    (r"POST .*/draft/import", 409,
     Ask(settings=NO_KEYS, more={"source": "json", "text": '{"FRESH": {"$secret": "x"}}'})),
    (r"PUT .*/draft/text", 409, Ask({"text": "FRESH: {$secret: x}"}, settings=NO_KEYS)),
    (r"POST .*/draft/(undo|redo)", 409, Ask()),
    (r"POST .*/draft/rename", 409, Ask({"from": "PASSWORD", "to": "OTHER"}, settings=NO_KEYS)),
    (r"POST .*/draft/rename", 412, Ask(headers={"If-Match": _TOO_NEW})),
    (r"POST .*/draft/rebase", 409, STALE),
    (r".*/draft/text", 412,
     Ask(headers={"If-Match": '"999999999.999999999"'},
         before=[("PUT", "{place}/draft/text?format=yaml", {"text": "NEW: 1"})])),
    (r"POST .*/draft/(undo|redo)", 412,
     Ask(before=[("PATCH", "{place}/draft", {"set": {"NEW": 1}}),
                 ("POST", "{place}/draft/{opposite}", {})],
         headers={"If-Match": _TOO_NEW})),
    (r"PATCH /services/\{service\}/all", 409,
     Ask(more={"set": {"dev": {"$secret": "x"}}, "key": "FRESH"}, settings=NO_KEYS)),
    (r"PATCH /services/\{service\}/all", 412, Ask(more={"versions": {"dev": 0}})),
    (r"POST /edits", 400, Ask(b"{")),
    (r"POST /edits", 404, Ask([{"place": "nope@dev", "if_match": "*"}])),
    (r"POST /edits", 409, Ask([{"place": "global", **NEW_SECRET, "if_match": "*"}], settings=NO_KEYS)),
    (r"POST /edits", 412, Ask([{"place": "global", "set": {"A": 1}, "if_match": _TOO_NEW}])),
    (r"POST /edits", 428, Ask([{"place": "global", "set": {"A": 1}}])),
    (r"POST .*/promote", 409, STALE),
    (r"POST .*/promote", 412, Ask(more={"expected_draft": 0})),
    (r"GET .*/promote", 404, Ask(query="from=prod&to=nope")),
    (r"GET .*/promote", 422, Ask(query="from=dev&to=dev")),
    # releases
    (r"POST .*/services/\{service\}/environments/.*/releases", 412,
     Ask({"message": "m"}, before=_overtaken(DEV, None))),
    (r"POST /layers/global/releases", 412,
     Ask({"message": "m", "targets": []}, before=_overtaken("/layers/global", []))),
    (r"POST /layers/\{kind\}/\{slug\}/releases", 412,
     Ask({"message": "m", "targets": []}, before=_overtaken(TLS, []))),
    (r"POST .*/(releases|rollback|layers/take)", 409, STALE),
    (r"POST .*/reveal", 409, Ask(settings=NO_KEYS)),
    # requests
    (r"POST /services/.*/requests", 409,
     Ask(times=2, before=[("POST", "{place}/draft/rebase", {"expected_release": 3})])),
    (r"POST .*/requests", 409,
     Ask(times=2, before=[("PATCH", "{place}/draft", {"set": {"NEW": 1}})])),
    (r"POST .*/requests", 412, Ask(more={"expected_draft": 99})),
    (r"POST /requests/\{number\}/(approve|reject|withdraw|publish)", 409,
     Ask(before=[("POST", "/requests/{number}/withdraw", {})])),
    # the catalog
    (r"POST /(services|environments|layers/sets)", 409, Ask(times=2)),
    (r"DELETE /people/.*", 409, Ask(args={"name": "admin", "grant": "ADMIN"})),
    (r"DELETE .*/schema/keys/\{key\}", 409,
     Ask(before=[("PUT", "/services/billing/schema", {"document": CLOSED})])),
    (r"DELETE .*", 409, Ask()),
    (r"PATCH /people/.*", 409, Ask(args={"name": "admin"}, more={"active": False})),
    (r"PATCH /(services|environments)/\{\w+\}", 412, Ask(headers={"If-Match": '"old"'})),
    (r"PUT .*/schema", 409, Ask({"document": CLOSED, "expected_number": 99})),
    (r"PUT .*/schema/keys/\{key\}", 409, Ask(more={"expected_number": 99})),
    (r"POST /people", 409, Ask(times=2)),
    # tokens, trusts, hooks
    (r"POST /webhooks", 409, Ask({"name": "chat", "to": PUBLIC})),
    (r"PATCH /webhooks/\{name\}", 409,
     Ask({"to": "https://hooks.slack.com/services/A/B/C"}, args={"name": "slack"},
         settings=NO_KEYS,
         before=[("POST", "/webhooks", {"name": "slack", "to": PUBLIC, "form": "slack"})])),
    (r"POST /(webhooks|publish-hooks|deploy-hooks)/\{name\}/secret", 409, Ask(settings=NO_KEYS)),
    (r"POST /webhooks/.*/redeliver", 409, Ask(before=[("PATCH", "/webhooks/chat", {"on": False})], rows=_told_of_a_release)),
    (r"POST /publish-hooks/\{name\}/test", 409,
     Ask({"service": "fresh", "environment": "dev"}, args={"name": "after"}, query="",
         before=[("POST", "/services", {"slug": "fresh"}),
                 ("POST", "/publish-hooks", {"name": "after", "when": "after", "url": PUBLIC})])),
    (r"POST /deploy-hooks/\{name\}/preview", 409, Ask(args={"name": "signed"}, before=[MAKES_HOOK])),
    (r"POST /deploy-hooks/.*/retry", 409, Ask(before=[("PATCH", "/deploy-hooks/ship", {"on": False})])),
    (r"POST /hooks/deploy/\{hook\}", 400, _signed(b"{")),
    (r"POST /hooks/deploy/\{hook\}", 403,
     _signed(b'{"pool": 1}', (*MAKES_HOOK, "publisher"),
             ("DELETE", "/people/publisher/grants/{publisher_grant}", None))),
    (r"POST /hooks/deploy/\{hook\}", 404, Ask(args={"hook": "a%00b"})),
    (r"POST /hooks/deploy/\{hook\}", 409,
     _signed(b'{"pool": 1}', MAKES_HOOK, ("PATCH", "/deploy-hooks/signed", {"on": False}))),
    (r"POST /oidc/exchange", 401, Ask({"token": "x"})),
    (r"POST /oidc/exchange", 403, Ask(_identity("https://nobody.example"))),
    (r"POST /oidc/exchange", 503, Ask(_identity("https://forge.example"), database=False)),
    (r"POST /(tokens|publish-hooks|deploy-hooks)", 409, Ask(times=2)),
    (r"POST /tokens/\{name\}/rotate", 409, Ask(times=2)),
    (r"POST /tokens", 404, Ask(more={"owner": "nope"})),
    (r"GET /tokens", 404, Ask(query="owner=nope")),
    (r"POST /trusts", 404, Ask({**TRUST, "person": "nope"})),
    (r"POST /trusts", 409, Ask(TRUST, times=2)),
    (r"POST /webhooks", 404, Ask({"name": "new", "to": PUBLIC, "service": "nope"})),
    (r"POST /(publish-hooks|deploy-hooks)", 404, Ask(more={"service": "nope"})),
    # lists and searches
    (r"GET /compare", 404, Ask(query="a=nope@dev&b=billing@dev")),
    (r"GET /compare", 422, Ask(query="a=x&b=y")),
    (r"GET /search", 422, Ask(query="q=x&limit=0")),
    (r"GET /requests", 422, Ask(query="mine=perhaps")),
    (r"GET .*/keys/\{key\}/history", 422, Ask(query="limit=0")),
    (r"GET .*/(config|export|draft/text)", 422, Ask(query="format=x&release=x")),
    (r"GET .*/convergence", 422, Ask(query="wait=x")),
    (r"GET .*/diff", 422, Ask(query="against=-x")),
    (r"GET .*/watch", 400, Ask(headers={"Last-Event-ID": "x"})),
]  # fmt: skip


def how(call: str, status: int, operation: Mapping[str, Any]) -> Ask:
    """The request that is refused with `status`. Raises LookupError where nobody wrote it down."""
    for pattern, each, ask in SPECIAL:
        if each == status and re.fullmatch(pattern, call):
            return ask
    ask = _general(call, status, operation)
    if ask is None:
        raise LookupError(f"Nothing provokes {status} of {call}: add it to tests/api/provoking.py")
    return ask


def _general(call: str, status: int, operation: Mapping[str, Any]) -> Ask | None:
    names = {each["name"] for each in operation["parameters"]}
    takes_body = "requestBody" in operation
    match status:
        case 400 if takes_body:
            return Ask(b"{")
        case 400 if "If-Match" in names:
            return Ask(headers={"If-Match": "two words"})
        case 400 if "Idempotency-Key" in names:
            return Ask(headers={"Idempotency-Key": "two words"})
        case 401:
            return Ask(who="nobody")
        case 403:
            return Ask(who="off")
        case 404 if "/layers/global" in call:
            return Ask(who="elsewhere")
        case 404:
            return Ask(args=NOBODY_KNOWS)
        case 411:
            return Ask(b"", headers={"Transfer-Encoding": "chunked"})
        case 412 if "If-Match" in names:
            return Ask(headers={"If-Match": _TOO_NEW})
        case 413:
            return Ask(settings={"DATA_UPLOAD_MAX_MEMORY_SIZE": 1})
        case 422 if "dry_run" in names:
            return Ask(query="dry_run=perhaps")
        case 422 if takes_body:
            return Ask(b'{"of": "nobody"}')
        case 422 if "limit" in names:
            return Ask(query="limit=0")
        case 422:
            return Ask(args=dict.fromkeys(names - {"service", "slug"}, "x!"))
        case 428:
            return Ask(headers={"If-Match": None})
        case 429:
            return Ask(settings={"CONFHUB_CALLS_PER_MINUTE": 1}, times=2)
        case 503:
            return Ask(database=False)
    return None


def named(ask: Ask, **names: Any) -> Ask:
    """`ask` with what stands in its `before` in braces put in."""
    return replace(
        ask,
        before=[
            (method, path.format(**names), body, *who) for method, path, body, *who in ask.before
        ],
    )
