from metaflow import FlowSpec, Parameter, step


class Sequence:
    """Nothing but __len__ and __getitem__."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index >= 3:
            raise IndexError(index)
        return f"item {index}"


class Iterable:
    """Nothing but __iter__."""

    def __iter__(self):
        return iter("xyz")


def things(kind):
    import numpy

    return {
        "list": ["a", "b", "c"],
        "tuple": ("a", "b", "c"),
        "range": range(3, 6),
        "dict": {"k": 1, "l": 2},
        "set": {"a", "b", "c"},
        "generator": (letter for letter in "abc"),
        "str": "abc",
        "bytes": b"ab",
        "numpy": numpy.arange(3) * 1.5,
        "matrix": numpy.eye(2),
        "sequence": Sequence(),
        "iterable": Iterable(),
        "keys": {"k": 1, "l": 2}.keys(),
        "one": ["single"],
        "none": [None, None],
    }[kind]


class ForeachFlow(FlowSpec):
    kind = Parameter("kind", default="list")

    @step
    def start(self):
        self.things = things(self.kind)
        self.next(self.work, foreach="things")

    @step
    def work(self):
        self.seen = (self.index, self.input, self.foreach_stack())
        self.next(self.after)

    @step
    def after(self):
        self.seen_after = (self.index, self.input)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.length = sum(1 for _ in inputs)
        self.order = [one.index for one in inputs]
        self.seen = [one.seen for one in inputs]
        self.seen_after = [one.seen_after for one in inputs]
        self.inputs_seen = [one.input for one in inputs]
        self.first = inputs[0].seen
        self.outside = (self.index, self.input, self.foreach_stack())
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ForeachFlow()
