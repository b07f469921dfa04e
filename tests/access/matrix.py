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
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What a call needs, and what else is sent so that nothing but a right can refuse it."""

    needs: str
    args: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    body: Any = None


ARGS: Mapping[str, Any] = {
    "service": "billing", "environment": "dev", "number": 1, "release": 1, "instance_id": "web-1",
    "name": "zoe", "kind": "sets", "slug": "tls", "format": "csv",
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
    f"DELETE {_L}": "admin everywhere",
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


def row(held: "str | Row") -> Row:
    return held if isinstance(held, Row) else Row(held)


def expected(needs: str) -> dict[str, str]:
    """{"nobody": "in", "viewer": "ok", …}."""
    return dict(zip(CAST, NEEDS[needs].split(), strict=True))
