import json
import os

from metaflow import Config, FlowSpec, Parameter, config_expr, environment, resources, retry, step


def parse(text):
    with open("parsed.log", "a") as file:
        file.write("parsed\n")
    return dict(line.split("=") for line in text.splitlines())


def twice(number):
    return 2 * number


class Base(FlowSpec):
    base = Config("base", default_value={"from": "base", "kept": True})
    replaced = Config("replaced", default_value={"from": "base"})


class ConfiguredFlow(Base):
    config = Config("config", default="config.json", help="What it is about.")
    parsed = Config("parsed", default_value="a=1\nb=x y", parser=parse)
    lines = Config("lines", default_value="one\ntwo", parser=str.splitlines, plain=True)
    nothing = Config("not-given")
    replaced = Config("replaced", default_value='{"from": "derived"}')

    size = Parameter("size", default=config.size)
    label = Parameter("label", default=config_expr("config.name + '-' + replaced['from']"))
    late = Parameter("late", default=lambda context: context.configs.config.size + 1, type=int)

    @environment(vars={"SIZE": config_expr("str(config.size)"), "NAME": config.name})
    @resources(cpu=config.nested.cpu[1], memory=config_expr("twice(config.size) * 100"))
    @retry(times=config.retries)
    @step
    def start(self):
        self.seen = {
            "name": self.config.name,
            "odd key": self.config["odd key"],
            "cpu": self.config.nested.cpu[0],
            "parsed": self.parsed.b,
            "lines": self.lines,
            "nothing": self.nothing,
            "from": [self.base["from"], self.replaced["from"]],
            "environment": [os.environ["SIZE"], os.environ["NAME"]],
            "parameters": [self.size, self.label, self.late],
            "json": json.dumps(self.config.nested),
        }
        self.part = self.config.nested
        self.next(self.work, foreach="lines")

    @step
    def work(self):
        self.kind = type(self.part).__name__
        self.found = [self.part.cpu, self.config.size]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.found = [inputs[0].config.size, self.config.size, inputs[1].found, inputs[0].kind]
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ConfiguredFlow()
