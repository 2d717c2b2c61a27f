"""What went wrong between us and an object store: read from the client's error, told in one sentence with a hint.

The client (obstore) puts all it knows into the text of its exceptions: the status, the body of the response, and the
chain of causes below it. `StoreError.of` reads that text once; nobody else looks at it.
"""

from __future__ import annotations

import re
from typing import Any, Literal

_STATUS = re.compile(r"status(?: code)?: (\d{3}(?: [A-Z][\w ]+)?)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})")
_LAST_CAUSE = re.compile(r'(?:message|error): "((?:[^"\\]|\\.)+)"')

_BUCKET_CODES = ("NoSuchBucket", "ContainerNotFound")
_DENIED_CODES = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "AuthorizationPermissionMismatch")
_CLOCK_CODES = ("RequestTimeTooSkewed", "RequestExpired")
_CREDENTIAL_CODES = (
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
    "UnrecognizedClientException", "AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation",
)  # fmt: skip
_TRANSIENT_CODES = ("SlowDown", "RequestTimeout", "InternalError", "OperationAborted", "ConditionalRequestConflict")
_TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)


Kind = Literal[
    "missing", "exists", "changed", "range", "bucket", "region", "denied", "credentials", "clock", "certificate",
    "name", "unsupported", "transient", "other", "disk", "local", "key", "skipped",
]  # fmt: skip
"""What went wrong. ``name``: the host is not found; ``disk``: it is full; ``local``: another error of a local file;
``key``: no client can name it; ``skipped``: not tried, since another request failed."""


class StoreError(Exception):
    """A request failed, for good or for now.

    Parameters
    ----------
    kind : str
        One of `Kind`.
    reason : str
        A few words for a person.
    hint : str, optional
        What to do about it, if the kind does not tell.
    tries : int
        How often the request was sent.
    seconds : float
        How long that took.
    """

    def __init__(
        self, kind: Kind, reason: str, hint: str | None = None, *, tries: int = 1, seconds: float = 0.0
    ) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.hint = hint
        self.tries = tries
        self.seconds = seconds

    @classmethod
    def of(cls, error: BaseException, *, tries: int = 1, seconds: float = 0.0) -> StoreError:
        """Read an error of the client."""
        message = str(error)
        status, code = _first(_STATUS, message), _first(_CODE, message)
        words = _first(_MESSAGE, message)
        reason = " ".join(filter(None, (status, code, f"({words.rstrip('.')})" if words else ""))) or _cause(message)
        return cls(_kind(error, message, int(status[:3] or 0), code), reason, tries=tries, seconds=seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.kind, self.reason, self.hint, self.tries, self.seconds)

    @property
    def is_transient(self) -> bool:
        """Whether the same request may well succeed in a while."""
        return self.kind in ("transient", "name")

    @property
    def sentence(self) -> str:
        """What went wrong, without a full stop."""
        tried = f", tried {self.tries} times in {self.seconds:.0f} s" if self.tries > 1 else ""
        words = _SENTENCES.get(self.kind)
        if words is None:
            return f"{self.reason}{tried}"
        return words if self.kind in _PLAIN else f"{words} ({self.reason}{tried})"

    def hint_for(self, kind: str) -> str | None:
        """Return what a person can do about it in a store of this kind (``s3``, ``gs``, ``azure``)."""
        return self.hint or _HINTS.get((self.kind, kind)) or _HINTS.get((self.kind, ""))


def _unpickled(kind: Kind, reason: str, hint: str | None, tries: int, seconds: float) -> StoreError:
    return StoreError(kind, reason, hint, tries=tries, seconds=seconds)


def _kind(error: BaseException, message: str, status: int, code: str) -> Kind:
    by_code: dict[str, Kind] = {
        **dict.fromkeys(_BUCKET_CODES, "bucket"),
        **dict.fromkeys(_CLOCK_CODES, "clock"),
        **dict.fromkeys(_CREDENTIAL_CODES, "credentials"),
        **dict.fromkeys(_DENIED_CODES, "denied"),
        **dict.fromkeys(_TRANSIENT_CODES, "transient"),
        "AuthorizationHeaderMalformed": "region",
        "PermanentRedirect": "region",
        "IllegalLocationConstraintException": "region",
        "NotImplemented": "unsupported",
    }
    if code in by_code:
        return by_code[code]
    name = type(error).__name__
    by_class: dict[str, Kind] = {
        "AlreadyExistsError": "exists",
        "FileNotFoundError": "missing",
        "NotModifiedError": "changed",
        "PreconditionError": "changed",
    }
    if name in by_class:
        return by_class[name]
    if "token request" in message.lower() or "169.254.169.254" in message:
        return "transient" if status in _TRANSIENT_STATUSES else "credentials"
    if "redirect" in message and ("LOCATION" in message or status in (301, 307)):
        return "region"
    by_status: dict[int, Kind] = {401: "credentials", 403: "denied", 404: "missing", 416: "range", 501: "unsupported"}
    if status:
        return "transient" if status in _TRANSIENT_STATUSES else by_status.get(status, "other")
    return _without_response(message)


def _without_response(message: str) -> Kind:
    lower = message.lower()
    if "certificate" in lower or "unknownissuer" in lower:
        return "certificate"
    if "wanted range" in lower:  # Azure's clients look for themselves
        return "range"
    if "dns error" in lower:
        return "name"
    if any(word in lower for word in ("credential", "token", "metadata endpoint", "169.254.169.254", "oauth")):
        return "credentials"
    if "http error" in lower or "reqwest" in lower or "hyper" in lower or "timed out" in lower:
        return "transient"
    return "other"


def _cause(message: str) -> str:
    """Return the innermost cause that the message names, such as ``Connection refused``."""
    found = _LAST_CAUSE.findall(message)
    if found:
        return str(found[-1]).removeprefix("failed to lookup address information: ")
    for word, reason in _CAUSES.items():
        if word in message:
            return reason
    return message.partition("\n")[0].removeprefix("Generic S3 error: ")[:300]


_CAUSES = {
    # What `openssl req -x509` makes is such a one.
    "CaUsedAsEndEntity": "it is that of an authority (CA:TRUE); a server needs one with CA:FALSE, also if self-signed",
    "TimedOut": "no response in time",
    "IncompleteMessage": "the connection was cut",
}


def _first(pattern: re.Pattern[str], message: str) -> str:
    match = pattern.search(message)
    return match[1] if match else ""


_SENTENCES = {
    "bucket": "there is no such bucket",
    "certificate": "its certificate is not trusted",
    "changed": "it was replaced while it was being read",
    "clock": "the clocks are too far apart",
    "credentials": "the credentials are missing or were refused",
    "denied": "access is denied",
    "missing": "there is no such object",
    "name": "its host cannot be found",
    "range": "it has no such range",
    "region": "the bucket is in another region",
    "transient": "it is not responding",
}
_PLAIN = ("bucket", "changed", "missing", "range")  # the store's own words add nothing
_LATER = "finished tasks are kept; `resume` continues from them"
_HINTS = {
    ("bucket", "s3"): "check METAFLOW_DATASTORE_SYSROOT_S3 (or --datastore-root); AWS_PROFILE selects the account",
    ("bucket", "gs"): "check METAFLOW_DATASTORE_SYSROOT_GS (or --datastore-root)",
    ("bucket", "azure"): "check METAFLOW_DATASTORE_SYSROOT_AZURE (or --datastore-root)",
    ("region", ""): "set AWS_REGION to the region of the bucket",
    ("denied", "s3"): "it needs s3:GetObject, s3:PutObject and s3:ListBucket; AWS_PROFILE selects other credentials",
    ("denied", ""): "the credentials must be allowed to read, write and list there",
    ("credentials", "s3"): "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; temporary ones expire",
    ("credentials", "gs"): "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    ("credentials", "azure"): "run `az login`, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET",
    ("clock", ""): "set this machine's clock: it is too far from the store's",
    ("certificate", "s3"): "METAFLOW_S3_VERIFY_CERTIFICATE can name a file of certificates to trust",
    ("name", "s3"): "check METAFLOW_S3_ENDPOINT_URL (or AWS_ENDPOINT_URL) and the network",
    ("name", "azure"): "check METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT and the network",
    ("name", ""): "check the network",
    ("transient", "s3"): f"check METAFLOW_S3_ENDPOINT_URL and the network; {_LATER}",
    ("transient", "azure"): f"check METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT and the network; {_LATER}",
    ("transient", ""): f"check the network; {_LATER}",
}  # fmt: skip
