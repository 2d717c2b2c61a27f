"""Parameters and included files: from the command line to the steps and the client."""

from __future__ import annotations

import pytest

from support.site import Site

DEFAULTS = {
    "text": "some text",
    "number": 3,
    "fraction": 0.5,
    "truth": True,
    "typed": 2.0,
    "document": {"a": [1, None]},
    "decoded": {"b": 2},
    "flag": False,
    "attribute_name": "renamed",
    "nothing": None,
    "computed": '["ParametersFlow", "tester", "computed"]',
    "computed_number": 12,
    "file": "first line\nlast line ☃\n",
    "raw": "first line\nlast line ☃\n".encode(),
    "latin": None,
}


@pytest.fixture
def stocked(one_site: Site) -> Site:
    one_site.write("included.txt", "first line\nlast line ☃\n")
    return one_site


def test_defaults(stocked: Site) -> None:
    finished = stocked.run_flow("parameters.py", "run").succeeded()
    end = finished.values("end")
    assert end["seen"] == DEFAULTS
    assert end["types"]["number"] == "int"
    assert end["types"]["truth"] == "bool"
    assert end["types"]["file"] == "str"
    assert end["types"]["raw"] == "bytes"


def test_values_from_the_command_line(stocked: Site) -> None:
    (stocked.directory / "other.txt").write_bytes("ä".encode("latin-1"))
    finished = stocked.run_flow(
        "parameters.py",
        *("run", "--text", "", "--number=-4", "--fraction", "1e3", "--truth", "false", "--typed", "7"),
        *("--document", "[1, {}]", "--decoded", "[]", "--flag", "--command-line-name", "given", "--nothing", "a=b c"),
        *("--computed", "fixed", "--computed-number", "13", "--latin", "other.txt"),
    ).succeeded()
    assert finished.values("end")["seen"] == {
        **DEFAULTS,
        "text": "",
        "number": -4,
        "fraction": 1000.0,
        "truth": False,
        "typed": 7.0,
        "document": [1, {}],
        "decoded": [],
        "flag": True,
        "attribute_name": "given",
        "nothing": "a=b c",
        "computed": "fixed",
        "computed_number": 13,
        "latin": "ä",
    }
    assert not (stocked.directory / "evaluations.txt").exists(), "a given value leaves its default unasked"


def test_the_client_reads_parameters_in_every_task(stocked: Site) -> None:
    finished = stocked.run_flow("parameters.py", "run", "--number", "9").succeeded()
    for step in ("start", "end"):
        data = finished.task(step).data
        assert (data.number, data.text, data.document) == (9, "some text", {"a": [1, None]})
        assert data.file == "first line\nlast line ☃\n"
        assert data.raw == "first line\nlast line ☃\n".encode()
    assert finished.data.number == 9


def test_a_computed_default_is_asked_once_per_run(stocked: Site) -> None:
    stocked.run_flow("parameters.py", "run").succeeded()
    assert (stocked.directory / "evaluations.txt").read_text().splitlines() == ["computed"]


def test_an_included_file_is_captured_when_the_run_starts(one_site: Site) -> None:
    source = """
        import os
        from metaflow import FlowSpec, IncludeFile, step

        class CaptureFlow(FlowSpec):
            text = IncludeFile("text", default="text.txt")

            @step
            def start(self):
                os.unlink("text.txt")
                self.next(self.end)

            @step
            def end(self):
                self.seen = self.text

        if __name__ == "__main__":
            CaptureFlow()
    """
    one_site.write("text.txt", "captured")
    assert one_site.run_flow(source, "run").succeeded().values("end")["seen"] == "captured"


def test_environment_variables_set_parameters(stocked: Site) -> None:
    """METAFLOW_RUN_<NAME> stands for the option --<name> of `run`."""
    finished = stocked.run_flow(
        "parameters.py", "run", env={"METAFLOW_RUN_NUMBER": "8", "METAFLOW_RUN_COMMAND_LINE_NAME": "from outside"}
    ).succeeded()
    seen = finished.values("end")["seen"]
    assert (seen["number"], seen["attribute_name"]) == (8, "from outside")


def test_help_lists_parameters_with_types_and_defaults(stocked: Site) -> None:
    finished = stocked.run_flow("parameters.py", "run", "--help").succeeded()
    for word in ("--text", "Any words.", "some text", "--number", "INTEGER", "--fraction", "FLOAT", "--flag", "--file"):
        assert word in finished.output, word
    assert not (stocked.directory / ".metaflow").exists() or not list((stocked.root).glob("ParametersFlow/*/start"))


def test_a_required_parameter(one_site: Site) -> None:
    source = """
        from metaflow import FlowSpec, Parameter, step

        class RequiredFlow(FlowSpec):
            must = Parameter("must", required=True, type=int)

            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                self.seen = self.must

        if __name__ == "__main__":
            RequiredFlow()
    """
    assert one_site.run_flow(source, "run", "--must", "5").succeeded().values("end")["seen"] == 5
    refused = one_site.run_flow(source, "run").failed()
    assert "--must" in refused.output
    assert refused.run_id is None


def test_parameters_and_helpers_are_inherited(one_site: Site) -> None:
    one_site.write(
        "grandparent.py",
        """
        from metaflow import FlowSpec, Parameter, step

        class Grandparent(FlowSpec):
            old = Parameter("old", default="o")
            both = Parameter("both", default="grandparent")

            def helper(self, word):
                return word + self.old + self.both

            @step
            def start(self):
                self.begun_by = "grandparent"
                self.next(self.middle)

            @step
            def middle(self):
                self.was = "grandparent's middle"
                self.next(self.end)
        """,
    )
    source = """
        from grandparent import Grandparent
        from metaflow import Parameter, step

        class Child(Grandparent):
            new = Parameter("new", default=1)

            @step
            def middle(self):
                self.was = self.helper("child's middle ")
                self.next(self.end)

            @step
            def end(self):
                self.seen = (self.old, self.both, self.new)

        if __name__ == "__main__":
            Child()
    """
    finished = one_site.run_flow(source, "run", "--old", "O", "--new", "2").succeeded()
    end = finished.values("end")
    assert end["seen"] == ("O", "grandparent", 2)
    assert end["was"] == "child's middle Ograndparent"
    assert end["begun_by"] == "grandparent"
    assert finished.flow_name == "Child"
