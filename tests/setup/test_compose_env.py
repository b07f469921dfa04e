"""docs/operating/compose-env.sh: every secret is made once, and what is there stays."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

from watchers.wire.sealing import SealingKey

ROOT = Path(__file__).resolve().parent.parent.parent


def run(folder: Path) -> dict[str, str]:
    """Run a copy of the script in `folder`; the settings in the .env that it leaves."""
    at = folder / "docs" / "operating"
    at.mkdir(parents=True, exist_ok=True)
    for path in ("docs/operating/compose-env.sh", ".env.example"):
        shutil.copy(ROOT / path, folder / path)
    subprocess.run(
        ["sh", str(at / "compose-env.sh")], check=True, capture_output=True, env=dict(os.environ)
    )
    lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_each_secret_is_made_and_the_master_key_can_be_used(tmp_path: Path) -> None:
    first = run(tmp_path)
    mode = stat.S_IMODE((tmp_path / ".env").stat().st_mode)

    assert mode == 0o600
    assert len({first["SECRET_KEY"], first["POSTGRES_PASSWORD"], first["REDIS_PASSWORD"]}) == 3
    assert len(SealingKey.from_text(first["CONFHUB_MASTER_KEYS"]).raw) == 32
    assert run(tmp_path) == first, "what is there stays"


def test_a_file_from_before_gets_the_master_key_and_keeps_the_rest(tmp_path: Path) -> None:
    old = "SECRET_KEY=kept\n# a note\nCONFHUB_MASTER_KEYS=\nPOSTGRES_PASSWORD=kept-too\n"
    (tmp_path / ".env").write_text(old)

    found = run(tmp_path)

    assert found.pop("CONFHUB_MASTER_KEYS")
    assert found == {"SECRET_KEY": "kept", "POSTGRES_PASSWORD": "kept-too"}
    assert "# a note" in (tmp_path / ".env").read_text()
