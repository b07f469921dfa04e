"""A release as files in the directory, its secrets opened, and seen by the workload that is told."""

from collections.abc import Mapping
from pathlib import Path

from watchers import processes
from watchers.inside import Inside
from watchers.instance.keeping import Keeping
from watchers.labels import Wishes
from watchers.render.errors import CannotRender
from watchers.render.release import render
from watchers.runtimes.base import CannotReach, Workload
from watchers.swap.disk import Directory, Owner
from watchers.wire.documents import ReleaseDocument


class Rendering(Keeping):
    """The steps between a document in etcd and its files."""

    _templated: tuple[object, dict[str, bytes]] = (None, {})  # (what of, the files)

    def _learn(self, document: ReleaseDocument) -> None:
        """Know its secrets before anything is said of it; that they do not open is said later."""
        try:
            self._around.secrets().opened(document, self._id)
        except CannotRender:
            return

    def _rendered(
        self, document: ReleaseDocument, wishes: Wishes
    ) -> tuple[ReleaseDocument, dict[str, bytes]]:
        """(the document with its secrets opened, its files). Raises CannotRender."""
        opened = self._around.secrets().opened(document, self._id)
        if not wishes.files.templates:
            return opened, render(opened, wishes.files)
        # A look must not cost a process each time; a template changes with its container's start.
        of = (document.release, document.checksum, wishes.files, self._around.workload().process)
        if self._templated[0] != of:
            inside = self._around.inside()
            self._templated = of, render(opened, wishes.files, read=inside.read)
        return opened, dict(self._templated[1])

    def _write(
        self, directory: Directory, document: ReleaseDocument, files: Mapping[str, bytes]
    ) -> str:
        """The generation's name. Raises CannotWrite, and CannotReach where no secret may stand."""
        if not document.secret_keys:
            return directory.write(document.release, files)
        if not directory.is_in_memory() and not self._around.secrets().on_disk:
            raise CannotReach(
                f"Release {document.release} holds secrets, and {directory.name} is on a disk, "
                "which would keep them. Mount a tmpfs there (`--tmpfs PATH`, or a volume made with "
                "`docker volume create --opt type=tmpfs --opt device=tmpfs NAME`; for `confhub "
                "run`, a --dir below /dev/shm), or set CONFHUB_SECRETS_ON_DISK=true for this host."
            )
        owner = owner_of(self._around.workload()) or directory.owner()
        if owner is None:
            raise CannotReach(
                "It does not run, so it is not known which user its secrets are for. They are "
                "written once it runs."
            )
        return directory.write(document.release, files, owner=owner)

    def _require_seen(
        self, directory: Directory, inside: Inside, wishes: Wishes, files: Mapping[str, bytes]
    ) -> None:
        """Raises CannotReach unless the workload reads what was swapped in."""
        if directory.seen_from_inside:
            return  # it was opened through the workload's own root, so it is the same directory
        # Here, because most directories are, and the rest shall not be paid for.
        from watchers.swap.view import NotSeen, require_seen

        try:
            require_seen(inside, wishes.directory, files)
        except NotSeen as error:
            process = self._around.workload().process
            if process is None or processes.identify(process.pid) != process:
                return  # it ended while it was looked through; its successor begins with the files
            raise CannotReach(str(error)) from error


def owner_of(workload: Workload) -> Owner | None:
    """(uid, gid) that the workload's process has here; our own for one that we are about to start."""
    if workload.process is None:
        return Owner.ours() if workload.runtime == "process" else None
    try:
        text = Path(f"/proc/{workload.process.pid}/status").read_text(errors="replace")
    except OSError:
        return None
    found = {line.split(":")[0]: line.split() for line in text.splitlines()}
    # Real, effective, saved, file system: the last is what opens files.
    return Owner(int(found["Uid"][4]), int(found["Gid"][4]))
