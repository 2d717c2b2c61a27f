"""The guide has a line for all that users can name: settings, commands and options, public names, ends of tasks.

And nothing in it is untried, leads nowhere, or is longer than a reader has time for.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import metaflow
from generated import commands, expand
from metaflow import FlowSpec, current, registry, step
from metaflow.exception import FAILURE_KINDS, TaskFailed
from metaflow.settings.table import NAMES, OPTIONS, SETTINGS, UNUSED
from metaflow.testing import run_step
from support.guide import GUIDE, PAGES, PROJECT

TEXTS = {page.stem: expand(page.read_text(encoding="utf-8")) for page in PAGES}
SAID = {
    word
    for page, text in TEXTS.items()
    if page != "compatibility"  # which has lists for programs
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    for word in re.findall(r"[A-Za-z_]\w*", code)
}
"""The words between backquotes, in sentences and tables."""


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_its_line(name: str) -> None:
    assert len(re.findall(rf"^- `{name}`", TEXTS["settings"], re.MULTILINE)) == 1


def test_pages_name_no_settings_that_do_not_exist() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"METAFLOW_[A-Z0-9_]*[A-Z0-9]", text)}
    assert {name for name in named if not name.startswith("METAFLOW_RUN_")} <= NAMES


def test_what_has_no_effect_is_named_with_the_reason() -> None:
    missed = [row.name for row in UNUSED.values() if row.reason and f"`{row.name}`" not in TEXTS["settings"]]
    assert not missed


@pytest.mark.parametrize(("variable", "option"), OPTIONS.items())
def test_an_option_before_the_command_has_its_lines(variable: str, option: str) -> None:
    assert f"- `{variable}`: `{option}`" in TEXTS["settings"]
    assert re.search(rf"^- `{option}\b", TEXTS["commands"], re.MULTILINE)


@pytest.mark.parametrize("name", commands())
def test_a_command_has_its_lines(name: str) -> None:
    page = (GUIDE / "commands.md").read_text(encoding="utf-8")
    assert page.count(f"```{{command}} {name}\n") == 1


@pytest.mark.parametrize("name", [name for name in metaflow.__all__ if name != "__version__"])
def test_a_public_name_is_named_in_a_sentence(name: str) -> None:
    assert name in SAID


@pytest.mark.parametrize("failure", TaskFailed.__subclasses__(), ids=lambda failure: failure.kind)
def test_an_end_of_a_task_is_explained(failure: type[TaskFailed]) -> None:
    assert failure.__name__ in SAID
    if failure.kind in FAILURE_KINDS:
        assert f"| `{failure.kind}` | `{failure.__name__}` |" in TEXTS["failing"]


@pytest.mark.parametrize("name", [*registry.names("step decorator"), *registry.names("flow decorator")])
def test_a_decorator_is_explained(name: str) -> None:
    assert any(re.search(rf"`@{name}\b", text) for text in TEXTS.values())


ROWS = re.findall(r"^\| `(\w+)\(\".*\)` \|.*\| (.*) \|$", TEXTS["data"], re.MULTILINE)


@pytest.mark.parametrize(("name", "attributes"), ROWS, ids=[name for name, _ in ROWS])
def test_what_is_said_of_the_client_s_objects_is_there(name: str, attributes: str) -> None:
    there = dir(getattr(metaflow, name))
    assert set(re.findall(r"`(\w+)", attributes)) <= set(there)


def test_what_is_said_of_current_is_there() -> None:
    class OneStepFlow(FlowSpec):
        @step(start=True, end=True)
        def only(self) -> None:
            self.there = [name for name in said if hasattr(current, name)]

    said = sorted(set(re.findall(r"`current\.(\w+)", TEXTS["data"])) - {"run", "task"})  # kept by no run here
    assert run_step(OneStepFlow.only).there == said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{link}#{anchor}"


def anchors(text: str) -> set[str]:
    """Return the names that a link to a page can end with: of headings, and of lines ``(name)=``."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\((.*)\)=$", text, re.MULTILINE))


@pytest.mark.parametrize("page", sorted(GUIDE.glob("*.md")), ids=lambda page: page.stem)
def test_code_stands_in_blocks_that_are_tried(page: Path) -> None:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    assert [token.map for token in tokens if token.type == "code_block"] == []


def test_the_front_door_is_short() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
