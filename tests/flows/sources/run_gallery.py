"""A run of every shape: a foreach with a retried task, a switch, a card, a log in colours; it can wait, and fail."""

import os
import sys
import time

from metaflow import FlowSpec, Parameter, card, catch, current, retry, step
from metaflow.cards import Markdown

EVIL = "</script><script>document.title='owned';alert(1)</script><img src=x onerror=\"document.title='owned'\">'\"]]>"


class RunGallery(FlowSpec):
    """Everything that a page of a run can show."""

    alpha = Parameter("alpha", default=0.1)
    title = Parameter("title", default=EVIL)
    width = Parameter("width", default=3)
    lines = Parameter("lines", default=3)
    fails = Parameter("fails", default=False)
    gate = Parameter("gate", default="")

    @step
    def start(self):
        print(f"\x1b[1;31mloud\x1b[0m {EVIL}")
        print("what went wrong", file=sys.stderr)
        for number in range(self.lines):
            print(f"\x1b[3{number % 8}mline {number:07}\x1b[0m of the log, which goes on for a while {number * 7919}")
        self.items = [f"item-{number}" for number in range(self.width - 1)] + [EVIL]
        self.table = {"rows": list(range(10)), "name": EVIL}
        self.next(self.each, foreach="items")

    @retry(times=1, minutes_between_retries=0)
    @card
    @step
    def each(self):
        """One of the items."""
        current.card.append(Markdown("# A card of its own"))
        if self.index == 1 and current.retry_count == 0:
            raise RuntimeError("not at the first time")
        deadline = time.time() + 90
        turn = 0
        while self.gate and not os.path.exists(self.gate) and time.time() < deadline:
            print(f"turn {turn}", flush=True)
            turn += 1
            time.sleep(0.2)
        if self.fails and self.index == 0:
            raise ValueError(f"it had to fail {EVIL}")
        self.score = self.index * self.alpha
        self.next(self.join)

    @step
    def join(self, inputs):
        self.scores = [each.score for each in inputs]
        self.way = "left"
        self.next({"left": self.left, "right": self.right}, condition="way")

    @catch(var="trouble")
    @step
    def left(self):
        raise KeyError("caught")
        self.next(self.end)

    @step
    def right(self):
        self.next(self.end)

    @step
    def end(self):
        print("done")


if __name__ == "__main__":
    RunGallery()
