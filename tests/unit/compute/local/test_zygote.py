"""What local tasks find imported when they are forked."""

from __future__ import annotations

import subprocess
import sys

from metaflow.compute.local.zygote import _OWN

CHECK = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
before = set(sys.modules)
from metaflow.app import task
from metaflow.cli import main
late = sorted(name for name in set(sys.modules) - before if name.startswith("metaflow"))
print(late, [name for name in ("asyncio", "click", "rich", "boto3", "obstore", "httpx2") if name in sys.modules])
"""


def test_all_that_is_preloaded_exists_and_is_what_a_task_needs_and_no_more() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK, *_OWN], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[] []", "")
