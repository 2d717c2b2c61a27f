import os

from metaflow import FlowSpec, Parameter, current, step

BEFORE = current.is_running_flow


def facts():
    return {
        "is_running_flow": current.is_running_flow,
        "flow_name": current.flow_name,
        "run_id": current.run_id,
        "step_name": current.step_name,
        "task_id": current.task_id,
        "retry_count": current.retry_count,
        "origin_run_id": current.origin_run_id,
        "pathspec": current.pathspec,
        "task_pathspec": current.task.pathspec,
        "run_pathspec": current.run.pathspec,
        "namespace": current.namespace,
        "username": current.username,
        "parameter_names": sorted(current.parameter_names),
        "tempdir": current.tempdir,
        "tags": sorted(current.tags),
        "has_card": hasattr(current, "card"),
        "has_nonsense": hasattr(current, "nonsense"),
        "before": BEFORE,
    }


class CurrentFlow(FlowSpec):
    first = Parameter("first", default=1)
    second = Parameter("other-name", default=2)

    @step
    def start(self):
        self.facts = facts()
        self.pid = os.getpid()
        self.items = ["a", "b"]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.facts = facts()
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        self.facts = facts()


if __name__ == "__main__":
    CurrentFlow()
