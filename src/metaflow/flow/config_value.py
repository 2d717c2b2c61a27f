"""`ConfigValue`: what a `Config` is in a step, a dictionary that nobody can change, with dots.

It is pickled as the original pickles its own, a class of the same name called with a plain dictionary, so that either
can read what the other has stored. Knows nothing of files, options and flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn


class ConfigValue(dict[Any, Any]):
    """A dictionary that cannot be changed, whose keys are attributes too.

    Dictionaries in it, also those in lists, are of this class. A key that is no Python name, or the name of a method
    of dictionaries, such as ``items``, is reached with brackets.

    Parameters
    ----------
    data : mapping
        What it holds.

    Examples
    --------
    >>> config = ConfigValue({"model": {"layers": [{"size": 8}]}, "learning rate": 0.1})
    >>> config.model.layers[0].size
    8
    >>> config["learning rate"]
    0.1
    """

    def __init__(self, data: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = ()) -> None:
        super().__init__({key: frozen(value) for key, value in dict(data).items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name, name=name, obj=self) from None

    def to_dict(self) -> dict[Any, Any]:
        """Return the same as plain dictionaries and lists, all of them new."""
        return {key: plain(value) for key, value in self.items()}

    def copy(self) -> ConfigValue:
        """Return itself: there is nothing that a copy could have of its own."""
        return self

    def __copy__(self) -> ConfigValue:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.to_dict(),))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(key for key in self if isinstance(key, str) and key.isidentifier())})

    def _refuse(self, *arguments: Any, **keywords: Any) -> NoReturn:
        raise TypeError("a config cannot be changed; config.to_dict() gives a dictionary that can")

    __setattr__ = __delattr__ = __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


ConfigValue.__module__ = "metaflow.user_configs.config_parameters"  # where pickles of the original look for it


def frozen(value: Any) -> Any:
    """Return a value as a config holds it."""
    if isinstance(value, ConfigValue):
        return value
    if isinstance(value, Mapping):
        return ConfigValue(value)
    if isinstance(value, (list, tuple)):
        return [frozen(each) for each in value]
    return value


def plain(value: Any) -> Any:
    """Return a value of a config as plain dictionaries and lists."""
    if isinstance(value, ConfigValue):
        return value.to_dict()
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value
