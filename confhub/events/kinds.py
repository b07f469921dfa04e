"""Every kind of event an open page can be told of, with the shape of its data.

docs/protocols/live.md is checked against this list.
"""

KINDS: dict[str, str] = {
    "service.changed": "{service}: a service was made, changed or removed",
    "environment.changed": "{environment}: an environment was made, changed or removed",
    "draft.changed": "{version, keys, by}: keys of the draft that were set, removed or put back",
    "release.published": "{release, message, author, created_at, checksum}: frozen, on its way",
    "publication.written": "{release, revision, took_ms}: the pointer in etcd says this release",
    "publication.delayed": "{release, error}: etcd did not take it yet; it stays queued",
    "request.changed": "{request, state, done, by}: of an approval; done: asked, approved, commented …",
    "webhook.switched_off": "{webhook, reason, service, environment}: by ConfHub itself",
    "instance.changed": "an instance's tile, whole (confhub.fleet.tiles)",
    "instance.gone": "an instance's tile, whole; its status left etcd",
}
