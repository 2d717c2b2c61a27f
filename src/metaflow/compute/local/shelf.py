"""Modules that are loaded, but that nobody sees until they are imported.

They lie in layers, in the order in which they were loaded. Importing one takes it and all that was loaded before it
off the shelf: an import brings what it needs along, and what it needs was loaded earlier. Knows neither what is on the
shelf nor who imports. Start reading at `Shelf.put`.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Shelf(MetaPathFinder):
    """A finder for modules that are loaded already.

    Attributes
    ----------
    before : callable
        Called with the name of a module that is about to be taken off the shelf.
    after : callable
        Called with the number and the modules of each layer that has been taken off.
    """

    def __init__(self) -> None:
        self._layers: list[dict[str, ModuleType]] = []
        self._layer_of: dict[str, int] = {}
        self._taken = 0
        self.before: Callable[[str], object] = lambda name: None
        self.after: Callable[[int, Mapping[str, ModuleType]], object] = lambda layer, modules: None

    def put(self, names: Sequence[str]) -> None:
        """Take modules out of `sys.modules` and lay them on top, once nothing more is to be loaded."""
        if not self._layers:
            sys.meta_path.insert(0, self)
        layer = {name: sys.modules.pop(name) for name in names}
        self._layer_of.update(dict.fromkeys(layer, len(self._layers)))
        self._layers.append(layer)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        layer = self._layer_of.get(fullname, -1)
        if layer < self._taken:
            return None
        module = self._layers[layer][fullname]
        own = getattr(module, "__spec__", None)
        spec = copy.copy(own) if isinstance(own, ModuleSpec) else ModuleSpec(fullname, None)
        spec.loader = _Taker(self, layer, module, own)
        return spec

    def take(self, layer: int, name: str) -> None:
        """Take a layer and all below it off the shelf."""
        self.before(name)
        for at in range(self._taken, layer + 1):
            self._taken = at + 1
            for each, module in self._layers[at].items():
                sys.modules.setdefault(each, module)
            self.after(at, self._layers[at])


class _Taker(Loader):
    """Stands in for the loader of one module: an import ends with the module that there is."""

    def __init__(self, shelf: Shelf, layer: int, module: ModuleType, spec: Any) -> None:
        self._shelf = shelf
        self._layer = layer
        self._module = module
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__spec__"] = self._spec  # the import has just put ours there
        self._shelf.take(self._layer, self._spec.name if self._spec else module.__name__)

    def __getattr__(self, name: str) -> Any:
        """Return what the module's own loader has beside: its data and its source, for those who do not import it."""
        return getattr(getattr(vars(self).get("_spec"), "loader", None), name)
