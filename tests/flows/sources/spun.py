"""A flow to spin steps of: a split, a foreach, a switch, a recursion, decorators; what it does is in its variables."""

import os

from metaflow import Config, FlowSpec, Parameter, catch, current, environment, retry, step, user_step_decorator


@user_step_decorator
def noting(step_name, flow, inputs=None, attributes=None):
    flow.noted = step_name
    yield


class Spun(FlowSpec):
    alpha = Parameter("alpha", default=3)
    settings = Config("settings", default_value='{"depth": 1}')
    kind = "first"

    @step
    def start(self):
        self.x = 10
        self.rounds = 0
        self.items = ["a", "b", "c"]
        self.big = "big" * 200_000
        print("start", self.alpha, self.settings.depth)
        self.next(self.left, self.right)

    @step
    def left(self):
        self.y = self.x + 1
        self.next(self.meet)

    @step
    def right(self):
        self.y = self.x + 2
        self.next(self.meet)

    @step
    def meet(self, inputs):
        self.ys = [each.y for each in inputs]
        self.merge_artifacts(inputs, exclude=["y"])
        print("meet", self.ys, inputs.left.y, self.kind)
        self.next(self.spread)

    @step
    def spread(self):
        self.next(self.work, foreach="items")

    @noting
    @retry(times=2, minutes_between_retries=0)
    @catch(var="caught")
    @environment(vars={"COLOUR": "red"})
    @step
    def work(self):
        print("work", self.index, self.input, self.noted, os.environ.get("COLOUR"), current.retry_count)
        if self.input in os.environ.get("FAILS", ""):
            raise ValueError(f"no {self.input}")
        self.z = self.input * 2
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.zs = [each.z for each in inputs]
        self.merge_artifacts(inputs, include=["x", "rounds", "big"])
        print("gather", self.zs)
        self.next(self.loop)

    @step
    def loop(self):
        self.rounds += 1
        print("loop", self.rounds)
        self.way = "end" if self.rounds == 3 else "again"
        self.next({"again": self.loop, "end": self.last}, condition="way")

    @step
    def last(self):
        if "LAST" in os.environ.get("FAILS", ""):
            raise ValueError("no last")
        print("last", self.rounds, self.zs, getattr(self, "extra", None), getattr(self, "beta", None))
        self.next(self.end)

    @step
    def end(self):
        print("end", self.rounds)


if __name__ == "__main__":
    Spun()
