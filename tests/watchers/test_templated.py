"""A template of the image, delivered with the release: from the label to the file."""

from collections.abc import Callable
from pathlib import Path

from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.served import Process, Served

Serve = Callable[..., Served]


def test_a_template_follows_each_release_and_a_bad_one_changes_nothing(
    serve: Serve, publisher: Publisher, process: Process, tmp_path: Path
) -> None:
    template = tmp_path / "app.conf.j2"
    template.write_text("max = {{ MAX }}\n")
    served = serve(files=f"json,app.conf={template}")

    publisher.publish({"MAX": 1})
    served.until("confirmed", 1)
    assert (process.directory / "app.conf").read_text() == "max = 1\n"
    publisher.publish({"OTHER": 2})
    status = served.until("failed", 2)

    assert status.receipt is not None
    assert status.receipt.stage == "render"
    assert f"app.conf ({template}, line 1): 'MAX' is undefined" in status.receipt.reason
    assert (process.directory / "app.conf").read_text() == "max = 1\n"
    assert [line["release"] for line in process.lines()] == [0, 1]


def test_a_template_that_is_not_there_yet_is_tried_again(
    serve: Serve, publisher: Publisher, process: Process, tmp_path: Path
) -> None:
    template = tmp_path / "late.j2"
    served = serve(files=f"json,app.conf={template}")
    publisher.publish({"MAX": 1})
    status = served.until("failed", 1)
    assert status.receipt is not None
    assert f"{template} cannot be read in the workload: No such file" in status.receipt.reason
    assert status.problems

    template.write_text("{{ release }}")
    served.agent.look_again()

    served.until("confirmed", 1)
    wait_until(
        lambda: (s := served.status()) is not None and not s.problems, what="the problem is gone"
    )
