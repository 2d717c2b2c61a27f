"""Two steps that do nothing but be there."""

from metaflow import FlowSpec, step


class HelloBench(FlowSpec):
    @step
    def start(self):
        self.greeting = "Hello, world"
        self.next(self.end)

    @step
    def end(self):
        print(self.greeting)


if __name__ == "__main__":
    HelloBench()
