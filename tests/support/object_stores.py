"""Object stores to test against. The tests that use them start S3 (moto), Google's (moto behind a translator of
headers), Azure's (Azurite, installed by npm into a cache). A second S3, which checks signatures and preconditions, is
used where SEAWEED_S3_URL names one (SeaweedFS), with the AWS credentials of the environment.

Each gives a bucket of its own and the environment in which a program finds it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from support.fault_proxy import FaultProxy, _Handler

AZURITE = "azurite@3.35.0"
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Absent(Exception):
    """This machine cannot have the store; says why."""


class Bucket(NamedTuple):
    """A part of a store that belongs to one test.

    Attributes
    ----------
    kind : str
        ``s3``, ``gs`` or ``azure``.
    root : str
        What the datastore's root shall be.
    environment : dict of str to str
        What a program needs to find it.
    endpoint : str
        URL of the store.
    """

    kind: str
    root: str
    environment: dict[str, str]
    endpoint: str

    def behind(self, proxy: FaultProxy) -> Bucket:
        """Return the same bucket, reached through a proxy."""
        changed = {
            name: value.replace(self.endpoint, proxy.url).replace(self.endpoint.split("://")[1], proxy.url[7:])
            for name, value in self.environment.items()
        }
        return self._replace(environment=changed, endpoint=proxy.url)


@contextmanager
def s3(endpoint: str | None = None) -> Iterator[Bucket]:
    """Give a bucket in S3: at `endpoint`, or in a server that ends with it."""
    if endpoint is None:
        with _moto() as url:
            yield _s3_bucket(url)
    else:
        yield _s3_bucket(endpoint)


@contextmanager
def gs() -> Iterator[Bucket]:
    """Give a bucket in a server that speaks Google's XML protocol."""
    with _moto() as url:
        front = _GoogleFront(url)
        try:
            name = _s3_bucket(url).root.removeprefix("s3://").partition("/")[0]
            environment = {"STORAGE_EMULATOR_HOST": front.url, "METAFLOW_DATASTORE_SYSROOT_GS": f"gs://{name}/runs"}
            yield Bucket("gs", f"gs://{name}/runs", environment, front.url)
        finally:
            front.go()


@contextmanager
def azure() -> Iterator[Bucket]:
    """Give a container in Azurite.

    Raises
    ------
    Absent
        There is no npm, or it cannot install Azurite.
    """
    port, place = _free_port(), tempfile.mkdtemp(prefix="azurite-")
    program = [str(_azurite()), "--silent", "--blobPort", str(port), "--location", place, "--skipApiVersionCheck"]
    process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{port}/{_ACCOUNT}"
        _until_it_answers(process, endpoint)
        name = _name()
        _create_container(endpoint, name)
        environment = {
            "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT": endpoint,
            "METAFLOW_DATASTORE_SYSROOT_AZURE": f"{name}/runs",
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
        }
        yield Bucket("azure", f"{name}/runs", environment, endpoint)
    finally:
        _end(process)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def seaweed() -> Iterator[Bucket]:
    """Give a bucket in SeaweedFS.

    Raises
    ------
    Absent
        The environment names none.
    """
    endpoint = os.environ.get("SEAWEED_S3_URL")
    if endpoint is None:
        raise Absent("SEAWEED_S3_URL names no SeaweedFS")
    import boto3

    name = _name()
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    environment = {
        **{name: os.environ[name] for name in names},
        "METAFLOW_S3_ENDPOINT_URL": endpoint, "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{name}/runs",
    }  # fmt: skip
    bucket = boto3.resource("s3", endpoint_url=endpoint).create_bucket(Bucket=name)
    try:
        yield Bucket("s3", f"s3://{name}/runs", environment, endpoint)
    finally:
        bucket.objects.all().delete()
        bucket.delete()


STORES = {"s3": s3, "seaweed": seaweed, "gs": gs, "azure": azure}


@contextmanager
def _moto() -> Iterator[str]:
    port = _free_port()
    program = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until_it_answers(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(process)


def _s3_bucket(endpoint: str) -> Bucket:
    name = _name()
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT", headers={"Authorization": _signed_somehow()})
    urllib.request.urlopen(request, timeout=30).close()
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
        "METAFLOW_S3_ENDPOINT_URL": endpoint, "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{name}/runs",
    }  # fmt: skip
    return Bucket("s3", f"s3://{name}/runs", environment, endpoint)


def _signed_somehow() -> str:
    return "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class _GoogleFront(FaultProxy):
    """Translates the headers of Google's protocol to those of S3, which it otherwise equals, and back."""

    def come(self) -> None:
        super().come()
        assert self._server is not None
        self._server.RequestHandlerClass = type("Handler", (_GoogleHandler,), {"owner": self})


class _GoogleHandler(_Handler):
    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        for name, value in list(self.headers.items()):
            lower = name.lower()
            if lower.startswith("x-goog-meta-"):
                self.headers["x-amz-meta-" + lower.removeprefix("x-goog-meta-")] = value
            elif lower == "x-goog-copy-source":
                self.headers["x-amz-copy-source"] = value
            elif lower == "x-goog-if-generation-match" and value == "0":
                self.headers["If-None-Match"] = "*"
        del self.headers["Authorization"]
        self.headers["Authorization"] = _signed_somehow()
        path, mark, query = self.path.partition("?")
        self.path = quote(unquote(path)) + mark + query
        status, headers, content = super()._ask(body)
        translated = [(re.sub("^x-amz-meta-", "x-goog-meta-", name, flags=re.I), value) for name, value in headers]
        return status, [*translated, ("x-goog-generation", "1")], content

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _Handler._serve


def _azurite() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millrace-tests"
    installed, program = cache / f"{AZURITE}-whole", Path("node_modules") / ".bin" / "azurite-blob"
    if not installed.exists():
        if shutil.which("npm") is None:
            raise Absent("there is no npm to install Azurite with")
        cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix="azurite-", dir=cache))  # an installation that is interrupted is none
        command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(partial), AZURITE]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode or not (partial / program).exists():
            raise Absent(f"npm cannot install {AZURITE}: {done.stderr[-300:]}")
        try:
            os.rename(partial, installed)
        except OSError:  # another process was faster
            shutil.rmtree(partial)
    return installed / program


def _create_container(endpoint: str, name: str) -> None:
    """Create a container, with the signature that Azure calls Shared Key."""
    date, version = formatdate(usegmt=True), "2021-08-06"
    headers = f"x-ms-date:{date}\nx-ms-version:{version}"
    text = "PUT" + 12 * "\n" + f"{headers}\n/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest()).decode()
    request = urllib.request.Request(f"{endpoint}/{name}?restype=container", method="PUT")
    request.add_header("x-ms-date", date)
    request.add_header("x-ms-version", version)
    request.add_header("Authorization", f"SharedKey {_ACCOUNT}:{signature}")
    urllib.request.urlopen(request, timeout=30).close()


def _name() -> str:
    return f"tests-{uuid.uuid4().hex[:12]}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _until_it_answers(process: subprocess.Popen[bytes], url: str, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Absent(f"the server at {url} did not start") from None
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
