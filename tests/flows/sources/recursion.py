from metaflow import FlowSpec, Parameter, current, step


class RecursionFlow(FlowSpec):
    """A step that repeats itself and carries its artifacts over."""

    times = Parameter("times", default=3)

    @step
    def start(self):
        self.trail = []
        self.next(self.loop)

    @step
    def loop(self):
        self.count = getattr(self, "count", 0) + 1
        self.trail = [*self.trail, current.task_id]
        self.more = "again" if self.count < self.times else "enough"
        self.next({"again": self.loop, "enough": self.end}, condition="more")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    RecursionFlow()
