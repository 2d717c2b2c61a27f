"""Look at one table in two ways at once: static branches and a join.

The 178 Italian wines that come with scikit-learn: thirteen measurements each, and the vineyard. One branch asks which
measurements move together, the other which of them tell the vineyards apart.

    python examples/wine.py run
    python examples/wine.py run --top 5
"""

import numpy as np
from sklearn.datasets import load_wine

from metaflow import FlowSpec, Parameter, step


class WineFlow(FlowSpec):
    """Describe a table by two branches that run in parallel."""

    top = Parameter("top", default=3, help="number of lines in each part of the report")

    @step
    def start(self):
        wine = load_wine()
        self.table, self.vineyard, self.columns = wine.data, wine.target, list(wine.feature_names)
        self.next(self.pairs, self.separation)

    @step
    def pairs(self):
        """Rank pairs of columns by correlation."""
        correlation = np.corrcoef(self.table, rowvar=False)
        first, second = np.triu_indices(len(self.columns), k=1)
        strongest = np.argsort(-np.abs(correlation[first, second]))
        self.ranked_pairs = [
            (self.columns[first[i]], self.columns[second[i]], float(correlation[first[i], second[i]]))
            for i in strongest
        ]
        self.next(self.report)

    @step
    def separation(self):
        """Rank columns by the share of their variance that lies between vineyards."""
        groups = [self.table[self.vineyard == label] for label in np.unique(self.vineyard)]
        centre = self.table.mean(axis=0)
        between = sum(len(group) * (group.mean(axis=0) - centre) ** 2 for group in groups)
        share = between / ((self.table - centre) ** 2).sum(axis=0)
        self.ranked_columns = [(self.columns[i], float(share[i])) for i in np.argsort(-share)]
        self.next(self.report)

    @step
    def report(self, inputs):
        """Join: what only one branch has, or all have alike, comes along by merge_artifacts."""
        self.merge_artifacts(inputs)
        self.next(self.end)

    @step
    def end(self):
        print("Move together:")
        for one, other, correlation in self.ranked_pairs[: self.top]:
            print(f"  {correlation:+.2f}  {one} and {other}")
        print("Tell the vineyards apart:")
        for column, share in self.ranked_columns[: self.top]:
            print(f"  {share:5.0%}  {column}")


if __name__ == "__main__":
    WineFlow()
