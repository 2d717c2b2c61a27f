"""What our objects are called in a cluster, and how to find them: names, labels, annotations. Pure.

Labels can be selected by but take few characters; so each label has an annotation of the same name with the true value.
The annotations' names are those that Metaflow writes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

LABELS = {
    "flow": "metaflow/flow_name",
    "run": "metaflow/run_id",
    "step": "metaflow/step_name",
    "task": "metaflow/task_id",
    "attempt": "metaflow/attempt",
    "user": "metaflow/user",
}
"""Name of a label in `metaflow.compute.jobs.protocol.Job` to the name of the label and annotation in the cluster."""

LAUNCH = "millrace/launch"
"""Label: by which process' backend a job was created; its watch asks for it."""
FIXED = {"app.kubernetes.io/name": "metaflow-task", "app.kubernetes.io/part-of": "metaflow"}
POOL = "outerbounds.co/compute-pool"
"""Label of nodes that `compute_pool` selects by, as in Metaflow."""

_LONGEST_NAME = 63 - 6
"""A pod is named after its job, with a dash and five characters; as a host name it has 63 at most."""
_LONGEST_LABEL = 63


def job_name(labels: Mapping[str, str]) -> str:
    """Return a job's name, which tells a person what it is and is the same for the same attempt of a task."""
    path = [labels.get(name, "") for name in ("flow", "run", "step", "task", "attempt")]
    path += [labels[name] for name in ("link",) if name in labels]
    words = re.sub("[^a-z0-9]+", "-", f"{path[0][:16]}-{path[2][:16]}-{path[3]}-{path[4]}".lower()).strip("-")
    return f"t-{words[: _LONGEST_NAME - 13].rstrip('-')}-{_digest('/'.join(path), 10)}"


def label_value(text: str) -> str:
    """Return `text` as a label's value: the same if it can be one, else what is left of it and a hash."""
    fit = re.sub("[^A-Za-z0-9_.-]+", "-", text)
    fit = fit[: _LONGEST_LABEL - 9].strip("_.-") if len(fit) > _LONGEST_LABEL else fit.strip("_.-")
    if fit == text:
        return text
    return f"{fit[: _LONGEST_LABEL - 9].rstrip('_.-')}-{_digest(text, 8)}".lstrip("-")


def marks(labels: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels and the annotations of an object."""
    named = {LABELS[name]: value for name, value in labels.items() if name in LABELS}
    return {**FIXED, **{name: label_value(value) for name, value in named.items()}}, named


def selector(labels: Mapping[str, str]) -> str:
    """Return the label selector for objects with `labels`. Other texts may have the same form: see `true_labels`."""
    wanted = {**FIXED, **{LABELS[name]: label_value(value) for name, value in labels.items()}}
    return ",".join(f"{name}={value}" for name, value in wanted.items())


def true_labels(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the labels with which an object was made, from its annotations."""
    return {name: annotations[key] for name, key in LABELS.items() if key in annotations}


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
