import os

import rough

from metaflow import FlowSpec, Parameter, step


class RoughTogetherFlow(FlowSpec):
    """Each thing of `rough` in a task of its own, and what the task after it finds."""

    whats = Parameter("whats", default="exit_zero", separator=",")

    @step
    def start(self):
        self.names = self.whats
        self.next(self.work, foreach="names")

    @step
    def work(self):
        self.name, self.directory = self.input, os.getcwd()
        print("before", flush=True)
        getattr(rough, self.name)()
        self.next(self.after)

    @step
    def after(self):
        self.found = os.getcwd() == self.directory, os.umask(0o022)
        print("after")
        self.next(self.join)

    @step
    def join(self, inputs):
        self.found = {one.name: one.found for one in inputs}
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    RoughTogetherFlow()
