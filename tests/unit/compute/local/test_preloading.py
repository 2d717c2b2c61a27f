"""Libraries imported once: what is unfit for that, and what those that import one later find.

Each case is a fork of one interpreter, in which libraries of proven names lie that do what a case needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

SCRIPT = """
import atexit, json, os, random, sys, tempfile
from metaflow.compute.local.preloading import Preloading, Unfit
from metaflow.compute.local.proven import Candidate

def load(*names, asked_for=()):
    made = Preloading(output.fileno())
    paths = {name: f"{directory}/{name}.py" for name in names}
    try:
        made.load([*(Candidate(name, path, (name,)) for name, path in paths.items()),
                   *(Candidate(name, "", (name,)) for name in asked_for)], told.append)
    except Unfit as reason:
        return f"{told[-1]} {reason}"
    return made

def begin(made):
    anew = []
    made.begin(lambda: anew.append(True))
    return anew

def tell(case):
    kept = [os.dup(1), os.dup(2)]
    for fd in (1, 2):
        os.dup2(output.fileno(), fd)
    return case()

directory, cases = sys.argv[1], sys.argv[2]
told, output = [], tempfile.TemporaryFile()
sys.path.insert(0, directory)
space = {}
exec(cases, globals(), space)
for name, case in space.items():
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, json.dumps(tell(case)).encode())
        os._exit(0)
    os.close(write)
    print(json.dumps([name, json.loads(os.read(read, 9999) or b"null")]))
    os.wait()
"""

LIBRARIES = {
    "yaml": "import os, atexit\nSEEN = os.environ.get('SEEN')\natexit.register(print, 'goodbye')",
    "tqdm": "import yaml, random\nrandom.random()",
    "tabulate": "print('hello')",
    "dateutil": "import os\nos.environ['NEW'] = '1'",
    "requests": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    "boto3": "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
    "lxml": "import random\nrandom.seed(1)",
    "bs4": "raise ValueError('broken')",
    "orjson": "import sys\nsys.exit(3)",
    "jinja2": "import unproven",
    "unproven": "",
    "pydantic": "import sys\nsys.path.append('/nowhere')",
    "psutil": "class State: pass",
    "attrs": "import sys, types\nsys.modules['attrs.ops'] = made = types.ModuleType('ops')\nmade.__file__ = 'o.py'",
}

CASES = """
prints = lambda: load("tabulate")
environment = lambda: load("dateutil")
thread = lambda: load("requests")
signals = lambda: load("boto3")
seeds = lambda: load("lxml")
fails = lambda: load("bs4")
leaves = lambda: load("orjson")
brings = lambda: load("jinja2")
path = lambda: load("pydantic")
asked_for = lambda: bool(load(asked_for=["unproven"])) and told
asked_for_missing = lambda: load(asked_for=["missing"])

def made_up():
    load("attrs")
    shelved = "attrs.ops" in sys.modules
    import attrs
    return [shelved, "attrs.ops" in sys.modules]

def elsewhere():
    made = Preloading(output.fileno())
    made.load([Candidate("yaml", "/elsewhere/yaml.py", ("yaml",))], told.append)
    return [told, "yaml" in sys.modules]

def unseen():
    made, said = load("yaml", "tqdm"), []
    loaded = [name for name in ("yaml", "tqdm") if name in sys.modules]
    atexit.register = lambda *words: said.append(words)
    anew = begin(made)
    import yaml
    return [loaded, [name for name in ("yaml", "tqdm") if name in sys.modules], [words[1] for words in said], anew]

def other_environment():
    anew = begin(load("yaml"))
    os.environ["SEEN"] = "2"
    import yaml
    return anew

def our_environment():
    anew = begin(load("yaml"))
    os.environ["METAFLOW_RUN_ID"] = "2"
    import yaml
    return anew

def other_place():
    anew = begin(load("yaml"))
    with tempfile.TemporaryDirectory() as first:
        open(f"{first}/yaml.py", "w").close()
        sys.path.insert(0, first)
        import yaml
    return anew

def longer_path():
    anew = begin(load("yaml"))
    sys.path.insert(0, "/nowhere")
    import yaml
    return anew

def seeded():
    anew = begin(load("yaml", "tqdm"))
    random.seed(7)
    import yaml
    before = list(anew)
    import tqdm
    return [before, anew]

def unseeded():
    anew = begin(load("yaml", "tqdm"))
    import tqdm
    return anew

def kept_in_another_way():
    anew = begin(load("psutil"))
    import psutil
    return anew
"""

EXPECTED = {
    "prints": "tabulate prints something",
    "environment": "dateutil changes the environment",
    "thread": "requests starts a thread",
    "signals": "boto3 changes how signals are handled",
    "seeds": "lxml seeds the random numbers",
    "fails": "bs4 failed with ValueError: broken",
    "leaves": "orjson failed with SystemExit: 3",
    "brings": "jinja2 imports unproven, which is not known to be safe",
    "path": "pydantic changes sys.path",
    "asked_for": ["unproven"],
    "asked_for_missing": "missing failed with ModuleNotFoundError: No module named 'missing'",
    "made_up": [False, True],
    "elsewhere": [[], False],
    "unseen": [[], ["yaml"], ["goodbye"], []],
    "other_environment": [True],
    "our_environment": [],
    "other_place": [True],
    "longer_path": [],
    "seeded": [[], [True]],
    "unseeded": [],
    "kept_in_another_way": [True],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("env") / "site-packages"
    directory.mkdir()
    for name, source in LIBRARIES.items():
        (directory / f"{name}.py").write_text(source)
    words = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(directory), CASES]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("case", EXPECTED)
def test_case(case: str, results: dict[str, Any]) -> None:
    assert results[case] == EXPECTED[case]
