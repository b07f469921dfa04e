"""The secrets of a release, opened with the keys that this agent was given, in memory alone."""

from dataclasses import dataclass, field, replace

from watchers.redact import REDACTOR
from watchers.render.errors import CannotRender
from watchers.wire.documents import ReleaseDocument
from watchers.wire.sealing import CannotOpen, Keyring, unseal


@dataclass(frozen=True)
class Secrets:
    """What this agent may do with secret entries."""

    keyring: Keyring = field(default_factory=Keyring)
    on_disk: bool = False  # they may be written where a disk would keep them

    def opened(self, document: ReleaseDocument, instance_id: str) -> ReleaseDocument:
        """`document` with its secret values in clear, for rendering and never for writing it down.

        From here on they are masked in whatever is said of the instance. Raises CannotRender, to be
        tried again: another start of the agent may have the key.
        """
        if not document.secret_keys:
            return document
        entries, values = dict(document.entries), {}
        for key in document.secret_keys:
            try:
                values[key] = unseal(
                    str(document.entries[key].get("ciphertext", "")),
                    self.keyring,
                    service=document.service,
                    environment=document.environment,
                    name=key,
                )
            except CannotOpen as error:
                raise CannotRender(str(error), passing=True) from error
            entries[key] = {"secret": True, "value": values[key]}
        REDACTOR.learn(instance_id, values)
        return replace(document, entries=entries)
