"""The programs of Metaflow's page on requesting compute resources, as they are printed there."""

from __future__ import annotations

BIG_SUM = """
from metaflow import FlowSpec, step, resources

class BigSum(FlowSpec):

    @resources(memory=60000, cpu=1)
    @step
    def start(self):
        import numpy
        import time
        big_matrix = numpy.random.ranf((80000, 80000))
        t = time.time()
        self.sum = numpy.sum(big_matrix)
        self.took = time.time() - t
        self.next(self.end)

    @step
    def end(self):
        print("The sum is %f." % self.sum)
        print("Computing it took %dms." % (self.took * 1000))

if __name__ == '__main__':
    BigSum()
"""

BIG_SUM_ON_BATCH = BIG_SUM.replace("@resources(", "@batch(")

HYBRID_CLOUD = """
import random
from metaflow import FlowSpec, step, resources, kubernetes, card

class HybridCloudFlow(FlowSpec):

    @step
    def start(self):
        self.countries = ['US', 'BR', 'IT']
        self.shards = {country: open(f'{country}.data').read()
                       for country in self.countries}
        self.next(self.prepare_data, foreach='countries')

    @kubernetes(memory=16000)
    @step
    def prepare_data(self):
        print('processing a shard of data', self.shards[self.input])
        self.next(self.train)

    @batch(gpu=2, queue='gpu-queue')
    @step
    def train(self):
        print('training model...')
        self.score = random.randint(0, 10)
        self.country = self.input
        self.next(self.join)

    @batch(memory=16000, queue='cpu-queue')
    @step
    def join(self, inputs):
        self.best = max(inputs, key=lambda x: x.score).country
        self.next(self.end)

    @step
    def end(self):
        print(self.best, 'produced best results')

if __name__ == '__main__':
    HybridCloudFlow()
"""


def with_batch(source: str) -> str:
    """Import the name that the page forgets."""
    return source.replace("import FlowSpec, step, resources", "import FlowSpec, step, resources, batch")
