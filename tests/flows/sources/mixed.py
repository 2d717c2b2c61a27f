from metaflow import FlowSpec, step


class MixedFlow(FlowSpec):
    """A switch and a recursion inside a foreach, and a foreach behind a switch."""

    @step
    def start(self):
        self.way = "wide"
        self.next({"wide": self.wide, "narrow": self.narrow}, condition="way")

    @step
    def narrow(self):
        self.results = []
        self.next(self.end)

    @step
    def wide(self):
        self.goals = [1, 2, 4]
        self.next(self.climb, foreach="goals")

    @step
    def climb(self):
        self.height = getattr(self, "height", 0) + 1
        self.seen = [*getattr(self, "seen", []), (self.index, self.input, len(self.foreach_stack()))]
        self.state = "there" if self.height >= self.input else "below"
        self.next({"below": self.climb, "there": self.judge}, condition="state")

    @step
    def judge(self):
        self.parity = self.height % 2
        self.next({0: self.even, 1: self.odd}, condition="parity")

    @step
    def even(self):
        self.kind = "even"
        self.next(self.summit)

    @step
    def odd(self):
        self.kind = "odd"
        self.next(self.summit)

    @step
    def summit(self):
        self.result = (self.index, self.input, self.height, self.kind, self.seen)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.results = [one.result for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    MixedFlow()
