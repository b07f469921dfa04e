"""`make lock`: the lock files anew from pyproject.toml, hashed, and without any index's address."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / "var" / "lock-tools"
UV = "uv==0.13.9"
OLDEST_PYTHON = "3.11"

# lock file -> the extras of pyproject.toml that it holds, and whether beside the dependencies
LOCKS = {
    "requirements.lock": (["install"], True),
    "requirements-dev.lock": (["install", "dev"], True),
    "requirements-etcd.lock": (["etcd"], False),
    "requirements-redis.lock": (["redis"], False),
    "requirements-node.lock": (["node"], False),
}


def main() -> int:
    uv = TOOLS / "bin" / "uv"
    if not uv.exists():
        shutil.rmtree(TOOLS, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(TOOLS)], check=True)
        pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", UV], check=True)
    for lock, (extras, with_dependencies) in LOCKS.items():
        print(f"· {lock} …", flush=True)
        subprocess.run(
            [
                str(uv), "pip", "compile", "-", "--output-file", lock, "--quiet", "--no-header",
                "--generate-hashes", "--universal", "--python-version", OLDEST_PYTHON,
                "--no-emit-index-url", "--no-emit-find-links",
            ],
            cwd=ROOT, check=True, text=True, input=_wanted(extras, with_dependencies),
        )  # fmt: skip
        path = ROOT / lock
        path.write_text(f"# Made by `make lock` from pyproject.toml.\n{path.read_text()}")
    return 0


def _wanted(extras: list[str], with_dependencies: bool) -> str:
    """The requirements that pyproject.toml names, one a line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"]) if with_dependencies else []
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
