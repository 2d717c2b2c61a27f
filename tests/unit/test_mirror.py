"""Who looks for the tests of a file finds them by its name: `tests/unit` mirrors the sources.

A file of the sources may be without tests of its own, where those of its users or flows test it; no test file may be
without its source. `test_init.py` is for the package itself.
"""

from __future__ import annotations

from pathlib import Path

import metaflow

SOURCES = Path(metaflow.__file__).parent
TESTS = Path(__file__).parent


def source_of(test: Path) -> Path:
    name = test.stem.removeprefix("test_")
    return SOURCES / test.parent.relative_to(TESTS) / ("__init__.py" if name == "init" else f"{name}.py")


def test_each_test_file_has_the_name_of_its_source() -> None:
    tests = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    assert [str(test.relative_to(TESTS)) for test in tests if not source_of(test).exists()] == []
