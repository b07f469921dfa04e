"""Django's SMTP backend with a deadline for the whole of a mail, because its own limit begins anew
with every byte that a server lets fall."""

import contextlib
import smtplib
import socket
import threading
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

LIMIT_S = 15.0  # from the first look at the name to the server's last word
STEP_S = 10.0  # between two bytes


class _Bounded(smtplib.SMTP):
    """Hangs up when the time is over, whatever the server does meanwhile."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._over = threading.Timer(LIMIT_S, self._hang_up)
        self._over.daemon = True
        self._over.start()
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            self._over.cancel()
            raise

    def close(self) -> None:
        self._over.cancel()
        super().close()

    def _hang_up(self) -> None:
        held = getattr(self, "sock", None)
        if held is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)


class _BoundedTLS(_Bounded, smtplib.SMTP_SSL):
    pass


class BoundedBackend(EmailBackend):
    """What EMAIL_URL names; one mail, or fifteen seconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout = self.timeout or STEP_S

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _BoundedTLS if self.use_ssl else _Bounded
