from metaflow import FlowSpec, step


class BranchesFlow(FlowSpec):
    """Two branches; the second splits again, with a step before and after."""

    @step
    def start(self):
        self.path = "start"
        self.next(self.left, self.right)

    @step
    def left(self):
        self.path += ">left"
        self.value = 1
        self.next(self.outer_join)

    @step
    def right(self):
        self.path += ">right"
        self.next(self.one, self.two, self.three)

    @step
    def one(self):
        self.path += ">one"
        self.value = 10
        self.next(self.after_one)

    @step
    def after_one(self):
        self.path += ">after_one"
        self.value += 1
        self.next(self.inner_join)

    @step
    def two(self):
        self.path += ">two"
        self.value = 20
        self.next(self.inner_join)

    @step
    def three(self):
        self.path += ">three"
        self.value = 30
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.by_name = (inputs.after_one.value, inputs.two.value, inputs.three.value)
        self.iterated = sorted(branch.value for branch in inputs)
        self.indexed = sorted(inputs[i].value for i in range(3))
        self.twice = [len(list(inputs)), len(list(inputs))]
        self.length = sum(1 for _ in inputs)
        self.paths = sorted(branch.path for branch in inputs)
        self.value = sum(branch.value for branch in inputs)
        self.inherited = hasattr(self, "path")
        self.no_such_branch = hasattr(inputs, "one")
        self.next(self.outer_join)

    @step
    def outer_join(self, them):
        self.values = (them.left.value, them.inner_join.value)
        self.by_name = them.inner_join.by_name
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    BranchesFlow()
