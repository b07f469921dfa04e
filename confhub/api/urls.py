"""Addresses of the REST interface and of the health checks."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from confhub.api import doors, health, reference
from confhub.api.interface import api

_calls, _app, _namespace = api.urls
_documents = [
    path("api/v1/openapi.json", reference.document, name="api-document"),
    path("api/v1/docs", reference.page, name="api-docs"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    *doors.guarded(_documents),
    path("api/v1/", include((doors.guarded(_calls), _app), namespace=_namespace)),
    re_path(r"^api(?:/(?P<rest>.*))?$", doors.unknown),
]
