"""Flows whose steps the tests run."""

from __future__ import annotations

import sys
import time
from typing import Any

from metaflow import (
    Config,
    FlowMutator,
    FlowSpec,
    IncludeFile,
    Parameter,
    StepMutator,
    catch,
    config_expr,
    current,
    environment,
    resources,
    retry,
    step,
    timeout,
    user_step_decorator,
)


class Training(FlowSpec):
    """Two nested foreaches, a static split, a switch, joins."""

    rate = Parameter("learning-rate", default=0.1)
    name_of_run = Parameter("title", required=True)
    table = IncludeFile("table")
    limit = 7

    @step
    def start(self):
        self.models = ["a", "b"]
        self.items = {"kept": True}
        self.next(self.fit, foreach="models")

    @step
    def fit(self):
        self.items["seen"] = self.input
        self.loss = self.rate * (self.index + 1)
        self.folds = range(3)
        self.next(self.fold, foreach="folds")

    @step
    def fold(self):
        self.place = self.foreach_stack()
        self.next(self.folded)

    @step
    def folded(self, inputs):
        self.places = [each.place for each in inputs]
        self.merge_artifacts(inputs, include=["loss"])
        self.next(self.joined)

    @step
    def joined(self, inputs):
        self.best = min(each.loss for each in inputs)
        self.next(self.parted)

    @step
    def parted(self):
        self.next(self.left, self.right)

    @step
    def left(self):
        self.side = "left"
        self.next(self.both)

    @step
    def right(self):
        self.side = "right"
        self.next(self.both)

    @step
    def both(self, inputs):
        self.sides = (inputs.left.side, inputs.right.side, [each.side for each in inputs])
        self.merge_artifacts(inputs, exclude=["side"])
        self.choice = "again" if getattr(self, "rounds", 0) < 2 else "done"
        self.next(self.decide)

    @step
    def decide(self):
        self.rounds = getattr(self, "rounds", 0) + 1
        self.choice = "again" if self.rounds < 3 else "done"
        self.next({"again": self.decide, "done": self.end}, condition="choice")

    @step
    def end(self):
        print("best", self.best)
        print("rounds", self.rounds, file=sys.stderr)


class Base(FlowSpec):
    @step
    def start(self):
        self.who = type(self).__name__
        self.next(self.end)

    @step
    def end(self): ...


class Child(Base):
    @step
    def end(self):
        self.ended = True


@user_step_decorator
def shouted(step_name, flow, inputs=None, attributes=None):
    yield
    flow.word = flow.word.upper()


class AddsRetry(StepMutator):
    def mutate(self, mutable_step):
        mutable_step.add_decorator(retry, deco_kwargs={"times": 1})


class AddsParameter(FlowMutator):
    def pre_mutate(self, mutable_flow):
        mutable_flow.add_parameter("added", Parameter("added", default="by a mutator"))


tries: list[int] = []


@AddsParameter
class Decorated(FlowSpec):
    config = Config("config", default_value={"cpu": 2, "word": "hello"})
    word_of_config = Parameter("word", default=config.word)

    @resources(cpu=config_expr("config.cpu"))
    @environment(vars={"STEP_TEST_VARIABLE": "set"})
    @step
    def start(self):
        import os

        self.variable = os.environ.get("STEP_TEST_VARIABLE")
        self.word = self.word_of_config
        self.added_too = self.added
        self.next(self.say)

    @shouted
    @step
    def say(self):
        self.next(self.unsteady)

    @retry(times=2)
    @step
    def unsteady(self):
        tries.append(current.retry_count)
        print("attempt", current.retry_count)
        if current.retry_count < 2:
            raise ConnectionError("not yet")
        self.next(self.caught)

    @catch(var="failure", print_exception=False)
    @step
    def caught(self):
        self.before = 1
        raise ValueError("caught")

    @AddsRetry
    @step
    def mutated(self):
        if not current.retry_count:
            raise ValueError("once")
        self.next(self.slow)

    @timeout(seconds=1)
    @step
    def slow(self):
        time.sleep(self.seconds)
        self.next(self.end)

    @step
    def end(self): ...


class Small(FlowSpec):
    """A flow that does what a test asks it to."""

    count = Parameter("count", default=2)
    work: Any = None

    @step
    def start(self):
        self.numbers = list(range(self.count))
        self.next(self.double, foreach="numbers")

    @step
    def double(self):
        self.doubled = 2 * self.input
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all = [each.doubled for each in inputs]
        self.next(self.end)

    @step
    def end(self):
        print("all", self.all)


class Chosen(FlowSpec):
    """A switch with cases of several steps and of one, joined by the last step."""

    kind = Parameter("kind", default="both")

    @step
    def start(self):
        self.next({"both": [self.left, self.right], "one": [self.left]}, condition="kind")

    @step
    def left(self):
        self.side = "l"
        self.next(self.end)

    @step
    def right(self):
        self.side = "r"
        self.next(self.end)

    @step
    def end(self, inputs):
        self.sides = [each.side for each in inputs]
