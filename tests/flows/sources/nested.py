from metaflow import FlowSpec, Parameter, step


class NestedFlow(FlowSpec):
    """Foreach in foreach in branch in foreach, with an inner width that depends on the outer item."""

    merge = Parameter("merge", default=True)

    @step
    def start(self):
        self.outer = ["a", "bb"]
        self.next(self.split, foreach="outer")

    @step
    def split(self):
        self.letter = self.input
        self.next(self.spread, self.plain)

    @step
    def plain(self):
        self.stack = self.foreach_stack()
        self.next(self.meet)

    @step
    def spread(self):
        self.inner = range(len(self.input))
        self.next(self.leaf, foreach="inner")

    @step
    def leaf(self):
        self.stack = self.foreach_stack()
        self.mine = (self.letter, self.index, self.input)
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        if self.merge:
            self.merge_artifacts(inputs, include=["outer"])
        self.stacks = [one.stack for one in inputs]
        self.all_mine = [one.mine for one in inputs]
        self.own_stack = self.foreach_stack()
        self.own = (self.index, self.input)
        self.next(self.meet)

    @step
    def meet(self, inputs):
        if self.merge:
            self.merge_artifacts(inputs, include=["outer"])
        self.stacks = inputs.inner_join.stacks
        self.all_mine = inputs.inner_join.all_mine
        self.own = inputs.inner_join.own
        self.own_stack = inputs.inner_join.own_stack
        self.plain_stack = inputs.plain.stack
        self.meeting = (self.index, self.input)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.rows = [(one.stacks, one.all_mine, one.own, one.own_stack, one.plain_stack, one.meeting) for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    NestedFlow()
