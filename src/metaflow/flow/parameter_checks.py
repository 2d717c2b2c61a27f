"""What is wrong with the parameters of a flow.

Looks at declarations only, never at values, and raises at the first offence with the user's file and line. The command
line runs these checks before anything else; tasks do not. Start reading at `check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn

from metaflow.exception import InvalidFlow
from metaflow.flow.parameter_types import quoted

if TYPE_CHECKING:
    from metaflow.flow.parameters import Parameter

# Names of options and arguments of `run` and of deployments, with `-` as `_`.
RESERVED = frozenset(
    (
        "decospecs", "max_log_size", "max_num_splits", "max_workers", "namespace", "obj", "params", "run_id",
        "run_id_file", "runner_attribute_file", "tag", "tags", "user_namespace", "with",
    )
)  # fmt: skip

# What every flow has under these names.
FLOW_ATTRIBUTES = frozenset(("cmd", "foreach_stack", "index", "input", "merge_artifacts", "next", "script_name"))


def check(parameters: Mapping[str, Parameter]) -> None:
    """Check the parameters of a flow.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        By attribute, as `metaflow.flow.parameters.parameters_of` gives them.

    Raises
    ------
    metaflow.exception.InvalidFlow
        At the first offence.
    """
    seen: dict[str, str] = {}
    for attribute, parameter in parameters.items():
        _check_attribute(parameter, attribute)
        _check_name(parameter)
        _check_arguments(parameter)
        _check_type(parameter)
        _check_shape(parameter)
        problem = parameter.problem()
        if problem:
            _refuse(parameter, problem)
        first = seen.setdefault(parameter.key, attribute)
        if first != attribute:
            _refuse(
                parameter,
                f"Two parameters are called '{parameter.name}': the attributes '{first}' "
                f"(line {parameters[first].line}) and '{attribute}'.",
                "upper and lower case, and - and _, make no difference",
            )


def _check_attribute(parameter: Parameter, attribute: str) -> None:
    if attribute in FLOW_ATTRIBUTES:
        why = "every flow has an attribute of that name"
    elif attribute.startswith("_"):
        why = "names that start with '_' are not artifacts"
    else:
        return
    _refuse(parameter, f"The attribute '{attribute}' cannot be a parameter: {why}.", "the option may keep this name")


def _check_name(parameter: Parameter) -> None:
    name = parameter.name
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier() or name.startswith("-"):
        _refuse(
            parameter,
            f"{quoted(name)} cannot be the name of a parameter.",
            "a name has letters, digits, '_' and '-', and starts with a letter",
        )
    if name.replace("-", "_") in RESERVED:
        _refuse(
            parameter,
            f"A parameter cannot be called '{name}': the command line has a use for that name.",
            "choose another name; the attribute in the flow may keep this one",
        )


def _check_arguments(parameter: Parameter) -> None:
    for word in parameter.kwargs:
        if word not in parameter.arguments:
            from difflib import get_close_matches

            known = [*parameter.arguments, "default", "help", "required", "show_default"]
            near = get_close_matches(word, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else None
            _refuse(parameter, f"The parameter '{parameter.name}' has an unknown argument '{word}'.", hint)
    rules: dict[str, tuple[Any, tuple[type, ...]]] = {
        "help": (parameter.help, (str, FunctionType)),
        "required": (parameter.required, (bool,)),
        "show_default": (parameter.show_default, (bool, str)),
        "separator": (parameter.separator, (str,)),
        "nargs": (parameter.kwargs.get("nargs"), (int,)),
        "metavar": (parameter.kwargs.get("metavar"), (str,)),
        "envvar": (parameter.kwargs.get("envvar"), (str, list, tuple)),
    }
    for word, (value, types) in rules.items():
        if value is not None and not isinstance(value, types):
            _refuse(
                parameter,
                f"The argument '{word}' of parameter '{parameter.name}' is {quoted(value)}, "
                f"not {' or '.join(cls.__name__ for cls in types if cls is not FunctionType)}.",
            )


def _check_type(parameter: Parameter) -> None:
    if parameter.kind is None:
        _refuse(
            parameter,
            f"The type of parameter '{parameter.name}' is {quoted(parameter.type)}, which is no type.",
            "use str, int, float, bool or JSONType",
        )
    if parameter.separator is not None and parameter.kind.metavar != "TEXT":
        _refuse(parameter, f"The parameter '{parameter.name}' has a separator, but is not of type str.")


def _check_shape(parameter: Parameter) -> None:
    has = {
        "is_flag": parameter.is_flag,
        "multiple": parameter.multiple,
        "nargs": parameter.nargs != 1,
        "separator": parameter.separator,
    }
    if parameter.nargs < 1:
        _refuse(parameter, f"The argument 'nargs' of parameter '{parameter.name}' is {parameter.nargs}, not 1 or more.")
    shapes = [word for word in has if has[word]]
    if len(shapes) > 1:
        _refuse(parameter, f"The parameter '{parameter.name}' cannot have both {shapes[0]} and {shapes[1]}.")


def _refuse(parameter: Parameter, message: str, hint: str | None = None) -> NoReturn:
    raise InvalidFlow(message, parameter.line, parameter.source_file, hint=hint)
