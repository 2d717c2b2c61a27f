"""Parameters: from text and defaults to values, the option they describe, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import (
    CommandException,
    InvalidFlow,
    ParameterFieldFailed,
    ParameterFieldTypeMismatch,
)
from metaflow.flow.includefile import IncludeFile
from metaflow.flow.parameters import (
    JSONType,
    JSONTypeClass,
    Parameter,
    ParameterContext,
    check_parameters,
    parameters_of,
)

CONTEXT = ParameterContext("Flow", "ada", "", print, "local", {})


def flow_with(**attributes: Any) -> type:
    return type("Flow", (), attributes)


def line_of(parameter: Parameter) -> str:
    return Path(parameter.source_file).read_text().splitlines()[parameter.line - 1]


# ------------------------------------------------------------------------------------------------ values from texts


@pytest.mark.parametrize(
    ("declaration", "text", "value"),
    [
        ({}, "", ""),
        ({}, " as it is ", " as it is "),
        ({"type": int}, "-12", -12),
        ({"type": int}, " 1_000 ", 1000),
        ({"default": 5}, "7", 7),
        ({"type": float}, "1e3", 1000.0),
        ({"type": float}, "inf", math.inf),
        ({"default": 5.0}, "3", 3.0),
        ({"default": True}, "no", False),
        ({"type": JSONType}, '{"a": [1, null]}', {"a": [1, None]}),
        ({"type": JSONType}, '"s"', "s"),
        ({"type": JSONTypeClass}, "[]", []),
        ({"default": {"a": 1}}, '{"b": 2}', {"b": 2}),
        ({"default": [1]}, "[2]", [2]),
        ({"default": (1,)}, "[2, 3]", (2, 3)),
        ({"type": list}, '["a"]', ["a"]),
        ({"type": Decimal}, "1.10", Decimal("1.10")),
        ({"type": complex}, "2j", 2j),
        ({"type": str.upper}, "loud", "LOUD"),
        ({"separator": ","}, "a,b", ["a", "b"]),
        ({"separator": ","}, "", ""),
        ({"type": click.Choice(["a", "b"])}, "b", "b"),
        ({"type": click.IntRange(1, 3)}, "3", 3),
        ({"default": lambda context: 5}, "5", "5"),
    ],
)
def test_texts_that_are_values(declaration: dict[str, Any], text: str, value: object) -> None:
    parsed = Parameter("p", **declaration).parse(text)
    assert (type(parsed), parsed) == (type(value), value)


@pytest.mark.parametrize("text", ["1", "true", "T", "YES", "y", "on", " True "])
def test_words_for_true(text: str) -> None:
    assert Parameter("p", type=bool).parse(text) is True


@pytest.mark.parametrize("text", ["0", "false", "F", "NO", "n", "off", " False "])
def test_words_for_false(text: str) -> None:
    assert Parameter("p", type=bool).parse(text) is False


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (int, "x", "--p: 'x' is not an integer."),
        (int, "1.5", "--p: '1.5' is not an integer."),
        (int, "", "--p: '' is not an integer."),
        (int, "9" * 5000, f"--p: '{'9' * 49}…9999' is not an integer."),
        (float, "1,5", "--p: '1,5' is not a number."),
        (bool, "maybe", "--p: 'maybe' is not true or false."),
        (JSONType, '{"a":', "--p: '{\"a\":' is not JSON: Expecting value at character 6."),
        (JSONType, "[\n}", "--p: '[\\n}' is not JSON: Expecting value at line 2, character 1."),
        (JSONType, "[" * 100_000, f"--p: '{'[' * 49}…[[[[' is not JSON: it is nested too deeply."),
        (list, '{"a": 1}', "--p: '{\"a\": 1}' is not JSON with a list: it holds {'a': 1}."),
        (Decimal, "x", "--p: 'x' is not a valid Decimal: [<class 'decimal.ConversionSyntax'>]."),
        (bytes, "x", "--p: 'x' is not a valid bytes: string argument without an encoding."),
        (click.Choice(["a", "b"]), "c", "--p: 'c' is not a valid choice: 'c' is not one of 'a', 'b'."),
    ],
)
def test_texts_that_are_not(kind: Any, text: str, message: str) -> None:
    with pytest.raises(CommandException) as caught:
        Parameter("p", type=kind).parse(text)
    assert str(caught.value) == message


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(DOCUMENTS)
def test_json_comes_back(document: Any) -> None:
    assert Parameter("p", type=JSONType).parse(json.dumps(document)) == document


@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text())
def test_a_default_and_its_text_are_the_same_value(value: Any) -> None:
    parameter = Parameter("p", default=value)
    assert parameter.default_value(CONTEXT) == value
    assert parameter.parse(str(value)) == value


# --------------------------------------------------------------------------------------------------------- defaults


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ({}, None),
        ({"type": int}, None),
        ({"type": bool}, None),
        ({"required": False}, None),
        ({"default": "x", "required": True}, "x"),
        ({"type": int, "default": "5"}, 5),
        ({"type": int, "default": 5.5}, 5),
        ({"type": float, "default": 5}, 5.0),
        ({"type": str, "default": 5}, 5),
        ({"type": bool, "default": "True"}, True),
        ({"type": bool, "default": 1}, True),
        ({"type": JSONType, "default": "[1]"}, [1]),
        ({"type": JSONType, "default": {"a": 1}}, {"a": 1}),
        ({"default": [1, 2]}, [1, 2]),
        ({"default": (1, 2)}, (1, 2)),
        ({"default": b"x"}, b"x"),
        ({"type": Path, "default": "x"}, Path("x")),
        ({"type": click.IntRange(1, 3), "default": "2"}, 2),
        ({"separator": ",", "default": "p,q"}, ["p", "q"]),
        ({"multiple": True}, ()),
        ({"multiple": True, "default": [1, 2]}, (1, 2)),
        ({"multiple": True, "type": int, "default": ["1"]}, (1,)),
        ({"nargs": 2, "default": ("a", "b")}, ("a", "b")),
        ({"is_flag": True}, None),
        ({"is_flag": True, "type": bool}, False),
        ({"is_flag": True, "default": True}, True),
        ({"default": lambda context: "computed"}, "computed"),
        ({"default": lambda context: 5, "type": int}, 5),
        ({"default": lambda context: 5, "type": float}, 5.0),
        ({"default": lambda context: False, "type": bool}, False),
        ({"default": lambda context: "[1]", "type": JSONType}, [1]),
        ({"default": lambda context: [1], "type": JSONType}, [1]),
        ({"default": lambda context: "a,b", "separator": ","}, ["a", "b"]),
        ({"default": lambda context: ["a"], "multiple": True}, ("a",)),
        ({"default": lambda context: "x", "required": True}, "x"),
    ],
)
def test_defaults(declaration: dict[str, Any], value: object) -> None:
    parameter = Parameter("p", **declaration)
    check_parameters(parameters_of(flow_with(p=parameter)))
    default = parameter.default_value(CONTEXT)
    assert (type(default), default) == (type(value), value)


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"type": int, "default": "x"}, "The default of parameter 'p', 'x', is not an integer."),
        ({"type": float, "default": "x"}, "The default of parameter 'p', 'x', is not a number."),
        ({"type": bool, "default": "x"}, "The default of parameter 'p', 'x', is not true or false."),
        (
            {"type": JSONType, "default": "x"},
            "The default of parameter 'p', 'x', is not JSON: Expecting value at character 1.",
        ),
        (
            {"type": click.Choice(["a"]), "default": "x"},
            "The default of parameter 'p', 'x', is not a valid choice: 'x' is not 'a'.",
        ),
    ],
)
def test_defaults_of_the_wrong_type(declaration: dict[str, Any], message: str) -> None:
    parameter = Parameter("p", **declaration)
    with pytest.raises(InvalidFlow) as caught:
        parameter.default_value(CONTEXT)
    assert str(caught.value) == message
    assert (caught.value.source_file, caught.value.line_no) == (__file__, parameter.line)
    assert "Parameter(" in line_of(parameter)


def test_a_missing_value() -> None:
    with pytest.raises(CommandException, match="The option --p-q is missing") as caught:
        Parameter("p-q", type=int, required=True).default_value(CONTEXT)
    assert caught.value.hint == "add --p-q INTEGER"


def test_a_function_sees_the_context_and_is_called_for_each_run() -> None:
    seen = []

    def default(context: ParameterContext) -> str:
        seen.append(context)
        return f"run {len(seen)}"

    parameter = Parameter("the-name", default=default)
    assert [parameter.default_value(CONTEXT) for _ in range(2)] == ["run 1", "run 2"]
    assert seen == [CONTEXT._replace(parameter_name="the-name")] * 2


@pytest.mark.parametrize(
    ("result", "declared", "expected", "hint"),
    [
        (5, None, "5, which is not text", "add type=int to the parameter"),
        (None, None, "None, which is not text", None),
        ("5", int, "'5', which is not an integer", None),
        (True, int, "True, which is not an integer", None),
        (1, bool, "1, which is not true or false", None),
        ("5.0", float, "'5.0', which is not a number", None),
        (None, JSONType, "None, which is not JSON", None),
    ],
)
def test_a_function_that_returns_something_else(result: Any, declared: Any, expected: str, hint: str | None) -> None:
    parameter = Parameter("p", default=lambda context: result, type=declared)
    with pytest.raises(ParameterFieldTypeMismatch) as caught:
        parameter.default_value(CONTEXT)
    assert str(caught.value) == f"The function that gives the default of parameter 'p' returned {expected}."
    assert (caught.value.hint, caught.value.line_no) == (hint, parameter.line)


def test_a_function_that_raises() -> None:
    def default(context: ParameterContext) -> str:
        return json.loads("{")  # type: ignore[no-any-return]

    with pytest.raises(ParameterFieldFailed) as caught:
        Parameter("p", default=default).default_value(CONTEXT)
    error = caught.value
    assert str(error).startswith(
        "The function that gives the default of parameter 'p' raised JSONDecodeError: Expecting"
    )
    assert (error.source_file, error.line_no) == (__file__, default.__code__.co_firstlineno + 1)
    assert isinstance(error.__cause__, json.JSONDecodeError)


def test_a_function_without_argument() -> None:
    parameter = Parameter("p", default=lambda: "x")
    with pytest.raises(ParameterFieldFailed, match=r"takes 0 positional arguments") as caught:
        parameter.default_value(CONTEXT)
    assert caught.value.line_no == parameter.line
    assert caught.value.hint == "it is called with one argument, a ParameterContext"


# ------------------------------------------------------------------------------------------- what the command line has


@pytest.mark.parametrize(
    ("declaration", "given", "value"),
    [
        ({"type": int, "default": 1}, "2", 2),
        ({"multiple": True, "type": int}, ("1", "2"), (1, 2)),
        ({"type": int}, 2, 2),
        ({"type": JSONType}, {"a": 1}, {"a": 1}),
        ({"type": JSONType}, '{"a": 1}', {"a": 1}),
        ({"separator": ","}, "a,b", ["a", "b"]),
        ({"nargs": 2, "type": float}, ("1", "2"), (1.0, 2.0)),
        ({"is_flag": True}, True, True),
        ({"is_flag": True, "default": True}, False, False),
        ({"is_flag": True, "flag_value": "zz"}, "zz", "zz"),
    ],
)
def test_resolve(declaration: dict[str, Any], given: Any, value: object) -> None:
    resolved = Parameter("p", **declaration).resolve(given)
    assert (type(resolved), resolved) == (type(value), value)


def test_a_value_of_another_type() -> None:
    with pytest.raises(CommandException, match=r"Parameter 'p': \[1\] is not an integer"):
        Parameter("p", type=int).resolve([1])
    with pytest.raises(CommandException, match=r"Parameter 'p': 2\.7 is not an integer"):
        Parameter("p", type=int).resolve(2.7)
    assert Parameter("p", type=float).resolve(2) == 2.0


@pytest.mark.parametrize(
    ("declaration", "value"),
    [({}, True), ({"default": False}, True), ({"default": True}, False), ({"flag_value": "zz"}, "zz")],
)
def test_what_a_flag_stands_for(declaration: dict[str, Any], value: object) -> None:
    assert Parameter("p", is_flag=True, **declaration).flag_value == value


def test_option() -> None:
    assert Parameter("Learning-rate", default=0.1, help="Speed.", required=True).option() == {
        "flag": "--Learning-rate",
        "destination": "parameter_learning_rate",
        "metavar": "FLOAT",
        "help": "Speed.",
        "required": False,
        "default_text": "0.1",
        "multiple": False,
        "is_flag": False,
        "nargs": 1,
        "hidden": False,
        "envvar": ["METAFLOW_RUN_LEARNING_RATE"],
    }


@pytest.mark.parametrize(
    ("declaration", "changes"),
    [
        ({"required": True}, {"required": True}),
        ({"default": 1, "show_default": False}, {"default_text": None}),
        ({"default": 1, "show_default": "one"}, {"default_text": "one"}),
        ({"default": {"a": None}}, {"default_text": '{"a": null}', "metavar": "JSON"}),
        ({"default": lambda context: 1 / 0}, {"default_text": "computed when a run starts", "metavar": "TEXT"}),
        ({"is_flag": True, "default": False}, {"is_flag": True, "default_text": "False"}),
        ({"multiple": True, "nargs": 1, "hidden": True}, {"multiple": True, "hidden": True}),
        ({"metavar": "N", "envvar": "N_ITER"}, {"metavar": "N", "envvar": ["N_ITER", "METAFLOW_RUN_P"]}),
        ({"type": click.Choice(["a", "b"])}, {"metavar": "[a|b]"}),
        ({"type": click.INT}, {"metavar": "INTEGER"}),
        ({"type": JSONType}, {"metavar": "JSON"}),
        ({"type": bool}, {"metavar": "BOOLEAN"}),
    ],
)
def test_option_of_other_declarations(declaration: dict[str, Any], changes: dict[str, Any]) -> None:
    option = Parameter("p", **declaration).option()
    assert {key: option[key] for key in changes} == changes  # type: ignore[literal-required]


# ------------------------------------------------------------------------------------------------ parameters of a flow


class Grandparent:
    first = Parameter("first")
    second = Parameter("second", default="grandparent")
    dropped = Parameter("dropped")


class Parent(Grandparent):
    third = Parameter("third")
    dropped = None


class Child(Parent):
    second = Parameter("second", default="child")
    fourth = Parameter("fourth")


def test_parameters_are_inherited_overridden_and_dropped() -> None:
    found = parameters_of(Child)
    assert list(found) == ["first", "second", "third", "fourth"]
    assert found["second"].default == "child"
    assert list(parameters_of(Grandparent)) == ["first", "second", "dropped"]
    check_parameters(parameters_of(Child))


def test_the_place_of_a_declaration_is_known() -> None:
    class Own(Parameter):
        def __init__(self, name: str) -> None:
            super().__init__(name, default=1)

    assert [parameter.source_file for parameter in parameters_of(Child).values()] == [__file__] * 4
    assert line_of(Child.fourth).strip() == 'fourth = Parameter("fourth")'
    assert "IncludeFile(" in line_of(IncludeFile("x"))
    assert "super().__init__(name, default=1)" in line_of(Own("x"))


@pytest.mark.parametrize("name", ["should-fail", "x-y_z", "UPPER", "ä", "class", "help", "_x", "Tag"])
def test_names(name: str) -> None:
    check_parameters(parameters_of(flow_with(attribute=Parameter(name))))


@pytest.mark.parametrize("name", ["1b", "a b", "a.b", "", "-x", "a$", 5, None, "a\nb"])
def test_names_that_cannot_be_options(name: Any) -> None:
    with pytest.raises(InvalidFlow, match=r"cannot be the name of a parameter\.") as caught:
        check_parameters(parameters_of(flow_with(attribute=Parameter(name))))
    assert caught.value.where is not None
    assert caught.value.where.startswith(__file__)


@pytest.mark.parametrize(
    "name",
    [
        *("tag", "tags", "max-workers", "max_workers", "max-num-splits", "max-log-size", "with", "namespace"),
        *("run-id-file", "decospecs", "run-id", "params", "user_namespace", "runner-attribute-file", "obj"),
    ],
)
def test_names_of_options_of_run(name: str) -> None:
    with pytest.raises(InvalidFlow, match=f"A parameter cannot be called '{name}'"):
        check_parameters(parameters_of(flow_with(attribute=Parameter(name))))


@pytest.mark.parametrize(("first", "second"), [("b", "b"), ("b", "B"), ("x-y", "x_y")])
def test_names_must_differ(first: str, second: str) -> None:
    one = Parameter(first)
    two = Parameter(second)
    with pytest.raises(InvalidFlow) as caught:
        check_parameters(parameters_of(flow_with(one=one, two=two)))
    assert str(caught.value) == (
        f"Two parameters are called '{second}': the attributes 'one' (line {one.line}) and 'two'."
    )
    assert caught.value.line_no == two.line


def test_one_parameter_cannot_have_two_attributes() -> None:
    shared = Parameter("p")
    with pytest.raises(InvalidFlow, match="Two parameters are called 'p'"):
        check_parameters(parameters_of(flow_with(one=shared, two=shared)))


def test_help_may_be_a_function() -> None:
    def text() -> str:
        """How fast."""
        return "never called"

    parameter = Parameter("speed", default=1, help=text)
    check_parameters(parameters_of(flow_with(speed=parameter)))
    assert parameter.option()["help"] == "How fast."


@pytest.mark.parametrize("attribute", ["next", "input", "index", "foreach_stack", "_x"])
def test_attributes_that_a_flow_already_has(attribute: str) -> None:
    with pytest.raises(InvalidFlow, match=f"The attribute '{attribute}' cannot be a parameter"):
        check_parameters(parameters_of(flow_with(**{attribute: Parameter("p")})))


def any_type(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Parameter("p", type="int"), "The type of parameter 'p' is 'int', which is no type."),
        (lambda: Parameter("p", type=3), "The type of parameter 'p' is 3, which is no type."),
        (lambda: Parameter("p", defualt=3), "The parameter 'p' has an unknown argument 'defualt'."),
        (
            lambda: Parameter("p", help=any_type(str)),
            "The argument 'help' of parameter 'p' is <class 'str'>, not str.",
        ),
        (
            lambda: Parameter("p", required=any_type("yes")),
            "The argument 'required' of parameter 'p' is 'yes', not bool.",
        ),
        (
            lambda: Parameter("p", show_default=any_type(3)),
            "The argument 'show_default' of parameter 'p' is 3, not bool or str.",
        ),
        (lambda: Parameter("p", separator=5), "The argument 'separator' of parameter 'p' is 5, not str."),
        (lambda: Parameter("p", separator=",", type=int), "The parameter 'p' has a separator, but is not of type str."),
        (
            lambda: Parameter("p", separator=",", default=1),
            "The parameter 'p' has a separator, but is not of type str.",
        ),
        (
            lambda: Parameter("p", separator=",", multiple=True),
            "The parameter 'p' cannot have both multiple and separator.",
        ),
        (
            lambda: Parameter("p", is_flag=True, multiple=True),
            "The parameter 'p' cannot have both is_flag and multiple.",
        ),
        (lambda: Parameter("p", metavar=5), "The argument 'metavar' of parameter 'p' is 5, not str."),
        (lambda: Parameter("p", envvar=5), "The argument 'envvar' of parameter 'p' is 5, not str or list or tuple."),
        (lambda: Parameter("p", nargs=-1), "The argument 'nargs' of parameter 'p' is -1, not 1 or more."),
        (lambda: IncludeFile("p", any_type("path")), "The argument 'required' of parameter 'p' is 'path', not bool."),
        (lambda: IncludeFile("p", multiple=True), "The parameter 'p' has an unknown argument 'multiple'."),
        (lambda: IncludeFile("p", encoding="utf-9"), "The encoding of 'p', 'utf-9', is not known."),
        (
            lambda: IncludeFile("p", parser=any_type(3)),
            "The parser of 'p' is 3, neither a function nor the name of one.",
        ),
    ],
)
def test_declarations_that_are_refused(make: Callable[[], Parameter], message: str) -> None:
    parameter = make()
    with pytest.raises(InvalidFlow) as caught:
        check_parameters(parameters_of(flow_with(p=parameter)))
    assert str(caught.value) == message
    assert (caught.value.source_file, caught.value.line_no) == (__file__, parameter.line)


def test_an_unknown_argument_has_a_hint() -> None:
    with pytest.raises(InvalidFlow) as caught:
        check_parameters(parameters_of(flow_with(p=Parameter("p", defualt=3))))
    assert caught.value.hint == "did you mean 'default'?"


def judgement_of(parameter: Parameter) -> InvalidFlow | None:
    try:
        check_parameters(parameters_of(flow_with(p=parameter)))
    except InvalidFlow as error:
        return error
    return None


SCALARS = st.none() | st.integers() | st.text() | st.booleans()
WORDS = st.sampled_from(["default", "type", "help", "required", "is_flag", "multiple", "nargs", "separator", "other"])


@given(st.dictionaries(WORDS, SCALARS))
def test_a_declaration_never_raises_and_is_judged_later(arguments: dict[str, Any]) -> None:
    judgement = judgement_of(Parameter("p", **arguments))
    assert judgement is None or judgement.source_file == __file__


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        (Parameter("n", default=1), 5, 5),
        (Parameter("n", type=float), 1, 1.0),
        (Parameter("n"), "5", "5"),
        (Parameter("n", default=True), False, False),
        (Parameter("n", is_flag=True, flag_value="on"), True, "on"),
        (Parameter("n", type=JSONType), '{"a": 1}', '{"a": 1}'),
        (Parameter("n", type=JSONType), {"a": [None, 1.5]}, {"a": [None, 1.5]}),
        (Parameter("n", multiple=True, type=int), [1, 2], (1, 2)),
        (Parameter("n", separator=","), "a,b", ["a", "b"]),
        (Parameter("n", type=Decimal), "1.5", Decimal("1.5")),
    ],
)
def test_values_of_programs(parameter: Parameter, value: object, found: object) -> None:
    given = parameter.resolve(parameter.from_program(value))
    assert (type(given), given) == (type(found), found)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (Parameter("n", default=1), "5"),
        (Parameter("n", default=1), 5.5),
        (Parameter("n", default=1), True),
        (Parameter("n", type=float), "1"),
        (Parameter("n", default=True), "yes"),
        (Parameter("n", default=True), 1),
        (Parameter("n"), 5),
        (Parameter("n", multiple=True), "ab"),
        (Parameter("n", multiple=True, type=int), ["1"]),
    ],
)
def test_values_of_programs_are_of_the_parameter_s_type(parameter: Parameter, value: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        parameter.from_program(value)
