"""What can go wrong with etcd, as five cases that a caller treats differently, and the table of gRPC codes.

EtcdError
├── Unreachable      nothing was asked, or nothing answered a read: try again later
├── OutcomeUnknown   a write may or may not have happened: read again before repeating it
├── Denied           authentication or permission: somebody must give us a role
├── Refused          the request is wrong and stays wrong
│   └── LeaseGone    its lease has expired or was revoked: take a new one
└── StoreFull        the NOSPACE alarm: an operator must compact, defragment and disarm
"""

import grpc

# The transport's own words for "no connection, so nothing was sent", and etcd's for "turned away at
# the door". Any other UNAVAILABLE may come after the write was proposed, so it stays unknown.
# https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go
NEVER_SENT = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "dns resolution failed",
    "empty address list",
    "etcdserver: no leader",
    "etcdserver: too many requests",
)
# etcd answers these under INVALID_ARGUMENT and FAILED_PRECONDITION, though they are about who asks.
ABOUT_WHO_ASKS = (
    "authentication failed",
    "user name is empty",
    "authentication is not enabled",
    "invalid auth",
    "revision of auth store is old",
    "permission denied",
)
# Words after which a new token may help: it expired, or users and roles have changed since.
STALE_TOKEN = ("invalid auth token", "revision of auth store is old")

_MAYBE_DONE = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_DENIED = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
# The endpoint, not the request, is at fault: another one may answer.
ENDPOINT_FAILED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
}


class EtcdError(Exception):
    """Something about etcd; the text is a sentence that names the endpoints."""


class Unreachable(EtcdError):
    """Nothing was asked, or nothing answered a read: try again later."""


class OutcomeUnknown(EtcdError):
    """A write may or may not have happened: read again before repeating it."""


class Denied(EtcdError):
    """Authentication or permission. Trying again helps only once somebody has changed that."""


class Refused(EtcdError):
    """The request itself is wrong and stays wrong: too large, too many operations, a key twice."""


class LeaseGone(Refused):
    """The lease that a put named has expired or was revoked. Take a new one and put again."""


class StoreFull(EtcdError):
    """The NOSPACE alarm. Reads and deletes go on; compact, defragment, then disarm the alarm.

    A write may have been stored all the same
    (https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota).
    """


class Compacted(EtcdError):
    """The revision asked for is no longer, or not yet, in the store: read where things stand now."""


class AnswerTooLarge(Refused):
    """The answer is larger than this client takes in one message: ask for less at a time."""


def classify(code: grpc.StatusCode, details: str, *, endpoints: str, writes: bool) -> EtcdError:
    """The error that a call's status stands for.

    `endpoints` names where it was asked ("127.0.0.1:2379"); `writes` says whether the call may
    have changed something, so that "no answer" and "not done" are kept apart.
    """
    said = details.lower()
    sentence = f"etcd at {endpoints}: {details.rstrip('.') or code.name}."
    if code in _DENIED or any(words in said for words in ABOUT_WHO_ASKS):
        return Denied(f"{sentence} Give this user a role for these keys, or another login.")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _exhausted(said, sentence, writes=writes)
    if code is grpc.StatusCode.OUT_OF_RANGE:
        return Compacted(sentence)
    if code in _MAYBE_DONE:
        if writes and not was_never_sent(details):
            return OutcomeUnknown(f"{sentence} The write may have been stored or not.")
        return Unreachable(sentence)
    if code is grpc.StatusCode.NOT_FOUND and "lease" in said:
        return LeaseGone(sentence)
    return Refused(sentence)


def _exhausted(said: str, sentence: str, *, writes: bool) -> EtcdError:
    """RESOURCE_EXHAUSTED has four meanings, told apart by their words only."""
    if "database space exceeded" in said:
        return StoreFull(f"{sentence} Compact and defragment it, then disarm the alarm.")
    if "too many requests" in said:
        return Unreachable(sentence)
    if "grpc: received message larger than max" not in said and "received message larger" in said:
        # Our own transport said so of the answer, which means that the request was carried out.
        if writes:
            return OutcomeUnknown(f"{sentence} The write was answered, but not readably.")
        return AnswerTooLarge(sentence)
    return Refused(sentence)


def was_never_sent(details: str) -> bool:
    """True when the transport, or etcd at its door, says that the call was not even looked at."""
    said = details.lower()
    return any(words in said for words in NEVER_SENT)


def wants_new_token(code: grpc.StatusCode, details: str) -> bool:
    """True when logging in again may turn the refusal into an answer."""
    said = details.lower()
    return code is grpc.StatusCode.UNAUTHENTICATED or any(words in said for words in STALE_TOKEN)
