"""Which model reads handwritten digits best?

Trains one model per setting, in parallel, on the 1,797 digits that come with scikit-learn, keeps the one that does best
in cross-validation, and tries it on images that no model has seen.

    python examples/digits.py run
    python examples/digits.py run --test-share 0.5 --max-workers 2
    python examples/read_back.py
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the tasks share the cores; before numpy is imported

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.svm import SVC

from metaflow import FlowSpec, Parameter, step

MODELS = {
    "support vectors": SVC,
    "random forest": RandomForestClassifier,
    "logistic regression": LogisticRegression,
}


class DigitsFlow(FlowSpec):
    """Train several models on handwritten digits and keep the best."""

    test_share = Parameter("test-share", default=0.25, help="share of the images kept aside for the final test")
    folds = Parameter("folds", default=3, help="number of folds of the cross-validation")
    seed = Parameter("seed", default=7, help="seed of the split and of the forests")

    @step
    def start(self):
        """Load the images, put some aside, and list the settings to try."""
        digits = load_digits()
        self.train_x, self.test_x, self.train_y, self.test_y = train_test_split(
            digits.data / 16,  # grey levels 0 … 16
            digits.target,
            test_size=self.test_share,
            random_state=self.seed,
            stratify=digits.target,
        )
        self.settings = [
            *(("support vectors", {"gamma": gamma}) for gamma in (0.01, 0.1, 0.5, 2.0)),
            *(("random forest", {"n_estimators": trees, "random_state": self.seed}) for trees in (10, 50, 200)),
            *(("logistic regression", {"C": c, "max_iter": 1000}) for c in (0.01, 0.1, 1.0)),
        ]
        self.next(self.train, foreach="settings")

    @step
    def train(self):
        """Fit one model; its score comes from cross-validation on the training images."""
        self.kind, self.options = self.input
        self.model = MODELS[self.kind](**self.options)
        self.score = cross_val_score(self.model, self.train_x, self.train_y, cv=self.folds).mean()
        self.model.fit(self.train_x, self.train_y)
        print(f"{self.kind} {self.options}: {self.score:.1%}")
        self.next(self.choose)

    @step
    def choose(self, inputs):
        """Keep the best model."""
        best = max(inputs, key=lambda task: task.score)
        self.best_kind, self.best_options, self.model = best.kind, best.options, best.model
        self.board = [(task.score, task.kind, task.options) for task in inputs]
        self.board.sort(key=lambda row: row[0], reverse=True)
        self.merge_artifacts(inputs, include=["test_x", "test_y"])  # the same in every branch
        self.next(self.end)

    @step
    def end(self):
        """Try the best model on the images put aside."""
        predicted = self.model.predict(self.test_x)
        self.accuracy = float((predicted == self.test_y).mean())
        self.confusion = confusion_matrix(self.test_y, predicted)
        print(f"Best: {self.best_kind} {self.best_options}")
        print(f"Unseen digits read correctly: {self.accuracy:.1%} of {len(self.test_y)}.")


if __name__ == "__main__":
    DigitsFlow()
