from metaflow import FlowSpec, Parameter, step
from metaflow.exception import MetaflowException


def attempt(function, *args, **kwargs):
    """Return the class and the names of what a call raises."""
    try:
        function(*args, **kwargs)
    except MetaflowException as error:
        names = sorted(set(getattr(error, "artifact_names", [])))
        return type(error).__name__ if names else "MetaflowException", names
    return None


class MergeFlow(FlowSpec):
    size = Parameter("size", default=7)

    @step
    def start(self):
        self.common = {"a": [1, 2]}
        self.replaced = "old"
        self.next(self.left, self.right)

    @step
    def left(self):
        self.same = [1, "x"]
        self.only_left = "L"
        self.conflict = 1
        self.replaced = "new"
        self.common = {"a": [1, 2]}
        self.next(self.join)

    @step
    def right(self):
        self.same = [1, "x"]
        self.only_right = "R"
        self.conflict = 2
        self.replaced = "new"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all = attempt(self.merge_artifacts, inputs)
        self.missing = attempt(self.merge_artifacts, inputs, include=["same", "nowhere"])
        self.both = attempt(self.merge_artifacts, inputs, include=["same"], exclude=["conflict"])
        self.included_conflict = attempt(self.merge_artifacts, inputs, include=["conflict"])
        self.untouched = hasattr(self, "same")
        self.merge_artifacts(inputs, include=["only_left"])
        self.after_include = (hasattr(self, "only_left"), hasattr(self, "only_right"))
        self.conflict = "resolved"
        for each in inputs:
            each.common["a"].append(each.same)
        inputs.left.common.update(inputs.right.common, b=1)
        inputs.right.conflict = "set"
        self.changed = inputs.left.common
        self.kept = (inputs.right.common, inputs.right.conflict, inputs.left.common is inputs.left.common)
        self.merge_artifacts(inputs)
        self.next(self.again)

    @step
    def again(self):
        self.attempt_outside = attempt(self.merge_artifacts, [])
        self.next(self.one, self.two)

    @step
    def one(self):
        self.conflict = 1
        self.other = "o"
        self.next(self.excluding)

    @step
    def two(self):
        self.conflict = 2
        self.next(self.excluding)

    @step
    def excluding(self, inputs):
        self.merge_artifacts(inputs, exclude=["conflict"])
        self.had_conflict = hasattr(self, "conflict")
        self.sizes = [one.size for one in inputs]
        self.next(self.spread)

    @step
    def spread(self):
        self.items = [1, 2, 3]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.mine = self.input
        self.parity = "constant"
        if self.input == 2:
            self.sometimes = "from two"
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.conflicts = attempt(self.merge_artifacts, inputs)
        self.merge_artifacts(inputs, exclude=["mine"])
        self.next(self.end)

    @step
    def end(self):
        self.size_at_end = self.size


if __name__ == "__main__":
    MergeFlow()
