"""The n-th root of a number by Newton's method: a step that repeats itself until it is done.

A switch picks one successor by the value of an artifact; a step that picks itself runs again as a further task. Each
round is a task of its own, so that every guess can be read back.

    python examples/newton.py run
    python examples/newton.py run --value 1e6 --degree 5
"""

from metaflow import FlowSpec, Parameter, step


class NewtonFlow(FlowSpec):
    """Improve a guess until it no longer moves."""

    value = Parameter("value", default=2.0, help="the number whose root is wanted, above zero")
    degree = Parameter("degree", default=2, help="2 for the square root, 3 for the cube root, …")
    tolerance = Parameter("tolerance", default=1e-12, help="relative change at which to stop")
    max_rounds = Parameter("max-rounds", default=100, help="rounds after which to give up")

    @step
    def start(self):
        self.guess = max(self.value, 1.0)
        self.round = 0
        self.next(self.improve)

    @step
    def improve(self):
        """One round of Newton's method for guess ** degree = value."""
        before = self.guess
        self.guess -= (before**self.degree - self.value) / (self.degree * before ** (self.degree - 1))
        self.round += 1
        print(f"round {self.round}: {self.guess:.15g}")
        if abs(self.guess - before) <= self.tolerance * self.guess:
            self.verdict = "done"
        else:
            self.verdict = "again" if self.round < self.max_rounds else "give up"
        self.next({"again": self.improve, "done": self.end, "give up": self.too_slow}, condition="verdict")

    @step
    def too_slow(self):
        print(f"Still moving after {self.round} rounds.")
        self.next(self.end)

    @step
    def end(self):
        print(f"Root {self.degree} of {self.value:g} is {self.guess:.12g}, after {self.round} rounds.")


if __name__ == "__main__":
    NewtonFlow()
