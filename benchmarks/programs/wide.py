"""A foreach of many small tasks, and a join that reads one artifact of each."""

from metaflow import FlowSpec, Parameter, step


class WideBench(FlowSpec):
    width = Parameter("width", default=200)

    @step
    def start(self):
        self.numbers = range(self.width)
        self.next(self.work, foreach="numbers")

    @step
    def work(self):
        self.square = self.input * self.input
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(task.square for task in inputs)
        self.next(self.end)

    @step
    def end(self):
        print("total", self.total)


if __name__ == "__main__":
    WideBench()
