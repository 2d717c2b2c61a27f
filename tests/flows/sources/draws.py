import random
import tempfile
import uuid

import numpy
from sklearn.model_selection import train_test_split

from metaflow import FlowSpec, step


class DrawsFlow(FlowSpec):
    """Siblings that draw without a seed."""

    @step
    def start(self):
        self.items = range(4)
        self.next(self.draw, foreach="items")

    @step
    def draw(self):
        with tempfile.NamedTemporaryFile() as file:
            name = file.name
        self.draws = {
            "random": random.random(),
            "random.sample": tuple(random.sample(range(10**9), 3)),
            "numpy.random": float(numpy.random.rand()),
            "numpy.random.default_rng": float(numpy.random.default_rng().random()),
            "numpy.random.permutation": tuple(numpy.random.permutation(50).tolist()),
            "uuid4": str(uuid.uuid4()),
            "uuid1": str(uuid.uuid1()),
            "tempfile": name,
            "mkdtemp": tempfile.mkdtemp(),
            "sklearn": tuple(train_test_split(range(1000))[1]),
        }
        self.next(self.join)

    @step
    def join(self, inputs):
        self.draws = [one.draws for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    DrawsFlow()
