from metaflow import FlowSpec, Parameter, step


class Own(Exception):
    """An exception of the flow's own."""


class ExceptionsFlow(FlowSpec):
    kind = Parameter("kind", default="own")

    @step
    def start(self):
        self.before = "kept"
        self.next(self.fail)

    @step
    def fail(self):
        self.begun = [1, 2]
        print("about to fail")
        if self.kind == "own":
            raise Own("words ☃", 3)
        if self.kind == "key":
            {}["missing"]
        if self.kind == "chained":
            try:
                1 / 0
            except ZeroDivisionError as error:
                raise RuntimeError("from below") from error
        if self.kind == "empty":
            raise ValueError
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ExceptionsFlow()
