"""What docker-compose.yml promises: hardened, healthy, no default secret, no fixed base image."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
OURS = ("migrate", "web", "worker", "beat", "host", "demo")
SECRETS = ("SECRET_KEY", "CONFHUB_MASTER_KEYS", "POSTGRES_PASSWORD", "REDIS_PASSWORD")


def test_everything_of_the_contract_is_there() -> None:
    assert set(SERVICES) == {"postgres", "redis", "etcd", *OURS}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_has_no_default_and_its_absence_names_the_way_out(name: str) -> None:
    uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", TEXT)

    assert uses
    assert set(uses) == {":?run make compose-env once to write .env with random secrets"}


@pytest.mark.parametrize("name", OURS)
def test_our_processes_have_a_read_only_root_and_no_new_privileges(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_only_the_host_watcher_has_capabilities_and_the_host_s_processes() -> None:
    assert {name for name in SERVICES if "cap_add" in SERVICES[name]} == {"host"}
    assert {name for name in SERVICES if "pid" in SERVICES[name]} == {"host"}
    assert SERVICES["host"]["cap_add"] == ["KILL", "SYS_PTRACE", "DAC_OVERRIDE"]


def test_the_engine_s_socket_is_mounted_read_only_and_at_the_host_watcher_only() -> None:
    mounts = {
        name: [mount for mount in service.get("volumes", []) if "docker.sock" in mount]
        for name, service in SERVICES.items()
    }

    assert {name for name, found in mounts.items() if found} == {"host"}
    assert all(mount.endswith(":ro") for mount in mounts["host"])


def test_what_is_published_listens_on_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in published)


def test_every_lasting_service_is_checked_and_started_again() -> None:
    lasting = set(SERVICES) - {"migrate"}

    assert all("healthcheck" in SERVICES[name] for name in lasting)
    assert all(SERVICES[name]["restart"] == "unless-stopped" for name in lasting)


def test_every_base_image_is_a_variable() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM (\S+)(?: AS \S+)?$", dockerfile, re.MULTILINE)

    assert stages
    assert all(re.fullmatch(r"\$\{[A-Z]+_IMAGE\}", stage) for stage in stages)
    assert all(service["image"].startswith("${") for service in SERVICES.values())
    arguments = SERVICES["web"]["build"]["args"]
    assert {"PYTHON_IMAGE", "NODE_IMAGE"} == set(arguments)


def test_the_stores_keep_their_data_in_volumes() -> None:
    for name in ("postgres", "redis", "etcd"):
        assert any(mount.startswith(f"{name}:") for mount in SERVICES[name]["volumes"])
