import json

from metaflow import FlowSpec, IncludeFile, JSONType, Parameter, step


def counted(context):
    """Say who asks, and leave a line behind for each time it is asked."""
    with open("evaluations.txt", "a") as file:
        file.write(context.parameter_name + "\n")
    return json.dumps([context.flow_name, context.user_name, context.parameter_name])


class ParametersFlow(FlowSpec):
    text = Parameter("text", default="some text", help="Any words.")
    number = Parameter("number", default=3)
    fraction = Parameter("fraction", default=0.5)
    truth = Parameter("truth", default=True)
    typed = Parameter("typed", type=float, default=2)
    document = Parameter("document", type=JSONType, default='{"a": [1, null]}')
    decoded = Parameter("decoded", type=JSONType, default={"b": 2})
    flag = Parameter("flag", is_flag=True, default=False)
    attribute_name = Parameter("command-line-name", default="renamed")
    nothing = Parameter("nothing")
    computed = Parameter("computed", default=counted)
    computed_number = Parameter("computed-number", type=int, default=lambda context: 12)
    file = IncludeFile("file", default="./included.txt")
    raw = IncludeFile("raw", is_text=False, default="./included.txt")
    latin = IncludeFile("latin", encoding="latin-1", required=False)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        self.seen = {
            "text": self.text,
            "number": self.number,
            "fraction": self.fraction,
            "truth": self.truth,
            "typed": self.typed,
            "document": self.document,
            "decoded": self.decoded,
            "flag": self.flag,
            "attribute_name": self.attribute_name,
            "nothing": self.nothing,
            "computed": self.computed,
            "computed_number": self.computed_number,
            "file": self.file,
            "raw": self.raw,
            "latin": self.latin,
        }
        self.types = {name: type(value).__name__ for name, value in self.seen.items()}


if __name__ == "__main__":
    ParametersFlow()
