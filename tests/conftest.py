"""Fixtures of the whole suite: the site in which flow tests run their flows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support import processes, warm
from support.interpreter import is_ours
from support.site import Shared, Site


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ours: Millrace does better than the original here, on purpose")
    os.environ.setdefault("METAFLOW_USER", "tester")
    settings.register_profile("untimed", deadline=None)  # a busy machine is no bug
    settings.load_profile("untimed")


def pytest_unconfigure() -> None:
    warm.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("ours") and not is_ours():
            item.add_marker(pytest.mark.skip(reason="the original behaves otherwise"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses `mode`, directly or through `site`, once in each way to make a task, unless it says how."""
    said = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "mode" in metafunc.fixturenames and not any("mode" in names for names in said if not isinstance(names, str)):
        metafunc.parametrize("mode", ["fork", "exec"] if is_ours() else ["exec"])


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, mode: str) -> Iterator[Site]:
    """A directory to run flows in; when the test is over, nothing it started may be alive."""
    yield from _tended(Site(tmp_path, mode, warm=is_warm(request)))


@pytest.fixture
def one_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Like `site`, for behaviour that does not depend on how tasks are made."""
    yield from _tended(Site(tmp_path, "fork", warm=is_warm(request)))


def is_warm(request: pytest.FixtureRequest) -> bool:
    """Live tests have it as users have it."""
    return not request.node.get_closest_marker("live")


def _tended(site: Site) -> Iterator[Site]:
    try:
        yield site
    except BaseException:
        processes.kill_all(site.mark)
        raise
    processes.assert_gone(site.mark)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    shared = Shared(tmp_path_factory.mktemp)
    yield shared
    shared.end()
