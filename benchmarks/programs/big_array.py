"""One large array saved by a step and summed by the next."""

import numpy as np

from metaflow import FlowSpec, Parameter, step


class ArrayBench(FlowSpec):
    mb = Parameter("mb", default=512, help="size of the array in MB (a million bytes)")

    @step
    def start(self):
        self.array = np.random.default_rng(0).random(self.mb * 1_000_000 // 8)
        self.expected = float(self.array.sum())
        self.next(self.end)

    @step
    def end(self):
        if float(self.array.sum()) == self.expected:
            print("sums agree")
        del self.array


if __name__ == "__main__":
    ArrayBench()
