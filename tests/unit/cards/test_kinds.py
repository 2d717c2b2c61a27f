"""Kinds of cards by name: ours, those of packages, those of the flow file, and what is wrong with the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow.cards import BlankCard, DefaultCard, ErrorCard, MetaflowCard
from metaflow.cards.kinds import CardNotFound, card_class, is_ours

PACKAGE = """
from metaflow.cards import MetaflowCard

class Far(MetaflowCard):
    type = "far"

CARDS = [Far, 3]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two packages with cards, one of which cannot be imported."""
    for package, module, text in (("good", "far", PACKAGE), ("bad", "broken", "raise RuntimeError('no')")):
        home = tmp_path / "metaflow_extensions" / package / "plugins" / "cards" / module
        home.mkdir(parents=True)
        (home / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "metaflow_extensions"]:
        del sys.modules[name]


def test_ours() -> None:
    assert (card_class("default"), card_class("blank"), card_class("error")) == (DefaultCard, BlankCard, ErrorCard)
    assert is_ours("default")
    assert not is_ours("far")


@pytest.mark.usefixtures("installed")
def test_those_of_packages() -> None:
    found = card_class("far")
    assert (found.type, found.__module__) == ("far", "metaflow_extensions.good.plugins.cards.far")


@pytest.mark.usefixtures("installed")
def test_what_is_wrong_with_a_package_is_told_where_a_card_is_missed() -> None:
    with pytest.raises(CardNotFound) as raised:
        card_class("fat")
    assert "CARDS of metaflow_extensions.good.plugins.cards.far has 3, which is no subclass" in raised.value.message
    assert "metaflow_extensions.bad.plugins.cards.broken cannot be imported: RuntimeError: no" in raised.value.message
    assert raised.value.hint == "did you mean 'far'?"


def test_those_of_the_flow_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Near(MetaflowCard):
        type = "near"

    monkeypatch.setattr(sys.modules["__main__"], "CARDS", [Near], raising=False)
    assert card_class("near") is Near
    with pytest.raises(CardNotFound) as raised:
        card_class("something else")
    assert raised.value.hint == "there are: blank, default, error, near"
