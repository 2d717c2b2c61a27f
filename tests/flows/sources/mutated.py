import os

from metaflow import (
    Config,
    FlowMutator,
    FlowSpec,
    Parameter,
    StepMutator,
    UserStepDecorator,
    catch,
    current,
    step,
    user_step_decorator,
)


@user_step_decorator
def noting(step_name, flow, inputs=None, attributes=None):
    flow.notes = [*getattr(flow, "notes", []), f"{step_name} {attributes.get('word', '-')} {len(list(inputs or []))}"]
    yield
    flow.notes = [*flow.notes, f"after {step_name}"]


@user_step_decorator
def skipping(step_name, flow, inputs=None, attributes=None):
    flow.skipped = [*getattr(flow, "skipped", []), step_name]
    yield attributes.get("arguments", {})


@user_step_decorator
def replacing(step_name, flow, inputs=None, attributes=None):
    def other(self):
        self.replaced = self.notes[-1]
        self.next(self.failing)

    yield other


@user_step_decorator
def forgiving(step_name, flow, inputs=None, attributes=None):
    try:
        yield
    except ZeroDivisionError as error:
        flow.forgiven = type(error).__name__


class Measured(UserStepDecorator):
    def init(self, *args, **kwargs):
        self.name = kwargs.get("name", "seen")

    def pre_step(self, step_name, flow, inputs=None):
        setattr(flow, self.name, [step_name])

    def post_step(self, step_name, flow, exception=None):
        setattr(flow, self.name, [*getattr(flow, self.name), repr(exception)])
        if exception is not None:
            raise exception


class Retried(StepMutator):
    def mutate(self, mutable_step):
        mutable_step.add_decorator("retry", deco_kwargs={"times": 2, "minutes_between_retries": 0})


class Environment(FlowMutator):
    def pre_mutate(self, mutable_flow):
        mutable_flow.add_parameter("added", Parameter("added", default=5))
        mutable_flow.remove_parameter("removed")

    def mutate(self, mutable_flow):
        for _, mutable_step in mutable_flow.steps:
            mutable_step.add_decorator("environment", deco_kwargs={"vars": {"SIZE": str(mutable_flow.config.size)}})


@Environment
class Base(FlowSpec):
    config = Config("config", default_value={"size": 3})


class MutatedFlow(Base):
    removed = Parameter("removed", default=1)

    @noting(word="first")
    @step
    def start(self):
        self.size = os.environ["SIZE"]
        self.sum = self.added + 1
        self.next(self.fan)

    @skipping(arguments={"foreach": "notes"})
    @step
    def fan(self):
        self.next(self.work, foreach="notes")

    @Measured(name="measured")
    @Retried
    @step
    def work(self):
        self.element, self.attempt = self.input, current.retry_count
        if self.attempt < 1:
            raise ValueError("once")
        self.next(self.join)

    @noting
    @step
    def join(self, inputs):
        self.elements = [each.element for each in inputs]
        self.measured = inputs[0].measured
        self.attempts = [each.attempt for each in inputs]
        self.merge_artifacts(inputs, include=["sum", "size"])
        self.next(self.replaced_one)

    @replacing
    @step
    def replaced_one(self):
        self.next(self.failing)

    @forgiving
    @catch(var="caught")
    @step
    def failing(self):
        1 / 0
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    MutatedFlow()
