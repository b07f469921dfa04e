"""Addresses of the pages."""

from django.urls import URLPattern, path

from dashboard.pages import (
    config,
    environments,
    instance,
    key,
    live,
    releases,
    review,
    rollback,
    service,
    services,
    session,
)

_SCOPE = "services/<slug:service>/<slug:environment>/"

urlpatterns: list[URLPattern] = [
    path("", services.home, name="home"),
    path("sign-in/", session.sign_in, name="sign-in"),
    path("sign-out/", session.sign_out, name="sign-out"),
    path("theme/", session.theme, name="theme"),
    path("services/", services.services, name="services"),
    path("environments/", environments.environments, name="environments"),
    path("services/<slug:service>/", service.service, name="service"),
    path(_SCOPE, live.live, name="live"),
    path(f"{_SCOPE}config/", config.config, name="config"),
    path(f"{_SCOPE}config/key/", key.key, name="key"),
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
    path(f"parts/{_SCOPE}head/", live.head_part, name="part-head"),
    path(f"parts/{_SCOPE}grid/", live.grid_part, name="part-grid"),
    path(f"parts/{_SCOPE}config/", config.model, name="part-config"),
    path(f"parts/{_SCOPE}releases/", releases.part, name="part-releases"),
    path(f"parts/{_SCOPE}releases/<int:number>/", releases.publication_part, name="part-release"),
    path(f"parts/{_SCOPE}instances/<str:instance_id>/", instance.part, name="part-instance"),
]
