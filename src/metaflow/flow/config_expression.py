"""Values that are not known while the flow's class is read: ``config.key`` in its body, and `config_expr`.

Configs are read when a run starts, long after ``@resources(cpu=config.cpu)`` has been executed. So what stands there is
an `Expression`; `metaflow.flow.plan` replaces it by its value (`evaluate`). Start reading at `Expression`.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from metaflow.exception import InvalidFlow
from metaflow.flow.config_value import ConfigValue, plain


class Configs(NamedTuple):
    """The configs of a flow, for those who plan it.

    Attributes
    ----------
    values : mapping of str to object
        By attribute: a `ConfigValue`, what the parser returned if the config is plain, or None.
    names : mapping of str to str
        Name of each config to its attribute.
    """

    values: Mapping[str, Any] = {}
    names: Mapping[str, str] = {}

    def by_any_name(self) -> ConfigValue:
        """Return the values under the names of configs and under their attributes, which come first."""
        return ConfigValue({**{name: self.values[attribute] for name, attribute in self.names.items()}, **self.values})


NO_CONFIGS = Configs()


class _Missing(Exception):
    """A part of a config that is not there."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint


class Expression:
    """Part of a config that has not been read yet: ``config``, followed by ``.key`` and ``["key"]``.

    Parameters
    ----------
    text : str
        As the user wrote it.
    compute : callable
        Given the `Configs`, returns the value.
    """

    __slots__ = ("_compute", "_text")

    def __init__(self, text: str, compute: Callable[[Configs], Any]) -> None:
        self._text = text
        self._compute = compute

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python asks objects for these, users do not
            raise AttributeError(name)
        return Expression(f"{self._text}.{name}", lambda configs: _attribute(self, configs, name))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, Expression):
            return Expression(f"{self._text}[{key._text}]", lambda configs: _item(self, configs, key._compute(configs)))
        return Expression(f"{self._text}[{key!r}]", lambda configs: _item(self, configs, key))

    def __repr__(self) -> str:
        return f"<{self._text}, not read yet>"

    def _refuse(self, *arguments: Any) -> NoReturn:
        raise TypeError(
            f"{self._text} is not known before a run starts, and cannot be computed with here; "
            f'write config_expr("…") around the whole expression'
        )

    __str__ = __format__ = __bool__ = __iter__ = __len__ = __int__ = __float__ = __index__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __neg__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __or__ = __ror__ = __and__ = __contains__ = _refuse


def config_expr(expr: str) -> Any:
    """Return a value for a decorator or a parameter that is computed from configs when a run starts.

    Parameters
    ----------
    expr : str
        A Python expression. It sees the flow's configs, by their names and by the attributes that they are assigned
        to, and the names of the module in which `config_expr` is called.

    Returns
    -------
    object
        To be given to a decorator or parameter, in place of the value.

    Examples
    --------
    >>> @project(name=config_expr("config.project"))
    ... class MyFlow(FlowSpec):
    ...     config = Config("config", default="config.json")
    ...
    ...     @resources(memory=config_expr("2 * config.memory"))
    ...     @step
    ...     def start(self): ...
    """
    visible = sys._getframe(1).f_globals
    return Expression(f"config_expr({expr!r})", lambda configs: eval(expr, {**visible, **configs.by_any_name()}))


def evaluate(value: Any, configs: Configs, origin: tuple[str, int]) -> Any:
    """Return a value with the expressions in it replaced by their plain values, also in dictionaries and sequences.

    Parameters
    ----------
    value : object
        As the user gave it.
    configs : Configs
        Of the flow.
    origin : tuple of (str, int)
        File and line of the decorator or parameter that it was given to.

    Raises
    ------
    InvalidFlow
        An expression has no value.
    """
    if isinstance(value, Expression):
        return _value_of(value, configs, origin)
    if type(value) is dict:
        return {evaluate(key, configs, origin): evaluate(each, configs, origin) for key, each in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(evaluate(each, configs, origin) for each in value)
    return value


def has_expression(value: Any) -> bool:
    """Tell whether `evaluate` would find something to replace."""
    if isinstance(value, Expression):
        return True
    if type(value) is dict:
        return any(has_expression(each) for pair in value.items() for each in pair)
    return type(value) in (list, tuple, set) and any(has_expression(each) for each in value)


def _value_of(expression: Expression, configs: Configs, origin: tuple[str, int]) -> Any:
    file, line = origin
    try:
        return plain(expression._compute(configs))
    except _Missing as error:
        raise InvalidFlow(str(error), line, file, hint=error.hint) from None
    except (Exception, SystemExit) as error:
        told = _key_error(error)
        said = told if told is not None else f"{type(error).__name__}: {error}"
        hint = f"the flow's configs: {', '.join(configs.names) or 'none'}" if isinstance(error, NameError) else None
        raise InvalidFlow(f"{expression._text} cannot be computed: {said}.", line, file, hint=hint) from error


def _key_error(error: BaseException) -> str | None:
    """Say which key is missing, if an expression has asked a config for one that it lacks."""
    if isinstance(error, AttributeError) and isinstance(error.obj, ConfigValue):
        return f"there is no key {error.name!r} among {', '.join(map(repr, error.obj)) or 'none'}"
    return f"there is no key {error}" if isinstance(error, KeyError) else None


def _attribute(owner: Expression, configs: Configs, name: str) -> Any:
    value = owner._compute(configs)
    if isinstance(value, Mapping):
        return _item(owner, configs, name, value)
    if value is None:
        raise _Missing(f"{owner._text} is None, so {owner._text}.{name} has no value.", None)
    return getattr(value, name)


def _item(owner: Expression, configs: Configs, key: Any, value: Any = None) -> Any:
    value = owner._compute(configs) if value is None else value
    if value is None:
        raise _Missing(f"{owner._text} is None, so {owner._text}[{key!r}] has no value.", None)
    try:
        return value[key]
    except (KeyError, IndexError):
        if isinstance(value, ConfigValue):
            near = difflib.get_close_matches(str(key), [str(each) for each in value], n=1)
            known = ", ".join(str(each) for each in value) or "none"
            hint = f"did you mean '{near[0]}'?" if near else f"its keys: {known}"
            raise _Missing(f"{owner._text} has no key {key!r}.", hint) from None
        raise _Missing(f"{owner._text} has no element {key!r}: it has {len(value)}.", None) from None
