"""The flow of wide.py, with everything around its tasks that guards against failures that do not come."""

from metaflow import FlowSpec, Parameter, catch, retry, step, timeout


class GuardedBench(FlowSpec):
    width = Parameter("width", default=200)

    @step
    def start(self):
        self.numbers = range(self.width)
        self.next(self.work, foreach="numbers")

    @retry
    @catch(var="failure")
    @timeout(minutes=5)
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
    GuardedBench()
