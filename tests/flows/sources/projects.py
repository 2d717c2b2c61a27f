"""A flow of a project: where it belongs and what triggered it, from base class, config and mutator."""

from metaflow import (
    Config,
    FlowMutator,
    FlowSpec,
    Parameter,
    config_expr,
    current,
    project,
    schedule,
    step,
    trigger,
    trigger_on_finish,
)


class Scheduled(FlowMutator):
    def pre_mutate(self, mutable_flow):
        mutable_flow.add_decorator(schedule, deco_kwargs={"cron": mutable_flow.settings["cron"]})


@trigger(event={"name": config_expr("settings.event"), "parameters": ["size", ("kind", "type")]})
@project(name=config_expr("settings.project"))
class Base(FlowSpec):
    settings = Config("settings", default_value={"project": "shop", "event": "sold", "cron": "0 8 * * MON"})


@Scheduled
@trigger_on_finish(flows=["Upstream", {"name": "Other", "project": "shop"}], options={"window": 3})
class ProjectFlow(Base):
    size = Parameter("size", default=1)
    kind = Parameter("kind", default="plain")

    def note(self):
        names = ("project_name", "branch_name", "is_production", "is_user_branch", "project_flow_name")
        self.place = [getattr(current, name) for name in names]
        triggered = current.get("trigger")
        self.runs = [run.pathspec for run in triggered.runs] if triggered else []
        self.events = [tuple(event) for event in triggered.events] if triggered else []
        self.by_flow = [triggered["Upstream"].id, "Upstream" in triggered, "Other" in triggered] if triggered else []

    @step
    def start(self):
        self.note()
        self.next(self.end)

    @step
    def end(self):
        self.note()


if __name__ == "__main__":
    ProjectFlow()
