"""A step that says how much memory it needs.

`@resources` has no effect on your own machine: it is read when the step is sent elsewhere. The matrix is small by
default; with `--size 80000` it takes 48 GB, and that is what the request is for.

    python examples/big_sum.py run
    python examples/big_sum.py run --size 10000
"""

import time

import numpy as np

from metaflow import FlowSpec, Parameter, resources, step


class BigSum(FlowSpec):
    """Sum a random matrix."""

    size = Parameter("size", default=2000, help="rows and columns of the matrix")

    @resources(memory=60000, cpu=1)
    @step
    def start(self):
        matrix = np.random.default_rng().random((self.size, self.size))
        begin = time.perf_counter()
        self.sum = float(matrix.sum())
        self.took = time.perf_counter() - begin
        self.next(self.end)

    @step
    def end(self):
        print(f"The sum is {self.sum:f}.")
        print(f"Computing it took {self.took * 1000:.0f}ms.")


if __name__ == "__main__":
    BigSum()
