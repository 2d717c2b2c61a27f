import os

from ledger import note

from metaflow import FlowSpec, step


class Line(FlowSpec):
    @step
    def start(self):
        note(self)
        self.trail = ["start"]
        self.next(self.middle)

    @step
    def middle(self):
        note(self)
        self.trail = [*self.trail, "middle"]
        self.next(self.end)

    @step
    def end(self):
        note(self)
        self.result = self.trail


class Branches(FlowSpec):
    @step
    def start(self):
        note(self)
        self.next(self.left, self.right)

    @step
    def left(self):
        note(self)
        self.value = 1
        self.next(self.join)

    @step
    def right(self):
        note(self)
        self.value = 20
        self.next(self.deep)

    @step
    def deep(self):
        note(self)
        self.value += 1
        self.next(self.join)

    @step
    def join(self, inputs):
        note(self)
        self.result = [inputs.left.value, inputs.deep.value]
        self.next(self.end)

    @step
    def end(self):
        note(self)


class Foreach(FlowSpec):
    @step
    def start(self):
        note(self)
        self.items = [3, "b", None]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        note(self)
        self.mine = (self.index, self.input)
        self.items = "spoiled"
        self.next(self.after)

    @step
    def after(self):
        note(self)
        self.mine = (*self.mine, self.input)
        self.next(self.join)

    @step
    def join(self, inputs):
        note(self)
        self.result = [one.mine for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        note(self)


class Nested(FlowSpec):
    @step
    def start(self):
        note(self)
        self.outer = {"x": 1, "yy": 2}.keys()
        self.next(self.spread, foreach="outer")

    @step
    def spread(self):
        note(self)
        self.inner = range(len(self.input) + 1)
        self.next(self.leaf, foreach="inner")

    @step
    def leaf(self):
        note(self)
        self.mine = self.foreach_stack()
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        note(self)
        self.all = [one.mine for one in inputs]
        self.own = self.input
        self.next(self.outer_join)

    @step
    def outer_join(self, inputs):
        note(self)
        self.result = [(one.own, one.all) for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        note(self)


class BranchesInForeach(FlowSpec):
    @step
    def start(self):
        note(self)
        self.items = ["a", "b"]
        self.next(self.fork, foreach="items")

    @step
    def fork(self):
        note(self)
        self.next(self.left, self.right)

    @step
    def left(self):
        note(self)
        self.word = self.input + "left"
        self.next(self.meet)

    @step
    def right(self):
        note(self)
        self.word = self.input + "right"
        self.next(self.meet)

    @step
    def meet(self, inputs):
        note(self)
        self.words = (self.input, [one.word for one in inputs])
        self.next(self.join)

    @step
    def join(self, inputs):
        note(self)
        self.result = [one.words for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        note(self)


class Switch(FlowSpec):
    @step
    def start(self):
        note(self)
        self.way = os.environ.get("WAY", "long")
        self.next({"long": self.long, "short": self.short}, condition="way")

    @step
    def short(self):
        note(self)
        self.went = "short"
        self.next(self.meet)

    @step
    def long(self):
        note(self)
        self.went = "long"
        self.next(self.longer)

    @step
    def longer(self):
        note(self)
        self.went += "er"
        self.next(self.meet)

    @step
    def meet(self):
        note(self)
        self.result = self.went
        self.next(self.end)

    @step
    def end(self):
        note(self)


class Recursion(FlowSpec):
    @step
    def start(self):
        note(self)
        self.turn = 0
        self.trail = []
        self.next(self.loop)

    @step
    def loop(self):
        self.turn += 1
        note(self, self.turn)
        self.trail = [*self.trail, self.turn]
        self.more = self.turn < 4
        self.next({True: self.loop, False: self.end}, condition="more")

    @step
    def end(self):
        note(self)
        self.result = self.trail


class Climb(FlowSpec):
    @step
    def start(self):
        note(self)
        self.goals = [1, 4, 3]
        self.next(self.climb, foreach="goals")

    @step
    def climb(self):
        self.height = getattr(self, "height", 0) + 1
        note(self, self.height)
        self.state = "there" if self.height >= self.input else "below"
        self.next({"below": self.climb, "there": self.summit}, condition="state")

    @step
    def summit(self):
        note(self)
        self.mine = (self.index, self.input, self.height)
        self.next(self.join)

    @step
    def join(self, inputs):
        note(self)
        self.result = [one.mine for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        note(self)


if __name__ == "__main__":
    globals()[os.environ["SHAPE"]]()
