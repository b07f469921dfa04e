"""PostgreSQL takes what is valid, waits for a restart where it must, and never half of a bad file."""

from collections.abc import Mapping

import pytest

from tests.parts.servers import wait_until
from tests.watchers.profiles.kit import Bench, Running
from tests.watchers.profiles.snippets import blocks, snippet

pytestmark = pytest.mark.docker
(CONFIG,) = blocks("postgresql", "ini")
TRUST = "local all all trust\n"
# What the official image's entrypoint does: a data directory once, then the server as its own user.
ENTRYPOINT = r"""#!/bin/sh
set -e
export PATH="/usr/lib/postgresql/15/bin:$PATH"
as="setpriv --reuid=postgres --regid=postgres --init-groups"
mkdir -p /var/run/postgresql
chown postgres /var/run/postgresql "$PGDATA"
chmod 0700 "$PGDATA"
[ -e "$PGDATA/PG_VERSION" ] || $as initdb --no-sync --auth=peer -D "$PGDATA" >/dev/null
[ -z "$FRAGMENT" ] || echo "$FRAGMENT" >>"$PGDATA/postgresql.conf"
exec $as "$@"
"""
BEGIN = 'printf %s "$ENTRYPOINT" >/usr/bin/docker-entrypoint.sh; chmod +x /usr/bin/docker-entrypoint.sh; exec "$@"'
PATH = "/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def start(
    bench: Bench,
    values: Mapping[str, str],
    command: list[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Running:
    """The documented service, with an entrypoint that does as the official image's."""
    documented = snippet("postgresql")
    told = {"PGDATA": "/var/lib/postgresql/data", "ENTRYPOINT": ENTRYPOINT, "PATH": PATH}
    return bench.run(
        values, documented, ["sh", "-c", BEGIN, "sh", *(command or documented.command)],
        labels=labels, environment={**documented.keys["environment"], **told, **(environment or {})},
    )  # fmt: skip


def show(one: Running, name: str) -> str:
    """What the server says, asked by the engine past the code under test."""
    said = one.execute("psql", "-XAtqc", f"SHOW {name}", "postgres", user="postgres")
    return said.strip()


def publish(one: Running, text: str, **more: str) -> int:
    return one.publish({"postgresql.conf": text, **more})


def waiting(one: Running, release: int) -> tuple[str, ...]:
    receipt = one.until("delivered", release).receipt
    return tuple(receipt.pending_restart) if receipt else ()


def test_a_change_is_loaded_without_a_restart_and_a_bad_one_is_refused_whole(bench: Bench) -> None:
    one = start(bench, {"postgresql.conf": CONFIG})

    publish(one, CONFIG.replace("work_mem = 4MB", "# moved down\nwork_mem = 8MB"))
    one.confirmed(2)
    assert show(one, "work_mem") == "8MB"

    publish(one, CONFIG.replace("4MB", "16MB") + "log_min_messages = nonsense\n")
    reason = one.failed(3, "check")
    assert 'invalid value for parameter "log_min_messages": "nonsense"' in reason
    publish(one, CONFIG.replace("work_mem = 4MB", "work_mem == 4MB"))
    assert "syntax error" in one.failed(4, "check")
    publish(one, CONFIG + "no_such_setting = 1\n")
    assert 'unrecognized configuration parameter "no_such_setting"' in one.failed(5, "check")

    assert (one.files / "release").read_text() == "2\n"
    assert show(one, "work_mem") == "8MB"
    assert one.not_restarted()


def test_what_needs_a_restart_waits_for_it_while_the_rest_is_applied(bench: Bench) -> None:
    one = start(bench, {"postgresql.conf": CONFIG})

    publish(one, CONFIG.replace("= 100", "= 50").replace("4MB", "8MB"))
    wait_until(
        lambda: waiting(one, 2) == ("max_connections",),
        what="the receipt names what waits",
        timeout_s=30,
    )

    assert (show(one, "max_connections"), show(one, "work_mem")) == ("100", "8MB")
    assert one.not_restarted()


def test_a_ladder_restarts_the_container_for_it(bench: Bench) -> None:
    one = start(
        bench, {"postgresql.conf": CONFIG}, labels={"confhub.reload": "profile:postgresql ; restart"}
    )  # fmt: skip

    publish(one, CONFIG.replace("4MB", "8MB"))
    one.confirmed(2)
    assert one.not_restarted()
    publish(one, CONFIG.replace("= 100", "= 50"))
    one.confirmed(3)

    assert show(one, "max_connections") == "50"
    assert not one.not_restarted()


def test_pg_hba_is_looked_at_before_it_is_told_and_never_shuts_the_agent_out(bench: Bench) -> None:
    config = CONFIG + "hba_file = '/run/confhub/pg_hba.conf'\n"
    labels = {"confhub.files": "json,entry:postgresql.conf,entry:pg_hba.conf"}
    one = start(bench, {"postgresql.conf": config, "pg_hba.conf": TRUST}, labels=labels)

    publish(one, config, **{"pg_hba.conf": TRUST + "host all all nowhere\n"})
    reason = one.failed(2, "reload")
    assert "/run/confhub/pg_hba.conf line 2: " in reason
    publish(one, config, **{"pg_hba.conf": "local all all reject\n"})
    reason = one.failed(3, "confirm")
    assert "pg_hba.conf rejects connection" in reason
    assert "local all postgres peer" in reason
    wait_until(lambda: show(one, "work_mem") == "4MB", what="the old rules are back")
    publish(one, config, **{"pg_hba.conf": TRUST + "host all all 10.0.0.0/8 scram-sha-256\n"})
    one.confirmed(4)
    assert one.not_restarted()


def test_a_setting_that_another_place_goes_over_is_not_called_applied(bench: Bench) -> None:
    one = start(bench, {"postgresql.conf": CONFIG})
    one.execute("psql", "-XAtqc", "ALTER SYSTEM SET work_mem = '2MB'", "postgres", user="postgres")

    publish(one, CONFIG.replace("4MB", "8MB"))
    reason = one.failed(2, "confirm")

    assert "work_mem (/var/lib/postgresql/data/postgresql.auto.conf line 3)" in reason
    assert "ALTER SYSTEM RESET" in reason


def test_a_fragment_of_the_images_own_file_is_checked_and_proven_too(bench: Bench) -> None:
    fragment = "work_mem = 4MB\n"
    one = start(
        bench, {"site.conf": fragment},
        ["sh", "-c", "until [ -e /run/confhub/site.conf ]; do sleep 0.1; done; exec docker-entrypoint.sh postgres"],
        labels={"confhub.files": "json,entry:site.conf"},
        environment={"FRAGMENT": "include_if_exists = '/run/confhub/site.conf'"},
    )  # fmt: skip

    one.publish({"site.conf": "work_mem = 8MB\n"})
    one.confirmed(2)
    assert show(one, "work_mem") == "8MB"
    one.publish({"site.conf": "work_mem = much\n"})
    assert 'invalid value for parameter "work_mem": "much"' in one.failed(3, "check")
    assert one.not_restarted()
