"""All addresses: REST under /api/v1, health at the root, pages everywhere else."""

from django.urls import include, path

urlpatterns = [
    path("", include("confhub.api.urls")),
    path("", include("dashboard.urls")),
]
handler500 = "dashboard.pages.errors.server_error"
