"""Addresses of the REST interface and of the health checks."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
