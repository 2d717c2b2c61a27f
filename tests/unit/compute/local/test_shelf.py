"""Modules that are loaded and not seen: an import finds them as they are, with what was loaded before them."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from metaflow.compute.local.shelf import Shelf

FILES = {
    "shelved_base.py": "COUNT = [1]",
    "shelved_top/__init__.py": "import shelved_base",
    "shelved_top/part.py": "from shelved_top import deep",
    "shelved_top/deep/__init__.py": "",
    "shelved_last.py": "import shelved_top.part",
}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    for name, source in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield Shelf()
    for name in [name for name in sys.modules if name.startswith("shelved_")]:
        del sys.modules[name]


def put(shelf: Shelf, *names: str) -> dict[str, object]:
    """Import modules and lay each, with what it brings along, on the shelf."""
    loaded: dict[str, object] = {}
    layers: list[list[str]] = []
    for name in names:
        known = set(sys.modules)
        import_module(name)
        new = [each for each in sys.modules if each not in known]
        loaded.update({each: sys.modules[each] for each in new})
        layers.append(new)
    for layer in layers:
        shelf.put(layer)
    return loaded


def seen() -> set[str]:
    return {name for name in sys.modules if name.startswith("shelved_")}


def test_what_is_on_the_shelf_is_not_seen_until_it_is_imported(shelf: Shelf) -> None:
    loaded = put(shelf, "shelved_top", "shelved_last")
    specs = {name: getattr(module, "__spec__") for name, module in loaded.items()}  # noqa: B009
    assert seen() == set()
    found = find_spec("shelved_top")
    assert found is not None
    assert (found.origin, found.submodule_search_locations) == (
        specs["shelved_top"].origin, specs["shelved_top"].submodule_search_locations,
    )  # fmt: skip
    assert seen() == set(), "who asks whether there is a module does not import it"

    top = import_module("shelved_top")
    assert top is loaded["shelved_top"]
    assert seen() == {"shelved_top", "shelved_base"}, "with what it needs, not with what came later"

    import_module("shelved_top.deep")
    assert {name: sys.modules[name] for name in seen()} == loaded
    assert {name: getattr(sys.modules[name], "__spec__") for name in seen()} == specs  # noqa: B009
    assert top.part is loaded["shelved_top.part"]


def test_who_takes_is_told_before_and_after(shelf: Shelf) -> None:
    put(shelf, "shelved_base", "shelved_top", "shelved_last")
    told: list[object] = []
    shelf.before = lambda name: told.append((name, sorted(seen() - {name})))
    shelf.after = lambda layer, modules: told.append((layer, list(modules), sorted(seen())))
    import_module("shelved_top")
    import_module("shelved_base")
    assert told == [
        ("shelved_top", []),
        (0, ["shelved_base"], ["shelved_base", "shelved_top"]),
        (1, ["shelved_top"], ["shelved_base", "shelved_top"]),
    ]


def test_data_of_a_package_is_there_before_it_is_imported(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "shelved_top" / "data.txt").write_text("data")
    put(shelf, "shelved_top")
    assert pkgutil.get_data("shelved_top", "data.txt") == b"data"
