"""The surroundings of a workload that a command looks at once, with no thread to serve it."""

from watchers.inside import Inside
from watchers.processes import ProcessId
from watchers.runtimes.base import Runtime, Workload
from watchers.swap.disk import Directory
from watchers.unsealing import Secrets
from watchers.wire.documents import ReleaseDocument


class Still:
    """The surroundings of a workload that is only looked at."""

    def __init__(self, runtime: Runtime, workload: Workload, secrets: Secrets) -> None:
        self._runtime, self._workload, self._secrets = runtime, workload, secrets
        self.before: set[str] = set()  # generations that were there before us

    def workload(self) -> Workload:
        return self._workload

    def changed_from(self, process: ProcessId) -> Workload:
        return self._workload

    def directory(self) -> Directory:
        directory = self._runtime.directory(self._workload)
        self.before = directory.generations()
        return directory

    def secrets(self) -> Secrets:
        return self._secrets

    def keep_proven(self, document: ReleaseDocument) -> None:
        """Nothing is proven by looking."""

    def inside(self) -> Inside:
        return self._runtime.inside(self._workload)

    def stopping(self) -> bool:
        return True
