"""Addresses of the pages."""

from typing import Any

from django.urls import URLPattern, path, re_path

from dashboard.pages import (
    all_environments,
    audit,
    compare,
    config,
    edits,
    environments,
    exports,
    imports,
    instance,
    key,
    layers,
    live,
    people,
    promote,
    raw,
    releases,
    requests,
    reveal,
    review,
    rollback,
    schema,
    schema_key,
    search,
    service,
    services,
    session,
)

_SCOPE = "services/<slug:service>/<slug:environment>/"


def _layer(path_end: str, view: Any, name: str) -> list[URLPattern]:
    """Both addresses of a layer's page; the global layer has no name of its own."""
    kinds = "(?P<kind>environment|set|service)/(?P<slug>[a-z0-9-]{1,63})"
    return [
        re_path(rf"^layers/(?P<kind>global)/{path_end}$", view, name=name),
        re_path(rf"^layers/{kinds}/{path_end}$", view, name=name),
    ]


urlpatterns: list[URLPattern] = [
    path("", services.home, name="home"),
    path("sign-in/", session.sign_in, name="sign-in"),
    path("sign-out/", session.sign_out, name="sign-out"),
    path("theme/", session.theme, name="theme"),
    path("search/", search.search, name="search"),
    path("compare/", compare.compare, name="compare"),
    path("services/", services.services, name="services"),
    path("environments/", environments.environments, name="environments"),
    path("environments/<slug:environment>/", environments.environment, name="environment"),
    path("environments/<slug:environment>/freeze/", environments.freeze, name="freeze"),
    path("environments/<slug:environment>/thaw/", environments.thaw, name="thaw"),
    path("requests/", requests.requests, name="requests"),
    path("requests/<int:number>/", requests.request_page, name="request"),
    path("layers/", layers.layers, name="layers"),
    *_layer("", layers.layer, "layer"),
    *_layer("key/", layers.key, "layer-key"),
    *_layer("reveal/", reveal.reveal_in_layer, "layer-reveal"),
    *_layer("raw/", raw.layer, "layer-raw"),
    *_layer("import/", imports.layer, "layer-imports"),
    *_layer("export/", exports.layer, "layer-export"),
    *_layer("edits/", edits.edits, "layer-edits"),
    *_layer("undo/", edits.undo, "layer-undo"),
    *_layer("redo/", edits.redo, "layer-redo"),
    *_layer("review/", layers.review, "layer-review"),
    *_layer("review/discard/", layers.discard, "layer-discard"),
    *_layer("review/rebase/", layers.rebase, "layer-rebase"),
    *_layer("releases/", layers.history, "layer-releases"),
    *_layer("model/", layers.model, "part-layer"),
    path("people/", people.people, name="people"),
    path("people/<str:name>/", people.person, name="person"),
    path("people/<str:name>/give/", people.give, name="person-give"),
    path("people/<str:name>/take/<int:grant>/", people.take, name="person-take"),
    path("people/<str:name>/switch/", people.switch, name="person-switch"),
    path("people/<str:name>/password/", people.password, name="person-password"),
    path("audit/", audit.audit, name="audit"),
    re_path(r"^audit/audit\.(?P<format>csv|jsonl)$", audit.download, name="audit-download"),
    path("services/<slug:service>/", service.service, name="service"),
    path("services/<slug:service>/schema/", schema.schema, name="schema"),
    path("services/<slug:service>/schema/key/", schema_key.key, name="schema-key"),
    path(
        "services/<slug:service>/schema/versions/<int:number>/",
        schema.version,
        name="schema-version",
    ),
    path(
        "services/<slug:service>/all/", all_environments.all_environments, name="all-environments"
    ),
    path("services/<slug:service>/all/key/", all_environments.key, name="all-key"),
    path("services/<slug:service>/all/promote/", promote.promote, name="promote"),
    path("services/<slug:service>/includes/", service.includes, name="includes"),
    path(f"{_SCOPE}follow/", service.follow, name="follow"),
    path(_SCOPE, live.live, name="live"),
    path(f"{_SCOPE}config/", config.config, name="config"),
    path(f"{_SCOPE}config/key/", key.key, name="key"),
    path(f"{_SCOPE}config/reveal/", reveal.reveal, name="reveal"),
    path(f"{_SCOPE}config/raw/", raw.scope, name="raw"),
    path(f"{_SCOPE}config/import/", imports.scope, name="imports"),
    path(f"{_SCOPE}config/export/", exports.scope, name="export"),
    path(f"{_SCOPE}config/edits/", edits.edits, name="edits"),
    path(f"{_SCOPE}config/undo/", edits.undo, name="undo"),
    path(f"{_SCOPE}config/redo/", edits.redo, name="redo"),
    path(f"{_SCOPE}review/", review.review, name="review"),
    path(f"{_SCOPE}review/discard/", review.discard, name="discard"),
    path(f"{_SCOPE}review/rebase/", review.rebase, name="rebase"),
    path(f"{_SCOPE}releases/", releases.releases, name="releases"),
    path(f"{_SCOPE}releases/<int:number>/", releases.release, name="release"),
    path(f"{_SCOPE}releases/<int:number>/rollback/", rollback.rollback, name="rollback"),
    path(f"{_SCOPE}instances/<str:instance_id>/", instance.instance, name="instance"),
    path(f"{_SCOPE}instances/<str:instance_id>/ask/", instance.ask, name="instance-ask"),
    # Pieces of pages, drawn anew when something happens.
    path("parts/services/", services.part, name="part-services"),
    path("parts/services/<slug:service>/", service.part, name="part-service"),
    path("parts/requests/<int:number>/", requests.part, name="part-request"),
    path(f"parts/{_SCOPE}head/", live.head_part, name="part-head"),
    path(f"parts/{_SCOPE}grid/", live.grid_part, name="part-grid"),
    path(f"parts/{_SCOPE}config/", config.model, name="part-config"),
    path(f"parts/{_SCOPE}releases/", releases.part, name="part-releases"),
    path(f"parts/{_SCOPE}releases/<int:number>/", releases.publication_part, name="part-release"),
    path(f"parts/{_SCOPE}instances/<str:instance_id>/", instance.part, name="part-instance"),
]
