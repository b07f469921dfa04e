"""The bodies that are sent: JSON as Standard Webhooks recommends it, and sentences for people.

    {"type": "release.published", "timestamp": "2026-11-24T12:00:00.000Z",
     "data": {"service": "checkout", "environment": "prod", "release": 43, …, "url": "https://…"}}

What another program or person wrote stands in it as text: it is escaped for Slack, cut, and on one
line in a subject.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from confhub.core import clock

Facts = Mapping[str, Any]
MAX_CHARS = 300  # of a text that somebody wrote, in a sentence


def document(kind: str, facts: Facts, *, at: datetime) -> dict[str, Any]:
    """The body of one delivery, the same for all forms and at every try."""
    return {"type": kind, "timestamp": clock.stamp(at), "data": {**facts, "url": _url(kind, facts)}}


def _url(kind: str, facts: Facts) -> str:
    """The page about it."""
    scope = {name: facts.get(name) for name in ("service", "environment")}
    if facts.get("webhook"):
        path = reverse("webhook", args=[facts["webhook"]])
    elif facts.get("request"):
        path = reverse("request", args=[facts["request"]])
    elif facts.get("instance"):
        path = reverse("instance", kwargs={**scope, "instance_id": facts["instance"]})
    elif kind.startswith("rollout."):
        path = reverse("live", kwargs=scope)
    else:
        path = reverse("release", kwargs={**scope, "number": facts["release"]})
    return f"{settings.CONFHUB_PUBLIC_URL}{path}"


def place_of(facts: Facts) -> str:
    """ "checkout in prod"; of a layer its name."""
    if layer := facts.get("layer"):
        return f"the {layer['kind']} layer {layer['slug']}".strip()
    return f"{facts.get('service')} in {facts.get('environment')}"


def sentence(body: Mapping[str, Any]) -> str:
    """What happened, on one line without a link."""
    facts, place = body["data"], place_of(body["data"])
    number = facts.get("release")
    match body["type"]:
        case "release.published":
            return f"{place}: release {number} published by {_line(facts['author'])}{_why(facts['message'])}"  # fmt: skip
        case "release.delayed":
            return f"{place}: release {number} waits for etcd{_why(facts['reason'])}"
        case "instance.failed":
            return f"{place}: {_line(facts['name'])} on {_line(facts['host'])} failed release {number} at {_line(facts['stage']) or 'its start'}"  # fmt: skip
        case "approval.asked":
            return f"{place}: {_line(facts['by'])} asks for approval (request {facts['request']})"
        case "approval.decided":
            return (
                f"{place}: request {facts['request']} is {facts['state']} by {_line(facts['by'])}"
            )
        case "webhook.switched_off":
            return f"The webhook {facts['webhook']} is switched off{_why(facts['reason'])}"
        case "test":
            return f"A test of the webhook {facts['webhook']}, by {_line(facts['by'])}"
    return f"{place}: {body['type']}{_why(facts.get('reason') or '')}"


def slack(body: Mapping[str, Any]) -> dict[str, Any]:
    """A message for Slack's incoming webhooks, and for Mattermost's, which knows no blocks and other
    marks for bold: text and one link, with what both would take for a command made harmless."""
    said = sentence(body)
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        said = said.replace(character, escaped)
    said = said.replace("@", "@\u200b")  # else Mattermost calls everybody at @all
    return {"text": f"{said} <{body['data']['url']}|Open>"}


def mail(body: Mapping[str, Any]) -> tuple[str, str]:
    """(subject, text) of an e-mail."""
    facts = body["data"]
    shown = {name: held for name, held in facts.items() if name not in ("url", "layer")}
    lines = [f"{name}: {_line(held)}" for name, held in shown.items()]
    text = "\n".join(
        [f"{sentence(body)}.", "", *lines, f"at: {body['timestamp']}", "", facts["url"]]
    )
    return f"[ConfHub] {sentence(body)}"[:200], f"{text}\n"


def _why(text: Any) -> str:
    return f": {_line(text)}" if text else ""


def _line(text: Any) -> str:
    """On one line, without what no line has, and not too long."""
    words = "".join(each if each.isprintable() else " " for each in str(text)).split()
    line = " ".join(words)
    return line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 1]}…"
