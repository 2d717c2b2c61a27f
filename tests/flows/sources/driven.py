import os
import sys
import time

from metaflow import Config, FlowSpec, IncludeFile, JSONType, Parameter, step


class Driven(FlowSpec):
    number = Parameter("number", default=3)
    rate = Parameter("learning-rate", default=0.5)
    truth = Parameter("truth", default=False)
    document = Parameter("document", type=JSONType, default=None)
    many = Parameter("many", multiple=True)
    included = IncludeFile("included", required=False)
    gate = Parameter("gate", default="")
    fails = Parameter("fails", default=False)
    settings = Config("settings", default_value={"a": 1})

    @step
    def start(self):
        print("standard output ☃")
        print("standard error", file=sys.stderr)
        self.values = [self.number, self.rate, self.truth, self.document, list(self.many or ()), self.included]
        self.where = os.getcwd(), os.environ.get("ADDED"), self.settings.to_dict()
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.02)
        if self.fails:
            raise ValueError("as asked")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Driven()
