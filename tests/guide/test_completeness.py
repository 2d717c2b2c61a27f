"""The guide has a line for all that users can name: settings, commands and options, public names, ends of tasks."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from generated import commands, expand
from metaflow.settings.table import NAMES, SETTINGS, UNUSED
from support.guide import GUIDE, PAGES

TEXTS = {page.stem: expand(page.read_text(encoding="utf-8")) for page in PAGES}
SAID = Counter(code for text in TEXTS.values() for code in re.findall(r"`([^`\n]+)`", text))
"""What stands between backquotes, in sentences and tables."""


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_its_line(name: str) -> None:
    assert len(re.findall(rf"^- `{name}`", TEXTS["settings"], re.MULTILINE)) == 1


def test_pages_name_no_settings_that_do_not_exist() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"METAFLOW_[A-Z0-9_]*[A-Z0-9]", text)}
    assert {name for name in named if not name.startswith("METAFLOW_RUN_")} <= NAMES


def test_what_has_no_effect_is_named_with_the_reason() -> None:
    missed = [row.name for row in UNUSED.values() if row.reason and f"`{row.name}`" not in TEXTS["settings"]]
    assert not missed


@pytest.mark.parametrize("name", commands())
def test_a_command_has_its_lines(name: str) -> None:
    page = (GUIDE / "commands.md").read_text(encoding="utf-8")
    assert page.count(f"```{{command}} {name}\n") == 1
