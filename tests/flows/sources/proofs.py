"""Proofs of libraries: what each draws without a seed, and what it computes; the tasks are asked for both.

The libraries are imported at module level, as a flow would. What is drawn has to differ between tasks, what is
computed has to be the same in all of them, however they were started.
"""

import atexit
import importlib
import io
import logging
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import warnings

from metaflow import FlowSpec, Parameter, step

for name in os.environ["MILLRACE_TEST_LIBRARIES"].split(","):
    importlib.import_module(name)

FILTERS = len(warnings.filters)


def in_a_child(function):
    """Compute in a forked child of the task too: what an import has left must bear a second fork."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, repr(function()).encode())
        os._exit(0)
    os.close(write)
    with open(read) as file:
        told = file.read()
    os.wait()
    return told


def numpy():
    import numpy as np

    drawn = [
        np.random.rand(),
        np.random.default_rng().random(),
        np.random.permutation(50).tolist(),
        np.random.mtrand._rand.get_state()[1].tolist(),
    ]
    np.random.seed(3)
    ones = np.ones((300, 300))
    computed = [np.random.rand(), float((ones @ ones).sum()), in_a_child(lambda: float((ones @ ones).sum()))]
    np.random.seed()
    return drawn, computed


def scipy():
    import numpy as np
    import scipy.linalg
    import scipy.optimize
    import scipy.stats

    matrix = np.random.default_rng(1).random((200, 200)) + 200 * np.eye(200)
    solved = scipy.linalg.solve(matrix, np.ones(200)).sum()
    least = scipy.optimize.minimize(lambda x: float(((x - 2) ** 2).sum()), np.zeros(3)).x
    return [scipy.stats.norm.rvs()], [round(float(solved), 9), [round(float(x), 4) for x in least]]


def pandas():
    import pandas as pd

    frame = pd.DataFrame({"key": [n % 7 for n in range(1000)], "value": range(1000)})
    read = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    return [frame.sample(5).index.tolist()], read.groupby("key").value.sum().tolist()


def pyarrow():
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    table = pa.table({"a": list(range(10000)), "b": [str(n % 3) for n in range(10000)]})
    with tempfile.TemporaryDirectory() as directory:
        for part in range(4):
            pq.write_table(table, f"{directory}/{part}.parquet")
        scanned = ds.dataset(directory).to_table(use_threads=True)
        grouped = scanned.group_by("b").aggregate([("a", "sum")]).sort_by("b").to_pylist()
        rest = in_a_child(lambda: pc.sum(ds.dataset(directory).to_table()["a"]).as_py())
    return [pc.random(3).to_pylist()], [grouped, rest]


def sklearn():
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.model_selection import train_test_split

    data = np.random.default_rng(1).random((300, 4))
    target = (data[:, 0] > 0.5).astype(int)
    forest = RandomForestClassifier(10, n_jobs=2, random_state=1).fit(data, target).predict_proba(data).sum()
    boosted = HistGradientBoostingClassifier(max_iter=5, random_state=1).fit(data, target).predict(data).sum()
    drawn = [train_test_split(range(1000))[1], RandomForestClassifier(1).fit(data, target).estimators_[0].random_state]
    return drawn, [round(float(forest), 6), int(boosted)]


def xgboost():
    import numpy as np
    import xgboost as xgb

    data = np.random.default_rng(1).random((500, 4))
    model = xgb.XGBClassifier(n_estimators=5, n_jobs=2).fit(data, data[:, 0] > 0.5)
    return [], float(model.predict(data).sum())


def lightgbm():
    import lightgbm as lgb
    import numpy as np

    data = np.random.default_rng(1).random((500, 4))
    model = lgb.LGBMClassifier(n_estimators=5, n_jobs=2, verbose=-1).fit(data, data[:, 0] > 0.5)
    return [], float(model.predict(data).sum())


def torch():
    import torch

    drawn = [
        torch.initial_seed(),
        torch.rand(3).tolist(),
        torch.randperm(50).tolist(),
        torch.nn.Linear(3, 3).weight.tolist(),
    ]
    torch.manual_seed(3)
    seeded = torch.rand(3).tolist()
    ones = torch.ones(300, 300, requires_grad=True)
    (ones @ ones).sum().backward()
    loader = torch.utils.data.DataLoader(list(range(8)), batch_size=2, num_workers=2)
    loaded = [batch.tolist() for batch in loader]
    return drawn, [seeded, float(ones.grad.sum()), loaded]


def matplotlib():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    picture = io.BytesIO()
    figure.savefig(picture, format="raw")
    return [], [sum(picture.getvalue()), plt.get_backend().lower()]


def seaborn():
    import seaborn as sns

    return [], str(sns.color_palette("deep", 3))


def plotly():
    import plotly.graph_objects as go

    return [], go.Figure(go.Bar(x=[1], y=[2])).to_json()


def sympy():
    import sympy
    import sympy.core.random

    x = sympy.Symbol("x")
    drawn = [sympy.core.random.random(), sympy.Dummy().dummy_index]
    return drawn, str(sympy.integrate(x**2, x))


def networkx():
    import networkx as nx

    return [sorted(nx.gnp_random_graph(30, 0.5).edges)], sorted(nx.gnp_random_graph(30, 0.1, seed=1).edges)


def faker():
    from faker import Faker

    drawn = [Faker().name() + Faker().address(), Faker().pyfloat()]
    Faker.seed(1)
    return drawn, Faker().name()


def boto3():
    import boto3

    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    return [], client.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"}).partition("?")[0]


def requests():
    import requests

    return [], requests.Request("GET", "http://host/", params={"a": 1}).prepare().url


def pydantic():
    import pydantic

    return [], pydantic.create_model("Model", a=(int, 1))(a="7").model_dump()


def yaml():
    import yaml

    return [], yaml.safe_load(yaml.safe_dump({"a": [1, 2]}))


def bs4():
    import bs4

    return [], bs4.BeautifulSoup("<p>text</p>", "html.parser").p.text


def lxml():
    import lxml.etree

    return [], lxml.etree.fromstring("<a><b/></a>")[0].tag


def jinja2():
    import jinja2

    return [], jinja2.Template("{{ a }}").render(a=1)


def PIL():
    import PIL.Image

    return [], PIL.Image.new("RGB", (2, 2), "red").tobytes()


def tqdm():
    import tqdm

    return [], list(tqdm.tqdm(range(3), file=io.StringIO()))


def tabulate():
    import tabulate

    return [], tabulate.tabulate([[1, 2]])


def dateutil():
    import dateutil.parser

    return [], str(dateutil.parser.parse("2020-02-03 04:05"))


def orjson():
    import orjson

    return [], orjson.dumps({"a": 1})


def joblib():
    import joblib

    return [], [
        joblib.Parallel(2, prefer=kind)(joblib.delayed(abs)(-n) for n in range(4)) for kind in (None, "threads")
    ]


def psutil():
    import psutil

    return [], 0 <= psutil.cpu_percent(interval=None) <= 100


def process():
    """Return what imports could have left in the process: the same, however the task was started."""
    ours = ("METAFLOW_", "MILLRACE_")
    return {
        "environment": {name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "exit handlers": atexit._ncallbacks(),
        "filters": FILTERS,
        "handlers": [type(handler).__name__ for handler in logging.getLogger().handlers],
        "threads": [thread.name for thread in threading.enumerate()],
        "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "path": sys.path,
        "hook": sys.excepthook is sys.__excepthook__,
        "start method": multiprocessing.get_start_method(allow_none=True),
        "modules": sorted(
            name for name, module in sys.modules.items() if "site-packages" in (getattr(module, "__file__", None) or "")
        ),
    }


class ProofsFlow(FlowSpec):
    tasks = Parameter("tasks", default=4)

    @step
    def start(self):
        self.numbers = range(self.tasks)
        self.next(self.prove, foreach="numbers")

    @step
    def prove(self):
        self.process = process()
        self.drawn, self.computed = {"random": [random.random()]}, {}
        for name in os.environ["MILLRACE_TEST_LIBRARIES"].split(","):
            self.drawn[name], self.computed[name] = globals()[name]()
        with multiprocessing.Pool(2) as pool:
            self.computed["multiprocessing"] = pool.map(abs, [-1, -2])
        self.next(self.join)

    @step
    def join(self, inputs):
        self.proofs = [{"process": one.process, "drawn": one.drawn, "computed": one.computed} for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ProofsFlow()
