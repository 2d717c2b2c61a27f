"""Each task plans the flow again from its own command line, and finds what its launcher has planned."""

from __future__ import annotations

import sys

from metaflow import FlowSpec, catch, current, environment, exit_hook, retry, step
from metaflow.compute.command import read_task
from metaflow.flow import plan


def over() -> None:
    print("over")


@exit_hook(on_success=[over])
class PlannedFlow(FlowSpec):
    @retry(times=2)
    @environment(vars={"COLOR": "blue"})
    @step
    def start(self) -> None:
        self.compare()
        self.next(self.end)

    @catch(var="failure")
    @step
    def end(self) -> None:
        self.compare()

    def compare(self) -> None:
        task = read_task(sys.argv[1:])
        assert task is not None
        options, _, _ = task
        here = plan.read(type(self), with_=options.decospecs, without=options.without).description()
        there = current.graph
        assert here["decorators"] == there["decorators"]
        self.decorators = {name: described["decorators"] for name, described in here["steps"].items()}
        assert self.decorators == {name: described["decorators"] for name, described in there["steps"].items()}


if __name__ == "__main__":
    PlannedFlow()
