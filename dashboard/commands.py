"""The act of a form as a command: with curl, and with `confhub`. What is on the page is in it already:
the address of this server, the place, the versions that were seen.

A token is always $CONFHUB_TOKEN, and a secret's value is never in a line: it is typed where "…"
stands, or read from stdin. tests/dashboard/test_commands.py runs every line in a shell.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from confhub.core import clock
from dashboard import values

API = "/api/v1"
WHY = "why"  # in the place of a reason that is not written yet
TYPED = "…"  # in the place of a secret's value


@dataclass(frozen=True)
class Call:
    """One REST call, and the words behind `confhub` where there are some; else `confhub api`."""

    method: str
    path: str  # below /api/v1, quoted
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    words: Sequence[str] | None = None
    is_typed: bool = False  # the body has "…" for something that is typed into stdin

    def curl(self, site: str) -> str:
        parts = [
            f"curl --fail-with-body -sS -X {self.method} {shlex.quote(site + API + self.path)}",
            '-H "Authorization: Bearer $CONFHUB_TOKEN"',
            *(f"-H {shlex.quote(f'{name}: {held}')}" for name, held in self.headers.items()),
        ]
        if self.body is None:
            return " \\\n  ".join(parts)
        parts.append("-H 'Content-Type: application/json'")
        if self.is_typed:
            return " \\\n  ".join([*parts, f"-d @- <<'EOF'\n{_json(self.body)}\nEOF"])
        return " \\\n  ".join([*parts, f"-d {shlex.quote(_json(self.body))}"])

    def confhub(self) -> str:
        if self.words is not None:
            return shlex.join(["confhub", *self.words])
        words = ["confhub", "api", self.method, self.path]
        for name, held in self.headers.items():
            words += ["-H", f"{name}: {held}"]
        if self.body is None:
            return shlex.join(words)
        if self.is_typed:
            return f"{shlex.join([*words, '-d', '-'])} <<'EOF'\n{_json(self.body)}\nEOF"
        return shlex.join([*words, "-d", _json(self.body)])


def _json(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)


def _seen(version: object) -> dict[str, str]:
    """If-Match with the version that the page shows."""
    return {"If-Match": f'"{version}"'}


def _part(text: object) -> str:
    return quote(str(text), safe="")


@dataclass(frozen=True)
class Place:
    """Of a scope or a layer: its calls' path, and how `confhub` calls it."""

    path: str
    word: str


def place_of(scope: Any) -> Place:
    return _place(f"/services/{scope.service.slug}/environments/{scope.environment.slug}")


def place_at(draft_url: str) -> Place:
    """By the address of its draft: /api/v1/layers/global/draft."""
    return _place(draft_url.removeprefix(API).removesuffix("/draft"))


def _place(path: str) -> Place:
    parts = path.strip("/").split("/")
    if parts[0] == "services":
        return Place(path, f"{parts[1]}@{parts[3]}")
    if parts[1] == "global":
        return Place(path, "global")
    return Place(path, f"{parts[1].removesuffix('s')}/{parts[2]}")


# --- services, environments, layers ------------------------------------------------------------


def make_service(slug: str, description: str) -> Call:
    body = {"slug": slug or "my-service", "description": description or ""}
    more = ["--description", description] if description else []
    return Call("POST", "/services", body, words=["services", "create", body["slug"], *more])


def make_environment(slug: str, order: object, is_protected: object, is_approved: object) -> Call:
    name = slug or "my-environment"
    body = {"slug": name, "order": _number(order), "protected": bool(is_protected),
            "approvals": int(bool(is_approved))}  # fmt: skip
    more = [*(["--protected"] if is_protected else []), "--order", str(body["order"])]
    more += ["--approvals", "1"] if is_approved else []
    return Call("POST", "/environments", body, words=["env", "create", name, *more])


def change_environment(environment: Any) -> Call:
    body = {"name": environment.name, "order": environment.order,
            "protected": environment.protected, "approvals": environment.approvals}  # fmt: skip
    return Call("PATCH", f"/environments/{environment.slug}", body)


def freeze(environment: Any, starts_at: str, ends_at: str, reason: str) -> Call:
    body = {
        "starts_at": _moment(starts_at) or clock.stamp(clock.now()),
        "ends_at": _moment(ends_at) or clock.stamp(clock.now() + timedelta(days=1)),
        "reason": reason or WHY,
    }
    return Call("POST", f"/environments/{environment.slug}/freezes", body)


def thaw(environment: Any, window: Any) -> Call:
    return Call("DELETE", f"/environments/{environment.slug}/freezes/{window.pk}")


def make_set(slug: str, description: str) -> Call:
    return Call(
        "POST", "/layers/sets", {"slug": slug or "my-set", "description": description or ""}
    )


def include_sets(service: Any, sets: Sequence[str]) -> Call:
    return Call("PATCH", f"/services/{service.slug}", {"includes": list(sets)})


def follow(scope: Any) -> Call:
    body = {"holds_back": not scope.holds_back}
    return Call("PUT", f"{place_of(scope).path}/layers", body)


def take_layers(scope: Any) -> Call:
    body = {"message": WHY, "expected_release": scope.head}
    return Call("POST", f"{place_of(scope).path}/layers/take", body)


# --- a draft ---------------------------------------------------------------------------------


def set_key(draft_url: str, version: object, key: str, kind: str, text: str) -> Call:
    """The key with what is typed; a secret's value is typed into stdin."""
    place, name = place_at(draft_url), key or "MY_KEY"
    path = f"{place.path}/draft"
    if kind == "secret":
        body: Any = {"set": {name: {"$secret": TYPED}}}
        words = ["set", place.word, name, "--secret"]
        return Call("PATCH", path, body, _seen(version), words, is_typed=True)
    value = _typed(kind, text)
    word = f"{name}={value}" if isinstance(value, str) else f"{name}:={_json(value)}"
    return Call("PATCH", path, {"set": {name: value}}, _seen(version), ["set", place.word, word])


def unset_key(draft_url: str, version: object, key: str) -> Call:
    place = place_at(draft_url)
    words = ["unset", place.word, key]
    return Call("PATCH", f"{place.path}/draft", {"unset": [key]}, _seen(version), words)


def revert_key(draft_url: str, version: object, key: str) -> Call:
    return Call("PATCH", f"{place_at(draft_url).path}/draft", {"revert": [key]}, _seen(version))


def rename_key(draft_url: str, version: object, key: str, to: str) -> Call:
    body = {"from": key, "to": to or f"{key}_NEW"}
    return Call("POST", f"{place_at(draft_url).path}/draft/rename", body, _seen(version))


def restore_key(draft_url: str, version: object, key: str, release: int) -> Call:
    body = {"key": key, "release": release}
    return Call("POST", f"{place_at(draft_url).path}/draft/restore", body, _seen(version))


def undo(draft_url: str, version: object) -> Call:
    return Call("POST", f"{place_at(draft_url).path}/draft/undo", {}, _seen(version))


def redo(draft_url: str, version: object) -> Call:
    return Call("POST", f"{place_at(draft_url).path}/draft/redo", {}, _seen(version))


def discard(draft_url: str, version: object) -> Call:
    return Call("DELETE", f"{place_at(draft_url).path}/draft", None, _seen(version))


def rebase(draft_url: str, version: object, head: int, overlaps: Sequence[Any]) -> Call:
    """With the side of the release for each key, which is the one that is safe."""
    body = {"expected_release": head, "take_theirs": [each.key for each in overlaps]}
    return Call("POST", f"{place_at(draft_url).path}/draft/rebase", body, _seen(version))


def save_text(draft_url: str, form: str, version: object, draft: object, text: str) -> Call:
    path = f"{place_at(draft_url).path}/draft/text?format={form}"
    return Call("PUT", path, {"text": text or ""}, _seen(f"{version}.{draft}"))


def import_file(draft_url: str, source: str, version: object, text: str) -> Call:
    """What is read comes from stdin, because it may hold secrets."""
    place = place_at(draft_url)
    body = {"text": "MY_KEY=value", "source": source or "env"}
    words = ["import", place.word, "my-file", *(["--source", source] if source else [])]
    path = f"{place.path}/draft/import"
    return Call("POST", path, body, _seen(version), words, is_typed=True)


def set_everywhere(service: Any, key: str, fields: Sequence[Any]) -> Call:
    """The key as each field has it that may be edited; "value" in those that are empty."""
    mine = [each for each in fields if each.may_edit and not each.fingerprint]
    body = {
        "key": key or "MY_KEY",
        "set": {each.name: _typed(each.kind, each.text or "value") for each in mine},
        "versions": {each.name: _number(each.version) for each in mine},
    }
    return Call("PATCH", f"/services/{service.slug}/all", body)


def promote(source: Any, target: Any, plan: Any, keys: Sequence[str]) -> Call:
    offered = [each.key for each in plan.offers if not each.refused][:20]
    body = {
        "from": source.environment.slug, "to": target.environment.slug,
        "keys": list(keys) or offered, "expected_release": plan.source_release,
        "expected_draft": plan.target_version,
    }  # fmt: skip
    return Call("POST", f"/services/{target.service.slug}/promote", body)


def reveal(draft_url: str, key: str, reason: str) -> Call:
    body = {"key": key or "MY_KEY", "reason": reason or WHY}
    return Call("POST", f"{place_at(draft_url).path}/reveal", body)


# --- publishing ------------------------------------------------------------------------------


def publish(
    scope: Any, head: int, message: str, protection: Any = None, is_emergency: bool = False
) -> Call:
    place = place_of(scope)
    body: dict[str, Any] = {"message": message or WHY, "expected_release": head}
    words = ["publish", place.word, "-m", body["message"], "--expected-release", str(head)]
    if protection is not None and protection.is_approved and not is_emergency:
        number = protection.asked.request.pk
        body["request"] = number
        words += ["--request", str(number)]
    if is_emergency:
        body["emergency"] = True
        words.append("--emergency")
    return Call("POST", f"{place.path}/releases", body, words=words)


def roll_back(scope: Any, number: int, head: int, message: str, is_emergency: bool = False) -> Call:
    place = place_of(scope)
    said = message or (WHY if is_emergency else f"Roll back to r{number}")
    body: dict[str, Any] = {"message": said, "expected_release": head}
    words = ["rollback", place.word, str(number), "-m", said, "--expected-release", str(head)]
    if is_emergency:
        body["emergency"] = True
        words.append("--emergency")
    return Call("POST", f"{place.path}/releases/{number}/rollback", body, words=words)


def publish_layer(draft_url: str, head: int, message: str, touched: Sequence[Any]) -> Call:
    """For the scopes that are ticked."""
    place = place_at(draft_url)
    ticked = [each["scope"] for each in touched if each["ticked"]]
    targets = [
        {"service": each.service.slug, "environment": each.environment.slug} for each in ticked
    ]
    said = message or WHY
    body = {"message": said, "targets": targets, "expected_release": head}
    words = ["publish", place.word, "-m", said, "--expected-release", str(head)]
    words += [word for each in ticked for word in ("--target", str(each))]
    path = f"{place.path}/releases"
    return Call("POST", path, body, words=words if ticked else None)


def roll_back_layer(draft_url: str, number: int, head: int) -> Call:
    place = place_at(draft_url)
    body = {"message": f"Roll back to r{number}", "expected_release": head, "targets": "all"}
    words = ["rollback", place.word, str(number), "--expected-release", str(head)]
    return Call("POST", f"{place.path}/releases/{number}/rollback", body, words=words)


def ask(draft_url: str, version: object, message: str) -> Call:
    place = place_at(draft_url)
    said = message or WHY
    body = {"message": said, "expected_draft": _number(version)}
    words = ["requests", "ask", place.word, "-m", said]
    return Call("POST", f"{place.path}/requests", body, words=words)


def on_request(request: Any, act: str, text: str = "") -> Call:
    """approve, reject, comment, withdraw or publish."""
    number = str(request.pk)
    word = {"comment": "comments"}.get(act, act)
    path = f"/requests/{number}/{word}"
    if act in ("withdraw", "publish"):
        return Call("POST", path, None, words=["requests", act, number])
    said = text or (WHY if act != "approve" else "")
    words = ["requests", act, number, *(["-m", said] if said else [])]
    return Call("POST", path, {"text": said}, words=words)


# --- instances, schemas, people --------------------------------------------------------------


def look_again(scope: Any, instance_id: str) -> Call:
    return Call("POST", f"{place_of(scope).path}/instances/{_part(instance_id)}/look-again")


def retry_release(scope: Any, instance_id: str) -> Call:
    return Call("POST", f"{place_of(scope).path}/instances/{_part(instance_id)}/retry")


def save_schema(service: Any, number: object, document: str, message: str) -> Call:
    try:
        held = json.loads(document or "{}")
    except (ValueError, RecursionError):
        held = {"type": "object"}
    body = {"document": held, "message": message or WHY, "expected_number": _number(number)}
    return Call("PUT", f"/services/{service.slug}/schema", body)


def set_rule(service: Any, number: object, key: str) -> Call:
    """A rule of one key; what is ticked on the page is more than a line should hold."""
    body = {"rule": {"type": "string"}, "message": WHY, "expected_number": _number(number)}
    return Call("PUT", f"/services/{service.slug}/schema/keys/{_part(key or 'MY_KEY')}", body)


def make_person(name: str) -> Call:
    return Call("POST", "/people", {"name": name or "mia"})


def give_role(name: str, role: str, service: str, environment: str) -> Call:
    body = {
        "role": role or "viewer",
        "service": service or None,
        "environment": environment or None,
    }
    return Call("POST", f"/people/{_part(name)}/grants", body)


def take_role(name: str, grant: object) -> Call:
    return Call("DELETE", f"/people/{_part(name)}/grants/{grant or 0}")


def set_password(name: str) -> Call:
    return Call("PATCH", f"/people/{_part(name)}", {"password": TYPED}, is_typed=True)


def switch_person(name: str, is_active: bool) -> Call:
    return Call("PATCH", f"/people/{_part(name)}", {"active": not is_active})


# --- programs --------------------------------------------------------------------------------


def make_token(name: str, days: object) -> Call:
    said = name or "my-token"
    body = {"name": said, "reach": [{"verbs": ["see"]}], "expires_in_days": _number(days) or 90}
    words = ["tokens", "create", said, "--reach", "see", "--days", str(body["expires_in_days"])]
    return Call("POST", "/tokens", body, words=words)


def rotate_token(name: str) -> Call:
    words = ["tokens", "rotate", name]
    return Call("POST", f"/tokens/{_part(name)}/rotate", {"overlap_s": 86_400}, words=words)


def revoke_token(name: str) -> Call:
    return Call("DELETE", f"/tokens/{_part(name)}", words=["tokens", "revoke", name])


def make_trust(name: str) -> Call:
    body = {
        "name": name or "my-pipeline", "issuer": "https://token.actions.githubusercontent.com",
        "audience": "confhub", "claims": {"repository": "acme/shop", "ref": "refs/heads/main"},
        "person": "admin", "reach": [{"verbs": ["publish"]}],
    }  # fmt: skip
    return Call("POST", "/trusts", body)


def change_trust(trust: Any) -> Call:
    row = trust.row
    body = {"audience": row.audience, "claims": dict(row.claims), "lifetime_s": row.lifetime_s}
    return Call("PATCH", f"/trusts/{row.name}", body)


def remove_trust(trust: Any) -> Call:
    return Call("DELETE", f"/trusts/{trust.row.name}")


def on_webhook(name: str, act: str, more: Any = None) -> Call:
    """make, change, switch (more: is it on?), secret, test, remove, redeliver (more: message id)."""
    path = f"/webhooks/{_part(name)}"
    if act == "make":
        body = {"name": name or "my-webhook", "to": "https://hooks.example.com/confhub"}
        return Call("POST", "/webhooks", body)
    if act == "change":
        return Call("PATCH", path, {"to": more})
    if act == "switch":
        return Call("PATCH", path, {"on": not more})
    if act == "remove":
        return Call("DELETE", path)
    if act == "redeliver":
        return Call("POST", f"{path}/deliveries/{_part(more)}/redeliver")
    return Call("POST", f"{path}/{act}")


def on_deploy_hook(name: str, act: str, more: Any = None) -> Call:
    """make, rules (more: the hook), switch (more: is it on?), secret, retry (more: delivery), remove."""
    path = f"/deploy-hooks/{_part(name)}"
    if act == "make":
        body = {"name": name or "my-hook", "kind": "confhub", "service": "my-service", "environment": "my-environment",
                "mapping": {"set": {"TAG": {"pointer": "/tag"}}}}  # fmt: skip
        return Call("POST", "/deploy-hooks", body)
    if act == "rules":
        body = {"mapping": more.mapping, "filters": more.filters, "wait_s": more.wait_s}
        return Call("PATCH", path, body)
    if act == "switch":
        return Call("PATCH", path, {"on": not more})
    if act == "remove":
        return Call("DELETE", path, words=["hooks", "delete", name])
    if act == "retry":
        words = ["hooks", "retry", name, str(more)]
        return Call("POST", f"{path}/deliveries/{more}/retry", words=words)
    return Call("POST", f"{path}/{act}")


def make_publish_hook(name: str, when: str, url: str) -> Call:
    body = {"name": name or "my-hook", "when": when or "before",
            "url": url or "https://policy.example.com/confhub"}  # fmt: skip
    return Call("POST", "/publish-hooks", body)


def on_publish_hook(hook: Any, act: str, scope: str = "") -> Call:
    """change, switch, secret, test, remove."""
    path = f"/publish-hooks/{hook.name}"
    if act == "change":
        body = {"url": hook.url, "order": hook.order, "timeout_s": hook.timeout_s,
                "fail_open": hook.fail_open}  # fmt: skip
        return Call("PATCH", path, body)
    if act == "switch":
        return Call("PATCH", path, {"on": not hook.is_on})
    if act == "test":
        service, _, environment = scope.partition("@")
        return Call("POST", f"{path}/test", {"service": service, "environment": environment})
    if act == "remove":
        return Call("DELETE", path)
    return Call("POST", f"{path}/{act}")


def _typed(kind: str, text: str) -> Any:
    """What is typed in a form; as a text where it is not of its kind yet."""
    try:
        return values.read(kind or "string", text or "")
    except values.NotAValue:
        return text or ""


def _number(text: object) -> int:
    return int(str(text)) if str(text).isascii() and str(text).isdecimal() else 0


def _moment(text: object) -> str:
    """A form's "2026-11-27T00:00" as a call takes it; "" where it is none."""
    said = str(text or "")
    return f"{said}:00Z" if len(said) == 16 and said[10] == "T" else ""


ACTS: dict[str, Callable[..., Call]] = {
    each.__name__: each
    for each in (
        make_service, make_environment, change_environment, freeze, thaw, make_set, include_sets,
        follow, take_layers, set_key, unset_key, revert_key, rename_key, restore_key, undo, redo,
        discard, rebase, save_text, import_file, set_everywhere, promote, reveal, publish, roll_back,
        publish_layer, roll_back_layer, ask, on_request, look_again, retry_release, save_schema,
        set_rule, make_person, give_role, take_role, set_password, switch_person, make_token,
        rotate_token, revoke_token, make_trust, change_trust, remove_trust, on_webhook,
        on_deploy_hook, make_publish_hook, on_publish_hook,
    )
}  # fmt: skip
