"""What is known about each program: how it checks, reloads and proves its configuration."""

from watchers.profiles.base import Profile

KNOWN: tuple[Profile, ...] = ()
PROFILES: dict[str, Profile] = {profile.name: profile for profile in KNOWN}
