"""Who gets which answer where: a row for every page and every REST call. Test data, no tests.

A new page or call needs one line here: `"METHOD url-name"` for a page, `"METHOD /path"` (below
/api/v1) for a call, and what it needs, one of NEEDS. Where a page asks several kinds of things, one
line each: `"GET layer#global"`. `Row(…, args=…)` gives other parts of the address than ARGS has,
`body` other fields than the smallest body that the OpenAPI document lets through.

The cast: viewer, editor, publisher and approver hold their role for the service billing in every
environment, admin everywhere, elsewhere is editor of shop; off was admin before the account was
switched off; nobody is not signed in. The things (tests/access/world.py): billing and shop, each
with releases in dev and prod, a set `tls`, the person zoe.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CAST = ("nobody", "viewer", "editor", "publisher", "approver", "admin", "elsewhere", "off")

# ok: not refused · in: asked to sign in · off: refused as nobody or as switched off · 403: may see
# it, but not do this · 404: the same as if it were not there
NEEDS: Mapping[str, str] = {
    #                     nobody viewer editor publisher approver admin elsewhere off
    "nothing":            "ok    ok     ok     ok        ok       ok    ok        ok",
    "a session":          "in    ok     ok     ok        ok       ok    ok        off",
    "see":                "in    ok     ok     ok        ok       ok    404       off",
    "edit":               "in    403    ok     ok        403      ok    404       off",
    "publish":            "in    403    403    ok        403      ok    404       off",
    "reveal":             "in    403    403    ok        403      ok    404       off",
    "approve":            "in    403    403    403       ok       ok    404       off",
    "administer":         "in    403    403    403       403      ok    404       off",
    "admin everywhere":   "in    403    403    403       403      ok    403       off",
    "see everywhere":     "in    404    404    404       404      ok    404       off",
    "be admin or oneself": "in   404    404    404       404      ok    404       off",
    "be a person":        "in    ok     ok     ok        ok       ok    ok        off",
    "a signature":        "in    in     in     in        in       in    in        in",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What a call needs, and what else is sent so that nothing but a right can refuse it."""

    needs: str
    args: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    body: Any = None
    at: str = ""  # a call's place, one of PLACES, where its address does not tell it


ARGS: Mapping[str, Any] = {
    "service": "billing", "environment": "dev", "number": 1, "release": 1, "instance_id": "web-1",
    "instance": "web-1", "key": "POOL",
    "name": "zoe", "kind": "sets", "slug": "tls", "format": "csv", "message_id": "msg_1",
}  # fmt: skip
GLOBAL = {"kind": "global", "slug": None}
DEV = {"kind": "environment", "slug": "dev"}
TLS = {"kind": "set", "slug": "tls"}
BILLING = {"kind": "service", "slug": "billing"}
DEV_CALL, BILLING_CALL = {"kind": "environments", "slug": "dev"}, {"kind": "services", "slug": "billing"}  # fmt: skip
SECRET = {"key": "PASSWORD", "reason": "r"}
IMPORT = {"source": "env", "text": "A=1"}
ASKED = {"number": "REQUEST"}
NEW = {"slug": "new"}
CI = {"name": "ci", "grant": 0}  # a trust
CHAT = {"name": "chat", "grant": 0}  # a webhook for billing
SHIP = {"name": "ship", "grant": 0}  # a deploy hook for billing@dev, with one delivery
POLICY = {"name": "policy", "grant": 0}  # a publish hook for billing, which is off

PAGES: Mapping[str, str | Row] = {
    "GET healthz": "nothing",
    "GET readyz": "nothing",
    "GET api-document": "nothing",
    "GET api-docs": "nothing",
    "GET home": "nothing",
    "GET sign-in": "nothing",
    "POST sign-in": "nothing",
    "POST sign-out": "nothing",
    "POST theme": "nothing",
    # lists: everybody's, with what each may see in them
    "GET services": "a session",
    "POST services": Row("admin everywhere", body=NEW),
    "GET part-services": "a session",
    "GET environments": "a session",
    "POST environments": Row("admin everywhere", body=NEW),
    "GET environment": "a session",  # everybody of the cast sees something in dev
    "POST environment": "admin everywhere",
    "POST freeze": "admin everywhere",
    "POST thaw": Row("admin everywhere", {"environment": "prod"}),
    "GET requests": "a session",
    "GET search": Row("a session", query="q=POOL"),
    "GET compare": "a session",
    "GET request": Row("see", ASKED),
    "GET part-request": Row("see", ASKED),
    "POST request": Row("approve", ASKED, body={"act": "approve"}),
    "POST request#comment": Row("see", ASKED, body={"act": "comment", "text": "t"}),
    "POST request#publish": Row("publish", ASKED, body={"act": "publish"}),
    "GET layers": "a session",
    "POST layers": Row("admin everywhere", body=NEW),
    "GET audit": "a session",
    "GET audit-download": "a session",
    # people
    "GET people": "admin everywhere",
    "POST people": Row("admin everywhere", body={"name": "new"}),
    "GET person": "be admin or oneself",
    "POST person-give": Row("be admin or oneself", body={"grant-role": "viewer"}),
    "POST person-take": "be admin or oneself",
    "POST person-switch": Row("be admin or oneself", body={"active": "no"}),
    "POST person-password": Row("be admin or oneself", body={"password": "a new password"}),
    "POST person-give#oneself": Row(
        "admin everywhere", args={"name": "ONESELF"}, body={"grant-role": "admin"}
    ),
    "POST person-take#oneself": Row("admin everywhere", args={"name": "ONESELF"}),
    "POST person-switch#oneself": Row(
        "admin everywhere", args={"name": "ONESELF"}, body={"active": "yes"}
    ),
    "POST person-password#oneself": Row(
        "admin everywhere", args={"name": "ONESELF"}, body={"password": "a new password"}
    ),
    # CI identity
    "GET trusts": "admin everywhere",
    "POST trusts": "admin everywhere",
    "GET trust": Row("admin everywhere", CI),
    "POST trust": Row("admin everywhere", CI),
    "POST trust-remove": Row("admin everywhere", CI),
    # deploy hooks
    "GET deploy-hooks": "a session",
    "POST deploy-hooks": Row(
        "publish", body={"name": "new", "kind": "github", "place": "billing@dev"}
    ),
    "GET deploy-hook": Row("publish", SHIP),
    "POST deploy-hook": Row("publish", SHIP, body={"act": "switch"}),
    "GET deploy-delivery": Row("publish", SHIP),
    "POST deploy-delivery": Row("publish", SHIP),
    # publish hooks
    "GET publish-hooks": "a session",
    "POST publish-hooks": Row("admin everywhere", body={"name": "new", "when": "before"}),
    "GET publish-hook": Row("administer", POLICY),
    "POST publish-hook": Row("administer", POLICY, body={"act": "switch", "on": "no"}),
    # webhooks
    "GET webhooks": "a session",
    "POST webhooks": Row("admin everywhere", body={"name": "new", "form": "standard", "to": "x"}),
    "GET webhook": Row("administer", CHAT),
    "POST webhook": Row("administer", CHAT),
    "POST webhook-switch": Row("administer", CHAT, body={"on": "no"}),
    "POST webhook-secret": Row("administer", CHAT),
    "POST webhook-test": Row("administer", CHAT),
    "GET webhook-remove": Row("administer", CHAT),
    "POST webhook-remove": Row("administer", CHAT),
    "GET webhook-delivery": Row("administer", CHAT),
    "POST webhook-redeliver": Row("administer", CHAT),
    # a service, and a service in an environment
    "GET service": "see",
    "GET part-service": "see",
    "GET all-environments": "see",
    "GET all-key": Row("see", query="key=POOL"),
    "POST all-key": Row(
        "edit",
        body={
            "key": "POOL",
            "kind.dev": "number",
            "value.dev": "9",
            "was.dev": "",
            "version.dev": "9",
        },
    ),
    "GET promote": Row("see", query="from=prod&to=dev"),
    "POST promote": Row(
        "edit",
        body={
            "from": "prod",
            "to": "dev",
            "act": "check",
            "key": "POOL",
            "release": "1",
            "version": "1",
        },
    ),
    "POST includes": "edit",
    "POST follow": Row("publish", body={"act": "hold"}),
    "GET schema": "see",
    "POST schema": "edit",
    "GET schema-key": "see",
    "POST schema-key": "edit",
    "GET schema-version": "see",
    "GET reveal": Row("see", query="key=PASSWORD"),
    "POST reveal": Row("reveal", body=SECRET),
    "GET imports": "see",
    "POST imports": Row("edit", body={"source": "env", "text": "A=1"}),
    "GET export": Row("see", query="format=yaml"),
    "GET live": "see",
    "GET part-head": "see",
    "GET part-grid": "see",
    "GET config": "see",
    "GET part-config": "see",
    "GET key": Row("see", query="key=POOL"),
    "POST key": Row("edit", body={"key": "POOL", "kind": "number", "value": "9", "version": 0}),
    "GET raw": Row("see", query="format=yaml"),
    "POST raw": Row("edit", query="format=yaml", body={"act": "save", "text": "POOL: 9"}),
    "GET review": "see",
    "POST review": Row("publish", body={"message": "m", "release": 2, "version": 1}),
    "POST discard": Row("edit", body={"version": 1}),
    "GET edits": "see",
    "POST undo": "edit",
    "POST redo": "edit",
    "POST rebase": Row("edit", body={"release": 2, "version": 1}),
    "GET releases": "see",
    "GET part-releases": "see",
    "GET release": "see",
    "GET part-release": "see",
    "GET rollback": "see",
    "POST rollback": Row("publish", body={"message": "m", "release": 2}),
    "GET instance": "see",
    "GET part-instance": "see",
    "POST instance-ask": "publish",
    # layers: of everything, of an environment, of a set, of a service
    "GET layer#global": Row("see everywhere", GLOBAL),
    "GET layer#environment": Row("see everywhere", DEV),
    "GET layer#set": Row("a session", TLS),
    "GET layer#service": Row("see", BILLING),
    "GET layer-key#global": Row("see everywhere", GLOBAL, "key=A"),
    "GET layer-key#service": Row("see", BILLING, "key=A"),
    "POST layer-key#global": Row("see everywhere", GLOBAL),
    "POST layer-key#environment": Row("see everywhere", DEV),
    "POST layer-key#set": Row("admin everywhere", TLS),
    "POST layer-key#service": Row("edit", BILLING),
    "GET layer-raw#global": Row("see everywhere", GLOBAL, "format=yaml"),
    "GET layer-raw#service": Row("see", BILLING, "format=yaml"),
    "POST layer-raw#global": Row("see everywhere", GLOBAL, "format=yaml"),
    "POST layer-raw#set": Row("admin everywhere", TLS, "format=yaml"),
    "POST layer-raw#service": Row("edit", BILLING, "format=yaml"),
    "GET layer-reveal#global": Row("see everywhere", GLOBAL, "key=PASSWORD"),
    "GET layer-reveal#service": Row("see", BILLING, "key=PASSWORD"),
    "POST layer-reveal#global": Row("see everywhere", GLOBAL, body=SECRET),
    "POST layer-reveal#set": Row("admin everywhere", TLS, body=SECRET),
    "POST layer-reveal#service": Row("reveal", BILLING, body=SECRET),
    "GET layer-imports#global": Row("see everywhere", GLOBAL),
    "GET layer-imports#service": Row("see", BILLING),
    "POST layer-imports#global": Row("see everywhere", GLOBAL),
    "POST layer-imports#set": Row("admin everywhere", TLS),
    "POST layer-imports#service": Row("edit", BILLING),
    "GET layer-export#global": Row("see everywhere", GLOBAL, "format=yaml"),
    "GET layer-export#service": Row("see", BILLING, "format=yaml"),
    "GET layer-review#global": Row("see everywhere", GLOBAL),
    "GET layer-review#service": Row("see", BILLING),
    "POST layer-review#global": Row("see everywhere", GLOBAL),
    "POST layer-review#set": Row("admin everywhere", TLS),
    "POST layer-review#service": Row("publish", BILLING),
    "POST layer-discard#set": Row("admin everywhere", TLS),
    "POST layer-discard#service": Row("edit", BILLING),
    "GET layer-edits#global": Row("see everywhere", GLOBAL),
    "GET layer-edits#service": Row("see", BILLING),
    "POST layer-undo#global": Row("see everywhere", GLOBAL),
    "POST layer-undo#set": Row("admin everywhere", TLS),
    "POST layer-undo#service": Row("edit", BILLING),
    "POST layer-redo#global": Row("see everywhere", GLOBAL),
    "POST layer-redo#set": Row("admin everywhere", TLS),
    "POST layer-redo#service": Row("edit", BILLING),
    "POST layer-rebase#set": Row("admin everywhere", TLS),
    "POST layer-rebase#service": Row("edit", BILLING),
    "GET layer-releases#global": Row("see everywhere", GLOBAL),
    "GET layer-releases#service": Row("see", BILLING),
    "POST layer-releases#set": Row("admin everywhere", TLS),
    "POST layer-releases#service": Row("publish", BILLING),
    # programs
    "GET tokens": "a session",
    "POST tokens": Row("a session", body={"act": "more"}),
    "POST token-rotate": "be admin or oneself",
    "POST token-rotate#oneself": Row("a session", {"name": "ONESELF"}),
    "POST token-revoke": "be admin or oneself",
    "POST token-revoke#oneself": Row("a session", {"name": "ONESELF"}),
    "GET part-layer#global": Row("see everywhere", GLOBAL),
    "GET part-layer#service": Row("see", BILLING),
}

_S = "/services/{service}"
_SE = "/services/{service}/environments/{environment}"
_L = "/layers/{kind}/{slug}"
_P = "/people/{name}"
CALLS: Mapping[str, str | Row] = {
    "GET /services": "a session",
    "POST /services": Row("admin everywhere", body=NEW),
    f"GET {_S}": "see",
    f"PATCH {_S}": "edit",
    f"DELETE {_S}": "administer",
    "GET /environments": "a session",
    "POST /environments": Row("admin everywhere", body=NEW),
    "GET /environments/{environment}": "a session",  # everybody of the cast sees something in dev
    "PATCH /environments/{environment}": "admin everywhere",
    "DELETE /environments/{environment}": "admin everywhere",
    "POST /oidc/exchange": Row("nothing", body={}),  # judged by the identity token alone
    "GET /trusts": "admin everywhere",
    "POST /trusts": "admin everywhere",
    "GET /trusts/{name}": Row("admin everywhere", CI),
    "PATCH /trusts/{name}": Row("admin everywhere", CI),
    "DELETE /trusts/{name}": Row("admin everywhere", CI),
    "GET /search": Row("a session", query="q=pool"),
    "GET /compare": Row("see", query="a=billing@dev&b=billing@prod"),
    f"GET {_S}/schema": "see",
    f"PUT {_S}/schema": "edit",
    f"POST {_S}/schema/infer": "edit",
    f"GET {_S}/schema/versions": "see",
    f"GET {_S}/schema/versions/{{number}}": "see",
    f"GET {_SE}/config": "see",
    f"GET {_SE}/draft": "see",
    f"PATCH {_SE}/draft": Row("edit", body={"set": {"A": 1}}),
    f"DELETE {_SE}/draft": "edit",
    f"POST {_SE}/releases": Row("publish", body={"message": "m", "set": {"A": 2}}),
    f"GET {_SE}/releases": "see",
    f"GET {_SE}/releases/{{release}}": "see",
    f"GET {_SE}/releases/{{release}}/diff": "see",
    f"POST {_SE}/releases/{{release}}/rollback": "publish",
    f"GET {_SE}/instances": "see",
    f"GET {_SE}/convergence": "see",
    f"GET {_SE}/watch": "see",
    f"PUT {_SE}/layers": "publish",
    f"POST {_SE}/layers/take": "publish",
    "GET /layers": "a session",
    "POST /layers/sets": Row("admin everywhere", body=NEW),
    "GET /layers/global": "see everywhere",
    "GET /layers/global/draft": "see everywhere",
    "PATCH /layers/global/draft": Row("see everywhere", body={"set": {"A": 1}}),
    "DELETE /layers/global/draft": "see everywhere",
    "GET /layers/global/preview": "see everywhere",
    "GET /layers/global/releases": "see everywhere",
    "POST /layers/global/releases": "see everywhere",
    "GET /layers/global/releases/{release}": "see everywhere",
    "GET /layers/global/releases/{release}/diff": "see everywhere",
    "POST /layers/global/releases/{release}/rollback": "see everywhere",
    f"DELETE {_L}": Row("admin everywhere", at="lists"),  # asked before it is looked for
    f"GET {_L}": "a session",
    f"GET {_L}#environment": Row("see everywhere", DEV_CALL),
    f"GET {_L}#service": Row("see", BILLING_CALL),
    f"GET {_L}/draft": "a session",
    f"GET {_L}/draft#service": Row("see", BILLING_CALL),
    f"PATCH {_L}/draft": Row("admin everywhere", body={"set": {"A": 1}}),
    f"PATCH {_L}/draft#environment": Row("see everywhere", DEV_CALL, body={"set": {"A": 1}}),
    f"PATCH {_L}/draft#service": Row("edit", BILLING_CALL, body={"set": {"A": 1}}),
    f"DELETE {_L}/draft": "admin everywhere",
    f"DELETE {_L}/draft#service": Row("edit", BILLING_CALL),
    f"GET {_L}/preview": "a session",
    f"GET {_L}/preview#service": Row("see", BILLING_CALL),
    f"GET {_L}/releases": "a session",
    f"GET {_L}/releases#service": Row("see", BILLING_CALL),
    f"POST {_L}/releases": "admin everywhere",
    f"POST {_L}/releases#service": Row("publish", BILLING_CALL),
    f"GET {_L}/releases/{{release}}": "a session",
    f"GET {_L}/releases/{{release}}/diff": "a session",
    f"POST {_L}/releases/{{release}}/rollback": "admin everywhere",
    f"POST {_L}/releases/{{release}}/rollback#service": Row("publish", BILLING_CALL),
    f"GET {_SE}/draft/edits": "see",
    f"POST {_SE}/draft/undo": "edit",
    f"POST {_SE}/draft/redo": "edit",
    f"POST {_SE}/draft/rename": Row("edit", body={"from": "POOL", "to": "NEW"}),
    "GET /layers/global/draft/edits": "see everywhere",
    "POST /layers/global/draft/undo": "see everywhere",
    "POST /layers/global/draft/redo": "see everywhere",
    "POST /layers/global/draft/rename": Row("see everywhere", body={"from": "POOL", "to": "NEW"}),
    f"GET {_L}/draft/edits": "a session",
    f"GET {_L}/draft/edits#service": Row("see", BILLING_CALL),
    f"POST {_L}/draft/undo": "admin everywhere",
    f"POST {_L}/draft/undo#service": Row("edit", BILLING_CALL),
    f"POST {_L}/draft/redo": "admin everywhere",
    f"POST {_L}/draft/redo#service": Row("edit", BILLING_CALL),
    f"POST {_L}/draft/rename": Row("admin everywhere", body={"from": "POOL", "to": "NEW"}),
    f"POST {_L}/draft/rename#service": Row("edit", BILLING_CALL, body={"from": "POOL", "to": "NEW"}),
    f"GET {_SE}/draft/overlaps": "see",
    f"POST {_SE}/draft/rebase": Row("edit", body={"expected_release": 3}),
    f"POST {_SE}/draft/restore": Row("edit", body={"key": "POOL", "release": 1}),
    f"GET {_SE}/keys/{{key}}/history": "see",
    "GET /layers/global/draft/overlaps": "see everywhere",
    "POST /layers/global/draft/rebase": Row("see everywhere", body={"expected_release": 1}),
    "POST /layers/global/draft/restore": Row("see everywhere", body={"key": "A", "release": 1}),
    "GET /layers/global/keys/{key}/history": "see everywhere",
    f"GET {_L}/draft/overlaps": "a session",
    f"GET {_L}/draft/overlaps#service": Row("see", BILLING_CALL),
    f"POST {_L}/draft/rebase": Row("admin everywhere", body={"expected_release": 1}),
    f"POST {_L}/draft/rebase#service": Row("edit", BILLING_CALL, body={"expected_release": 1}),
    f"POST {_L}/draft/restore": Row("admin everywhere", body={"key": "A", "release": 1}),
    f"POST {_L}/draft/restore#service": Row("edit", BILLING_CALL, body={"key": "A", "release": 1}),
    f"GET {_L}/keys/{{key}}/history": "a session",
    f"GET {_L}/keys/{{key}}/history#service": Row("see", BILLING_CALL),
    f"GET {_S}/all": "see",
    f"PATCH {_S}/all": Row(
        "edit", body={"key": "POOL", "set": {"dev": 9}, "versions": {"dev": 4}}, at="billing@dev"
    ),
    "POST /edits": Row(
        "edit", body=[{"place": "billing@dev", "set": {"A": 1}, "if_match": "*"}]
    ),
    f"GET {_S}/promote": Row("see", query="from=prod&to=dev", at="billing@dev"),
    f"POST {_S}/promote": Row(
        "edit", body={"from": "prod", "to": "dev", "keys": ["POOL"]}, at="billing@dev"
    ),
    f"GET {_S}/schema/keys/{{key}}": "see",
    f"PUT {_S}/schema/keys/{{key}}": "edit",
    f"DELETE {_S}/schema/keys/{{key}}": "edit",
    f"GET {_SE}/instances/{{instance}}": "see",
    f"GET {_SE}/instances/{{instance}}/receipts": "see",
    f"POST {_SE}/instances/{{instance}}/look-again": "publish",
    f"POST {_SE}/instances/{{instance}}/retry": "publish",
    f"GET {_SE}/draft/text": Row("see", query="format=yaml"),
    f"PUT {_SE}/draft/text": Row("edit", query="format=yaml"),
    f"DELETE {_SE}/draft/text": Row("edit", query="format=yaml"),
    "GET /layers/global/draft/text": Row("see everywhere", query="format=yaml"),
    "PUT /layers/global/draft/text": Row("see everywhere", query="format=yaml"),
    "DELETE /layers/global/draft/text": Row("see everywhere", query="format=yaml"),
    f"GET {_L}/draft/text": Row("a session", query="format=yaml"),
    f"GET {_L}/draft/text#service": Row("see", BILLING_CALL, "format=yaml"),
    f"PUT {_L}/draft/text": Row("admin everywhere", query="format=yaml"),
    f"PUT {_L}/draft/text#service": Row("edit", BILLING_CALL, "format=yaml"),
    f"DELETE {_L}/draft/text": Row("admin everywhere", query="format=yaml"),
    f"DELETE {_L}/draft/text#service": Row("edit", BILLING_CALL, "format=yaml"),
    f"POST {_SE}/reveal": Row("reveal", body=SECRET),
    "POST /layers/global/reveal": Row("see everywhere", body=SECRET),
    f"POST {_L}/reveal": Row("admin everywhere", body=SECRET),
    f"POST {_L}/reveal#service": Row("reveal", BILLING_CALL, body=SECRET),
    f"GET {_SE}/export": Row("see", query="format=yaml"),
    "GET /layers/global/export": Row("see everywhere", query="format=yaml"),
    f"GET {_L}/export": Row("a session", query="format=yaml"),
    f"GET {_L}/export#service": Row("see", BILLING_CALL, "format=yaml"),
    f"POST {_SE}/draft/import": Row("edit", body=IMPORT),
    "POST /layers/global/draft/import": Row("see everywhere", body=IMPORT),
    f"POST {_L}/draft/import": Row("admin everywhere", body=IMPORT),
    f"POST {_L}/draft/import#service": Row("edit", BILLING_CALL, body=IMPORT),
    "GET /requests": "a session",
    f"GET {_SE}/requests": "see",
    f"POST {_SE}/requests": Row("edit", body={"message": "m"}),
    "GET /layers/global/requests": "see everywhere",
    "POST /layers/global/requests": "see everywhere",
    f"GET {_L}/requests": "a session",
    f"GET {_L}/requests#service": Row("see", BILLING_CALL),
    f"POST {_L}/requests": "admin everywhere",
    f"POST {_L}/requests#service": Row("edit", BILLING_CALL),
    "GET /requests/{number}": Row("see", ASKED),
    "POST /requests/{number}/approve": Row("approve", ASKED),
    "POST /requests/{number}/reject": Row("approve", ASKED),
    "POST /requests/{number}/withdraw": Row("edit", ASKED),
    "POST /requests/{number}/comments": Row("see", ASKED),
    "POST /requests/{number}/publish": Row("publish", ASKED),
    "GET /environments/{environment}/freezes": "a session",  # as the environment itself
    "POST /environments/{environment}/freezes": Row(
        "admin everywhere",
        body={"starts_at": "2031-01-01T00:00Z", "ends_at": "2031-01-02T00:00Z", "reason": "r"},
    ),
    "DELETE /environments/{environment}/freezes/{freeze}": Row(
        "admin everywhere", {"environment": "prod"}
    ),
    "GET /people": "admin everywhere",
    "POST /people": Row("admin everywhere", body={"name": "new"}),
    f"GET {_P}": "be admin or oneself",
    f"PATCH {_P}": Row("be admin or oneself", body={"active": False}),
    f"PATCH {_P}#oneself": Row(
        "admin everywhere", {"name": "ONESELF"}, body={"password": "a new password"}
    ),
    f"GET {_P}/grants": "be admin or oneself",
    f"POST {_P}/grants": Row("be admin or oneself", body={"role": "viewer"}),
    f"POST {_P}/grants#oneself": Row("admin everywhere", {"name": "ONESELF"}, body={"role": "admin"}),
    f"DELETE {_P}/grants/{{grant}}": "be admin or oneself",
    f"DELETE {_P}/grants/{{grant}}#oneself": Row("admin everywhere", {"name": "ONESELF"}),
    f"GET {_P}/rights": "be admin or oneself",
    f"GET {_P}/rights#oneself": Row("a session", {"name": "ONESELF"}),
    "GET /audit": "a session",
    "GET /publish-hooks": "a session",
    "POST /publish-hooks": Row(
        "admin everywhere", body={"name": "new", "when": "before", "url": "https://x.invalid"}
    ),
    "GET /publish-hooks/{name}": Row("administer", POLICY, at="billing"),
    "PATCH /publish-hooks/{name}": Row("administer", POLICY, body={"on": False}, at="billing"),
    "DELETE /publish-hooks/{name}": Row("administer", POLICY, at="billing"),
    "POST /publish-hooks/{name}/secret": Row("administer", POLICY, at="billing"),
    "POST /publish-hooks/{name}/test": Row(
        "administer", POLICY, query="dry_run=1", at="billing",
        body={"service": "billing", "environment": "dev"},
    ),
    "GET /publish-hooks/{name}/calls": Row("administer", POLICY, at="billing"),
    "GET /deploy-hooks": "a session",
    "POST /deploy-hooks": Row(
        "publish",
        body={
            "name": "new", "kind": "github", "service": "billing", "environment": "dev",
            "mapping": {"unset": ["A"]},
        },
    ),
    "GET /deploy-hooks/{name}": Row("publish", SHIP),
    "PATCH /deploy-hooks/{name}": Row("publish", SHIP, body={"on": False}),
    "DELETE /deploy-hooks/{name}": Row("publish", SHIP),
    "POST /deploy-hooks/{name}/secret": Row("publish", SHIP),
    "POST /deploy-hooks/{name}/preview": Row("publish", SHIP),
    "GET /deploy-hooks/{name}/deliveries": Row("publish", SHIP),
    "GET /deploy-hooks/{name}/deliveries/{delivery}": Row("publish", SHIP),
    "POST /deploy-hooks/{name}/deliveries/{delivery}/retry": Row("publish", SHIP),
    "POST /hooks/deploy/{hook}": Row("a signature", {"hook": "ship"}),
    "GET /webhooks": "a session",
    "POST /webhooks": "admin everywhere",
    "GET /webhooks/{name}": Row("administer", CHAT, at="billing"),
    "PATCH /webhooks/{name}": Row("administer", CHAT, body={"on": False}, at="billing"),
    "DELETE /webhooks/{name}": Row("administer", CHAT, at="billing"),
    "POST /webhooks/{name}/secret": Row("administer", CHAT, at="billing"),
    "POST /webhooks/{name}/test": Row("administer", CHAT, at="billing"),
    "GET /webhooks/{name}/deliveries": Row("administer", CHAT, at="billing"),
    "POST /webhooks/{name}/deliveries/{message_id}/redeliver": Row(
        "administer", CHAT, at="billing"
    ),
    "GET /me": "a session",
    "GET /tokens": "a session",
    "GET /tokens#all": Row("admin everywhere", query="all=1"),
    "POST /tokens": Row("be a person", body={"name": "new", "unlimited": True}),
    "GET /tokens/{name}": "be admin or oneself",
    "GET /tokens/{name}#oneself": Row("a session", {"name": "ONESELF"}),
    "DELETE /tokens/{name}": "be admin or oneself",
    "DELETE /tokens/{name}#oneself": Row("be a person", {"name": "ONESELF"}),
    "POST /tokens/{name}/rotate": "be admin or oneself",
    "POST /tokens/{name}/rotate#oneself": Row("a session", {"name": "ONESELF"}),
    "POST /tokens/{name}/rotate#renew": Row(
        "be a person", {"name": "ONESELF"}, body={"expires_in_days": 9}
    ),
}  # fmt: skip

STREAMS: Mapping[str, str] = {
    "catalog": "a session",
    "billing@dev": "see",
    "billing@prod": "see",
    "layer global": "see everywhere",
    "layer environment dev": "see everywhere",
    "layer set tls": "a session",
    "layer service billing": "see",
}

# --- tokens ---------------------------------------------------------------------------------------
#
# Tokens of admin, who may everything, so that nothing but the token's reach can refuse a call. Those
# of a verb have it, and see, for billing in every environment; `shop` and `prod` have every verb for
# that service, that environment; `nowhere` had a place that is gone.

VERB_TOKENS: Mapping[str, str] = {
    "sees": "see", "edits": "edit", "publishes": "publish", "reveals": "reveal",
    "approves": "approve", "administers": "administer",
}  # fmt: skip
LIMITED = (*VERB_TOKENS, "shop", "prod", "nowhere")
WHOLE = ("unlimited", "overlapping")  # the latter: the secret before a rotation, in its overlap
ENDED = ("expired", "rotated", "revoked")
TOKENS = (*LIMITED, *WHOLE, *ENDED)

# Where a call's thing is: which tokens see it, and which may do more to it with their verbs.
PLACES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "billing@dev": ((*VERB_TOKENS,), (*VERB_TOKENS,)),
    "billing": ((*VERB_TOKENS, "prod"), (*VERB_TOKENS,)),
    "layer of billing": ((*VERB_TOKENS,), (*VERB_TOKENS,)),
    "dev": ((*VERB_TOKENS, "shop"), ()),
    "prod": ((*VERB_TOKENS, "shop", "prod"), ("prod",)),
    "a set": ((*VERB_TOKENS, "shop", "prod"), ()),
    "what all share": ((), ()),  # the layers global and of dev
    "lists": (LIMITED, ()),
}
ADMINS = ("administers", "shop", "prod")  # they may see people

# What does not follow from the place: {call: {answer: tokens that get it}}.
OWN_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "GET /people": {"ok": ADMINS, "403": LIMITED},
    f"GET {_P}": {"ok": ADMINS, "404": LIMITED},
    f"PATCH {_P}": {"403": ADMINS, "404": LIMITED},
    f"GET {_P}/grants": {"ok": ADMINS, "404": LIMITED},
    f"POST {_P}/grants": {"403": ADMINS, "404": LIMITED},
    f"DELETE {_P}/grants/{{grant}}": {"ok": ("shop",), "403": ("prod",), "404": LIMITED},
    f"DELETE {_P}/grants/{{grant}}#oneself": {"404": ("nowhere",), "403": LIMITED},
    f"GET {_P}/rights": {"ok": ADMINS, "404": LIMITED},
    "GET /tokens#all": {"403": LIMITED},
    "GET /tokens/{name}": {"404": LIMITED},
    "DELETE /tokens/{name}": {"404": LIMITED},
    "POST /tokens/{name}/rotate": {"404": LIMITED},
    # a hook would outlast them
    "POST /deploy-hooks": {"403": (*VERB_TOKENS,)},
    "POST /deploy-hooks/{name}/secret": {"403": (*VERB_TOKENS,)},
    "POST /hooks/deploy/{hook}": {"in": LIMITED},
}


def place_of(key: str) -> str:
    """Where the thing of a call is, one of PLACES, by its address."""
    held = row(CALLS[key])
    path = key.partition("#")[0].partition(" ")[2]
    if held.at or held.needs == "see everywhere":
        return held.at or "what all share"
    if "{service}" in path:
        return "billing@dev" if "{environment}" in path else "billing"
    if "{environment}" in path:
        return str(held.args.get("environment", "dev"))
    if path.startswith("/layers/{kind}"):
        return "layer of billing" if held.args == BILLING_CALL else "a set"
    return "billing@dev" if held.needs in VERB_TOKENS.values() else "lists"


def expected_of_token(key: str, token: str) -> str:
    """What a call answers a token of admin, one of TOKENS; the words of NEEDS."""
    needs = row(CALLS[key]).needs
    if token in ENDED:
        return "ok" if needs == "nothing" else "in"
    if token in WHOLE:
        return expected(needs)["admin"]
    for word, tokens in OWN_WORDS.get(key, {}).items():
        if token in tokens:
            return word
    if needs in ("nothing", "be a person"):
        return "ok" if needs == "nothing" else "403"
    verb = {"a session": "see", "see everywhere": "see", "admin everywhere": "administer"}.get(
        needs, needs
    )
    sees, acts = PLACES[place_of(key)]
    if token not in sees:
        return "404"
    has_verb = VERB_TOKENS.get(token, verb) == verb
    return "ok" if verb == "see" or (token in acts and has_verb) else "403"


def row(held: "str | Row") -> Row:
    return held if isinstance(held, Row) else Row(held)


def expected(needs: str) -> dict[str, str]:
    """{"nobody": "in", "viewer": "ok", …}."""
    return dict(zip(CAST, NEEDS[needs].split(), strict=True))
