"""What can be compared, by the words that one asks for it with.

checkout@dev                       the newest release
checkout@dev/draft                 what would be published now
checkout@dev/r42                   release 42
checkout@dev/instances/ID          the release that an instance runs
checkout@dev/instances/ID/target   the release that it should run
"""

import re

from confhub.access.policies import NotFound
from confhub.access.queries import scope_for
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.core.errors import ConfHubError
from confhub.fleet.queries import tile_for
from confhub.releases.comparing import BadComparison, Side
from confhub.releases.queries import head_of, release_for, resolved_draft

_SIDE = re.compile(
    r"(?P<service>[^@/\s]+)@(?P<environment>[^@/\s]+)"
    r"(?:/(?:(?P<draft>draft)|r(?P<number>[0-9]{1,9})|instances/(?P<instance>.+?)(?P<target>/target)?))?"
)


def side_of(who: Actor, text: str, *, field: str = "a") -> Side:
    """The entries that `text` names, as far as `who` may see them.

    Raises BadComparison (it names nothing that can be compared), NotFound, NotAllowed; each names
    `field`, the parameter that it came in.
    """
    name = text.strip()
    asked = _SIDE.fullmatch(name)
    if asked is None:
        sentence = "Write service@environment, and behind it /draft, /r42 or /instances/ID."
        raise BadComparison(
            f"{name[:120]!r} names nothing that can be compared. {sentence}",
            fields={field: sentence},
        )
    try:
        scope = scope_for(who, "see", asked["service"], asked["environment"])
        if asked["draft"]:
            return Side(name, f"draft of {scope}", resolved_draft(scope))
        if asked["number"]:
            return _release(who, scope, name, int(asked["number"]), str(scope))
        if asked["instance"]:
            return _instance(who, scope, name, asked["instance"], target=bool(asked["target"]))
    except ConfHubError as error:
        error.fields = {field: error.detail}
        raise
    head = head_of(scope)
    if head is None:
        return Side(name, f"{scope} (nothing published)", {})
    return Side(name, f"{scope} r{head.number}", head.shown, head.number)


def _release(who: Actor, scope: Scope, name: str, number: int, title: str) -> Side:
    held = release_for(who, "see", scope, number)
    return Side(name, f"{title} r{held.number}", held.shown, held.number)


def _instance(who: Actor, scope: Scope, name: str, instance: str, *, target: bool) -> Side:
    tile = tile_for(who, scope, instance)
    number = tile["target"] if target else tile["running"]
    if number is None:
        what = "no target yet" if target else "not run any release yet"
        raise NotFound(f"{tile['name']} of {scope} has {what}, so there is nothing to compare.")
    word = "target" if target else "running"
    return _release(who, scope, name, number, f"{tile['name']} of {scope}, {word}")
