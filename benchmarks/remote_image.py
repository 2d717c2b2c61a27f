"""The image that the original's remote tasks need: the plain one with pip, and boto3 and requests inside.

Its tasks install these at each start otherwise, from a package index that a cluster may not reach. The image is built
in Docker (DOCKER_HOST) and, where there is Kubernetes, brought into the containerd beside it: nobody has to pull it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.measure import Failure

_PACKAGES = ("boto3", "requests")


@cache
def make(python: str) -> str:
    """Build the image, unless it is there, and return its name.

    Parameters
    ----------
    python : str
        The original's Python, whose pip fetches the packages.
    """
    plain = os.environ.get("METAFLOW_DEFAULT_CONTAINER_IMAGE", "python:3.11")
    image = f"{plain}-original"
    if not _is_there("docker", "image", "inspect", image):
        _say(f"build the image {image}: {plain}-pip with {' and '.join(_PACKAGES)}")
        _build(python, f"{plain}-pip", image)
    if "KUBECONFIG" in os.environ:
        ctr = ("ctr", "--address", _containerd(), "--namespace", "k8s.io", "images")
        name = f"docker.io/library/{image}"
        if name not in _run(*ctr, "list", "--quiet").split():
            _say(f"bring the image {image} into containerd")
            with tempfile.TemporaryDirectory() as directory:
                archive = f"{directory}/image.tar"
                _run("docker", "save", "--output", archive, image)
                _run(*ctr, "import", archive)
    return image


def _build(python: str, plain: str, image: str) -> None:
    with tempfile.TemporaryDirectory() as wheels:
        _run(python, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", wheels, *_PACKAGES)
        install = ("python", "-m", "pip", "install", "--no-index", "--find-links", "/wheels", *_PACKAGES)
        container = _run("docker", "create", "--env", "PIP_BREAK_SYSTEM_PACKAGES=1", plain, *install).strip()
        try:
            _run("docker", "cp", f"{wheels}/.", f"{container}:/wheels")
            _run("docker", "start", "--attach", container)
            _run("docker", "commit", "--change", 'CMD ["python"]', container, image)
        finally:
            _run("docker", "rm", "--force", container)


def _containerd() -> str:
    """Return the socket of the containerd that the cluster's node runs: beside Docker's, or the usual one."""
    beside = Path(os.environ.get("DOCKER_HOST", "").removeprefix("unix://")).parent / "containerd.sock"
    return str(beside) if beside.exists() else "/run/containerd/containerd.sock"


def _is_there(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"`{' '.join(command)}` failed: {done.stderr[-1000:]}")
    return done.stdout


def _say(text: str) -> None:
    sys.stderr.write(f"({text}) ")
    sys.stderr.flush()
