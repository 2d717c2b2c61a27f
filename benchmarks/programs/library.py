"""A foreach of tasks that do nothing, in a flow that imports a library at module level."""

import importlib
import os

from metaflow import FlowSpec, Parameter, step

importlib.import_module(os.environ["BENCH_LIBRARY"])


class LibraryBench(FlowSpec):
    width = Parameter("width", default=20)

    @step
    def start(self):
        self.numbers = range(self.width)
        self.next(self.work, foreach="numbers")

    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(1 for task in inputs)
        self.next(self.end)

    @step
    def end(self):
        print("total", self.total)


if __name__ == "__main__":
    LibraryBench()
