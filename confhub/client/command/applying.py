"""`apply`: bring configuration that is kept in git into ConfHub."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from confhub.client.command import documents, plans, publishing, waiting
from confhub.client.command.calls import Api
from confhub.client.command.common import Session, connected, reads_from
from confhub.client.command.documents import Config, Service
from confhub.client.command.failures import Failure, Problem
from confhub.client.command.plans import Plan, ServicePlan
from confhub.client.command.transfers import rank
from confhub.client.command.waiting import Target
from confhub.client.command.words import change_lines, count, printable

SUFFIXES = (".yaml", ".yml", ".json")
Options = dict[str, Any]


@click.command(name="apply", cls=publishing.Waiting)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    metavar="FILE|DIR|-",
    help="What `confhub export` writes; repeatable.",
)
@click.option(
    "--publish",
    "publishes",
    is_flag=True,
    help="Publish each place that differs, past its draft. Else the drafts are written.",
)
@click.option(
    "-m", "--message", default="", metavar="TEXT", help="With --publish: why, for the history."
)
@click.option("--dry-run", is_flag=True, help="Show the difference, and write nothing.")
@click.option("--prune", is_flag=True, help="Take out own keys that the file does not have.")
@click.option(
    "--over-drafts", is_flag=True, help="Also where somebody else's draft holds the same keys."
)
@click.option("--create", is_flag=True, help="Make services and sets that are missing.")
@click.option("--confirm", multiple=True, metavar="CODE", help="A guard that is meant; repeatable.")
@publishing.wait_option
@publishing.require_option
@connected
def apply(session: Session, *, files: tuple[str, ...], **options: Any) -> None:
    """Make places as the files say: into their drafts, or with --publish as one release for each.

    Nothing is written where nothing differs. Keys that a file does not have stay, without --prune.
    A secret's mask leaves the secret as it is.
    """
    if options["publishes"] and not options["message"] and not options["dry_run"]:
        raise click.UsageError("Missing option '-m': write why, for the history.")
    if options["wait_s"] is not None and not options["publishes"]:
        raise click.UsageError("--wait waits for what --publish publishes.")
    found = _read(files)
    services = [each for each in found if isinstance(each, Service)]
    configs = sorted((each for each in found if isinstance(each, Config)), key=lambda each: rank(each.place))  # fmt: skip
    _refuse_twice(services, configs)
    work = Apply(session, options)
    report = work.dry_run(services, configs) if options["dry_run"] else work.do(services, configs)
    session.show(report, "")


class Apply:
    """One run: everything is looked at and refused before anything is written."""

    def __init__(self, session: Session, options: Options) -> None:
        self._session, self._options = session, options
        self._targets: list[Target] = []

    @property
    def _api(self) -> Api:
        return self._session.api

    def dry_run(self, services: list[Service], configs: list[Config]) -> dict[str, Any]:
        """The difference, told and as a document."""
        service_plans = self._service_plans(services)
        found = self._plans(configs, service_plans, create=self._options["create"])
        for service_plan in service_plans:
            self._session.say(_service_words(service_plan))
        for config, plan in zip(configs, found, strict=True):
            self._session.say(_words(plan) if plan else f"{config.place} is made.")
        return {
            "dry_run": True,
            "services": [each.document for each in service_plans],
            "places": [plan.document if plan else {"place": str(config.place), "new": True} for config, plan in zip(configs, found, strict=True)],
        }  # fmt: skip

    def do(self, services: list[Service], configs: list[Config]) -> dict[str, Any]:
        """Raises Failure; what was done until then is told."""
        service_plans = self._service_plans(services)
        found = self._plans(configs, service_plans, create=self._options["create"])
        done: dict[str, Any] = {"dry_run": False, "services": [], "places": []}
        try:
            for config, plan in zip(configs, found, strict=True):
                if plan is None and config.place.kind == "set":  # services include it
                    self._api.call("POST", "/layers/sets", {"slug": config.place.slug})
            for service_plan in service_plans:
                self._apply_service(service_plan)
                done["services"].append(service_plan.document)
            for config in configs:
                done["places"].append(self._apply(config))
        except Failure as failure:
            told = [each.get("place") or each["service"] for each in (*done["services"], *done["places"])]  # fmt: skip
            failure.document["done"] = done
            if told:
                self._session.note(f"Done before it was refused: {', '.join(told)}. Mend it and run the same again; what is done stays as it is.")  # fmt: skip
            raise
        if self._options["wait_s"] is not None and self._targets:
            done["convergence"] = self._wait()
        return done

    def _service_plans(self, services: list[Service]) -> list[ServicePlan]:
        return [plans.service_plan_of(self._api, each, create=self._options["create"]) for each in services]  # fmt: skip

    def _plans(self, configs: list[Config], made: list[ServicePlan], *, create: bool) -> list[Plan | None]:  # fmt: skip
        """A plan for each; None for a place that is made first."""
        me = self._me()
        new = {each.wanted.slug for each in made if not each.exists}
        found = [self._plan_or_new(each, me, new, create=create) for each in configs]
        if not self._options["over_drafts"]:
            plans.refuse_others([each for each in found if each is not None])
        return found

    def _plan_or_new(self, config: Config, me: str, new: set[str], *, create: bool) -> Plan | None:
        if config.place.service in new or (
            config.place.kind == "service" and config.place.slug in new
        ):
            return None
        try:
            return self._plan(config, me)
        except Problem as problem:
            if problem.status == 404 and create and config.place.kind == "set":
                return None
            raise

    def _plan(self, config: Config, me: str) -> Plan:
        return plans.plan_of(self._api, config, publishes=self._options["publishes"], prune=self._options["prune"], me=me)  # fmt: skip

    def _me(self) -> str:
        """The name that stands at one's own edits."""
        return str(self._api.get("/me")["name"])

    def _apply_service(self, plan: ServicePlan) -> None:
        slug = plan.wanted.slug
        if not plan.exists:
            made = {
                name: plan.fields[name] for name in ("name", "description") if name in plan.fields
            }
            self._api.call("POST", "/services", {"slug": slug, **made})
        if plan.fields:
            self._api.call("PATCH", f"/services/{slug}", plan.fields)
        if plan.schema is not None:
            body = {"document": plan.schema, "message": self._options["message"], "expected_number": plan.schema_number}  # fmt: skip
            self._api.call("PUT", f"/services/{slug}/schema", body)
        self._session.say(_service_words(plan))

    def _apply(self, config: Config) -> dict[str, Any]:
        """Planned anew, because what was applied before it may have changed it: a layer cuts releases."""
        plan = self._plan(config, self._me())
        if not self._options["over_drafts"]:
            plans.refuse_others([plan])
        self._session.say(_words(plan))
        if plan.is_empty:
            return plan.document
        return {**plan.document, **(self._publish(plan) if plan.publishes else self._draft(plan))}

    def _draft(self, plan: Plan) -> dict[str, Any]:
        body = {"set": plan.set, "unset": plan.unset, "revert": plan.revert}
        headers = {"If-Match": f'"{plan.draft}"'}
        drafted = self._api.call(
            "PATCH", f"{plan.place.path}/draft", body, headers=headers
        ).document
        self._session.say(
            f"  The draft of {plan.place} has {count(len(drafted['changes']), 'change')}."
        )
        return {"draft": drafted["version"]}

    def _publish(self, plan: Plan) -> dict[str, Any]:
        """The release, and then the draft without the edits that it went over."""
        told: dict[str, Any] = {}
        if plan.set or plan.unset:
            body: dict[str, Any] = {"message": self._options["message"], "set": plan.set, "unset": plan.unset, "expected_release": plan.release}  # fmt: skip
            if self._options["confirm"]:
                body["confirm"] = [*self._options["confirm"]]
            answer = publishing.send(self._session, f"{plan.place.path}/releases", body)
            self._session.say(
                f"  {publishing.told(plan.place, answer.document, answer.status == 201)}"
            )
            self._targets += publishing.cut(plan.place, answer.document)
            told = {"release": answer.document["release"]}
        if plan.revert:
            self._api.call("PATCH", f"{plan.place.path}/draft", {"revert": plan.revert}, headers={"If-Match": "*"})  # fmt: skip
            self._session.say(f"  Reverted in the draft: {', '.join(plan.revert)}.")
        return told

    def _wait(self) -> list[dict[str, Any]]:
        newest = {
            target.place: target for target in self._targets
        }  # a later one has the former in it
        targets = [*newest.values()]
        found = waiting.follow(
            self._session, targets, self._options["wait_s"],
            require_instances=self._options["require_instances"],
        )  # fmt: skip
        for target, each in zip(targets, found, strict=True):
            self._session.say(waiting.ending(target, each))
        return found


def _read(files: tuple[str, ...]) -> list[Config | Service]:
    found: list[Config | Service] = []
    for name in files:
        for path in _paths(name):
            found += documents.read(reads_from(path, what="--file"), path)
    return found


def _paths(name: str) -> Iterator[str]:
    if name == "-" or not Path(name).is_dir():
        yield name
        return
    paths = sorted(
        path for path in Path(name).rglob("*") if path.suffix in SUFFIXES and path.is_file()
    )
    visible = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(name).parts)]  # fmt: skip
    if not visible:
        raise click.BadParameter(f"{name} holds no file that ends with {', '.join(SUFFIXES)}.", param_hint="--file")  # fmt: skip
    yield from map(str, visible)


def _refuse_twice(services: list[Service], configs: list[Config]) -> None:
    sources: dict[str, str] = {}
    named = [(f"service {each.slug}", each.source) for each in services]
    for name, source in [*named, *((str(each.place), each.source) for each in configs)]:
        if name in sources:
            raise click.UsageError(f"{name} stands in {sources[name]} and in {source}. Keep one.")
        sources[name] = source


def _words(plan: Plan) -> str:
    head = f"{plan.place}: {count(len(plan.changes), 'change')}" if plan.changes else f"{plan.place}: as it is"  # fmt: skip
    if plan.left:
        head += f" ({', '.join(plan.left)} not in the file and left; --prune takes out)"
    return "\n".join([printable(head), *(f"  {line}" for line in change_lines(plan.changes))])


def _service_words(plan: ServicePlan) -> str:
    if plan.is_empty:
        return f"service {plan.wanted.slug}: as it is"
    named = [*plan.fields, *(["schema"] if plan.schema is not None else [])]
    act = "changed" if plan.exists else "new"
    return f"service {plan.wanted.slug}: {act}{': ' if named else ''}{', '.join(named)}"
