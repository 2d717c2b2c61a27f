"""Time tests of steps: `run_step` of 200 different inputs, in one process."""

import time

from metaflow import FlowSpec, Parameter, step
from metaflow.testing import run_step

TESTS = 200


class Summed(FlowSpec):
    factor = Parameter("factor", default=2)

    @step
    def start(self):
        self.next(self.add)

    @step
    def add(self):
        self.total = sum(self.numbers) * self.factor
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    begin = time.perf_counter()
    totals = [run_step(Summed.add, inputs={"numbers": list(range(width))})["total"] for width in range(TESTS)]
    seconds = time.perf_counter() - begin
    assert totals == [width * (width - 1) for width in range(TESTS)]
    print("seconds", seconds)
