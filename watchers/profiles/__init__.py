"""What is known about each program: how it checks, reloads and proves its configuration."""

from watchers.profiles.base import Profile
from watchers.profiles.celery import CELERY
from watchers.profiles.gunicorn import GUNICORN
from watchers.profiles.haproxy import HAPROXY
from watchers.profiles.httpd import HTTPD
from watchers.profiles.nginx import NGINX
from watchers.profiles.postgresql import POSTGRESQL
from watchers.profiles.prometheus import PROMETHEUS
from watchers.profiles.redis import REDIS
from watchers.profiles.uvicorn import UVICORN

KNOWN: tuple[Profile, ...] = (
    UVICORN,
    GUNICORN,
    CELERY,
    HAPROXY,
    HTTPD,
    NGINX,
    POSTGRESQL,
    PROMETHEUS,
    REDIS,
)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in KNOWN}
