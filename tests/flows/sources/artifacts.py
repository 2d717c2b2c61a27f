import collections
import datetime
import decimal
import pathlib

from metaflow import FlowSpec, Parameter, step


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)

    __hash__ = None  # type: ignore[assignment]


class ArtifactsFlow(FlowSpec):
    """Values of many types, read again by later steps in other processes."""

    constant = "of the class"
    limit = Parameter("limit", default=5)

    @property
    def computed(self):
        return self.number + 1

    @step
    def start(self):
        import numpy

        self.nothing = None
        self.number = 10**40
        self.text = "grüße ☃ \u0000 \ud800"
        self.raw = b"\x00\xff" * 10
        self.ordered = collections.OrderedDict(a=1)
        self.when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
        self.money = decimal.Decimal("1.10")
        self.where = pathlib.PurePosixPath("/a/b")
        self.array = numpy.arange(12.0).reshape(3, 4)
        self.big = numpy.arange(400_000)
        self.point = Point(1, 2)
        self.points = [self.point, self.point]
        self.kind = Point
        self.function = len
        self.loop = []
        self.loop.append(self.loop)
        self._private = "underscored"
        self.number_and_one = self.computed
        self.mutable = [1]
        alias = self.mutable
        alias.append(2)
        self.next(self.middle)

    @step
    def middle(self):
        self.mutable.append(3)
        self.unread_stays = True
        self.next(self.end)

    @step
    def end(self):
        self.checks = {
            "nothing": self.nothing is None,
            "number": self.number == 10**40,
            "text": self.text == "grüße ☃ \u0000 \ud800",
            "raw": self.raw == b"\x00\xff" * 10,
            "ordered": isinstance(self.ordered, collections.OrderedDict),
            "when": self.when.year == 2026,
            "money": self.money == decimal.Decimal("1.10"),
            "where": self.where.name == "b",
            "array": self.array.sum() == 66.0 and self.array.flags.writeable,
            "big": int(self.big.sum()) == sum(range(400_000)),
            "point": self.point == Point(1, 2) and type(self.point) is Point,
            "shared": self.points[0] is self.points[1],
            "kind": self.kind is Point,
            "function": self.function is len,
            "loop": self.loop[0] is self.loop,
            "private": self._private == "underscored",
            "property": self.computed == 10**40 + 1,
            "same object twice": self.array is self.array,
        }
        self.mutated = self.mutable
        self.read_only = []
        for name, value in (("limit", 6), ("constant", 6), ("index", 6), ("input", 6)):
            try:
                setattr(self, name, value)
            except AttributeError:
                self.read_only.append(name)
        try:
            del self.limit
        except AttributeError:
            self.read_only.append("del limit")
        self.limit_at_end = self.limit


if __name__ == "__main__":
    ArtifactsFlow()
