"""Which Python the flow files run in.

Usually the one that runs pytest. ``MILLRACE_TEST_PYTHON`` names another one, and the whole suite can also be run by a
Python in which the original is installed: that is how the tests themselves are tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

PYTHON = os.environ.get("MILLRACE_TEST_PYTHON", sys.executable)

_PROBE = (
    "import importlib.metadata as m; print(any((d.metadata['Name'] or '') == 'millrace' for d in m.distributions()))"
)


@cache
def is_ours() -> bool:
    """Return whether the flows run under Millrace, not under the original."""
    return subprocess.run([PYTHON, "-c", _PROBE], capture_output=True, text=True, check=True).stdout.strip() == "True"


@cache
def has(module: str) -> bool:
    """Return whether the flows can import `module`."""
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return subprocess.run([PYTHON, "-c", probe], check=False).returncode == 0
