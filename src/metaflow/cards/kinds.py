"""The kinds of cards that there are here, by the name in ``@card(type=…)``.

Ours; those in a ``CARDS`` of the flow file; those of installed packages: ``CARDS`` of
``metaflow_extensions.<package>.plugins.cards.<module>``, as in Metaflow, and entry points (`metaflow.extensions`).
Nothing is looked for before a name is asked for that is not ours.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from metaflow import extensions, registry
from metaflow.cards.card import MetaflowCard
from metaflow.exception import CommandException
from metaflow.installed import names_in, packages_for_metaflow

_KIND = "card"


class CardNotFound(CommandException):
    """There is no such kind of card."""

    headline = "No such card"


def is_ours(name: str) -> bool:
    """Tell whether a kind of card is one of this package, which needs no process of its own."""
    return name in registry.names(_KIND)


def card_class(name: str) -> type[MetaflowCard]:
    """Return a kind of card.

    Parameters
    ----------
    name : str
        ``@card(type=…)``.

    Raises
    ------
    CardNotFound
        There is none of this name.
    """
    if is_ours(name):
        found: type[MetaflowCard] = registry.load(_KIND, name)
        return found
    known: dict[str, type[MetaflowCard]] = {}
    troubles: list[str] = []
    for module_name, cards in _elsewhere(troubles):
        for each in cards:
            if isinstance(each, type) and issubclass(each, MetaflowCard) and each.type:
                known.setdefault(each.type, each)
            else:
                troubles.append(
                    f"CARDS of {module_name} has {each!r}, which is no subclass of MetaflowCard with a type"
                )
    if name in known:
        return known[name]
    extension: type[MetaflowCard] | None = extensions.load(_KIND, name)
    if extension is not None:
        return extension
    near = difflib.get_close_matches(name, [*registry.names(_KIND), *known], n=1)
    there = ", ".join(sorted([*registry.names(_KIND), *known]))
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {there}"
    raise CardNotFound(
        f"There is no card of the type '{name}'." + "".join(f"\n{trouble}" for trouble in troubles), hint=hint
    )


def _elsewhere(troubles: list[str]) -> Iterator[tuple[str, list[object]]]:
    main = sys.modules.get("__main__")
    if isinstance(main, ModuleType):
        yield "the flow file", list(getattr(main, "CARDS", ()))
    for name in _card_modules():
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                troubles.append(f"{name} cannot be imported: {error}")
            continue
        except Exception as error:  # noqa: BLE001 - code of any package
            troubles.append(f"{name} cannot be imported: {type(error).__name__}: {error}")
            continue
        yield name, list(getattr(module, "CARDS", ()))


def _card_modules() -> Iterator[str]:
    """Yield the modules of packages made for Metaflow that may have cards."""
    for package, directory in packages_for_metaflow():
        cards = f"{package}.plugins.cards"
        names = [name.removesuffix(".py") for name in names_in(os.path.join(directory, "plugins", "cards"))]
        if names:
            yield cards
        yield from (f"{cards}.{name}" for name in names if name.isidentifier() and not name.startswith("__"))
