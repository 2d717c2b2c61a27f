"""Starts a task in a container: fetches its packages and hands over to the supervisor.

The command of every remote task: standard library only, and any Python 3 gets far enough to say that it is too old.
What differs is in MILLRACE_BOOT (`metaflow.compute.jobs.entry`). A failure is one line on stderr and its own status.
"""

import os
import sys

PRESENT = frozenset(sys.modules)
if __name__ == "__main__":  # an image may have a queue.py
    GIVEN = ["", *os.environ.get("PYTHONPATH", "").split(":")]
    sys.path[:] = [entry for entry in sys.path if entry not in GIVEN]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

UNTRUSTED = (
    "METAFLOW_S3_VERIFY_CERTIFICATE names the certificates to trust where the run is started, AWS_CA_BUNDLE or "
    "SSL_CERT_FILE in the image"
)
OLD_PYTHON, UNREACHABLE, DENIED, DAMAGED, NO_SPACE, OTHER_PLATFORM, EXPIRED = range(64, 71)


def main() -> "NoReturn":
    import json
    import signal

    if sys.version_info < (3, 11):  # noqa: UP036 - images have all kinds
        python = ".".join(str(part) for part in sys.version_info[:2])
        raise failure(OLD_PYTHON, f"The image's Python is {python}, and 3.11 or newer is needed: choose another image.")
    for number in (signal.SIGTERM, signal.SIGINT):  # process 1 is not ended by a signal that it does not ask for
        signal.signal(number, lambda number, frame: os._exit(128 + number))
    config = json.loads(os.environ.pop("MILLRACE_BOOT"))
    place = workplace()
    certificates = trusted(place)
    for package in config["packages"]:
        unpack(fetch(package, certificates), os.path.join(place, package["name"]))
    runtime = os.path.join(place, "runtime")
    with open(os.path.join(runtime, "PLATFORM")) as file:
        wanted = file.read().strip()
    here = os.uname().machine + ("-musl" if "musl" in getattr(sys.implementation, "_multiarch", "") else "")
    if wanted != here:
        raise failure(OTHER_PLATFORM, f"The image is for {here}, and the task was packaged for {wanted}.")
    sys.path[:] = [runtime, *sys.path]
    from metaflow.compute.jobs import supervisor

    supervisor.main(config, place, os.environ, PRESENT)


def failure(status: int, sentence: str) -> SystemExit:
    """Say why there is no task."""
    sys.stderr.write(sentence + "\n")
    return SystemExit(status)


def trusted(place: str) -> "str | None":
    """Write what is trusted besides the image's own list, for this program and for the task; return the path."""
    text = os.environ.pop("MILLRACE_CERTIFICATES", "")
    named = os.environ.get("AWS_CA_BUNDLE")
    if named:
        try:
            with open(named) as file:
                text += file.read()
        except OSError as error:
            sys.stderr.write(f"AWS_CA_BUNDLE is not used: {error}\n")
    if not text:
        return None
    path = os.path.join(place, "certificates.pem")
    with open(path, "w") as file:
        file.write(text)
    os.environ.setdefault("METAFLOW_S3_VERIFY_CERTIFICATE", path)
    return path


def fetch(package: "dict[str, str]", certificates: "str | None") -> bytes:
    import ssl
    from hashlib import sha256
    from http.client import HTTPException
    from random import random
    from time import sleep
    from urllib.error import HTTPError
    from urllib.request import urlopen

    context = ssl.create_default_context()
    if certificates:
        context.load_verify_locations(certificates)
    if os.environ.get("METAFLOW_S3_VERIFY_CERTIFICATE", "").lower() in ("0", "f", "false", "n", "no", "off"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # what comes is checked by its hash
    status, problem = UNREACHABLE, ""
    place = "the {} package from {}".format(package["name"], package["url"].partition("?")[0])
    for pause in (0.2, 0.5, 1, 2, 4, 8, 16, 30, 0):
        try:
            with urlopen(package["url"], timeout=60, context=context) as answer:
                data: bytes = answer.read()
            if sha256(data).hexdigest() == package["sha256"]:
                return data
            status, problem = DAMAGED, "its SHA-256 is not the one that was stored"
        except HTTPError as error:
            status, problem = UNREACHABLE, f"HTTP status {error.code}"
            if error.code in (400, 401, 403, 404, 410):
                if b"expired" in error.read().lower():
                    raise failure(EXPIRED, f"Cannot download {place}: its signed URL has expired.") from None
                raise failure(DENIED, f"Cannot download {place}: it is refused with {problem}.") from None
        except (HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise failure(DENIED, f"Cannot download {place}: {reason.verify_message}: {UNTRUSTED}.") from None
            status, problem = UNREACHABLE, str(reason) or repr(error)
        sleep(pause * (0.5 + random()))
    raise failure(status, f"Cannot download {place}: {problem}.")


def workplace() -> str:
    """Make a directory of our own, where compiled libraries can be loaded from."""
    problem = "none of the usual ones allows programs"
    for base in (os.environ.get("METAFLOW_TEMPDIR"), ".", os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"):
        try:
            path = os.path.join(os.path.abspath(base or "/tmp"), f"millrace-{os.urandom(6).hex()}")
            os.mkdir(path, 0o700)
            if not os.statvfs(path).f_flag & os.ST_NOEXEC:
                return path
            os.rmdir(path)
        except OSError as error:
            problem = str(error)
    raise failure(NO_SPACE, f"There is no directory for the task's code: {problem}.")


def unpack(data: bytes, directory: str) -> None:
    from io import BytesIO
    from tarfile import open as open_archive

    try:
        with open_archive(fileobj=BytesIO(data), mode="r:gz") as archive:
            archive.extraction_filter = lambda member, path: member  # our own, its hash is known
            archive.extractall(directory)
    except OSError as error:
        raise failure(NO_SPACE, f"Cannot unpack the task's code in {directory}: {error.strerror or error}.") from None


if __name__ == "__main__":
    main()
