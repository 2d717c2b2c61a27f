"""What a client's error means, read from the texts that obstore makes."""

from __future__ import annotations

import pickle

import pytest

from metaflow.store.objects.errors import Kind, StoreError

ANSWER = "Generic S3 error: Error performing PUT http://h/b/k in 3ms - Server returned non-2xx status code: "
CAUSE = 'HTTP error: sending\n\nDebug source:\n ConnectError("tcp connect error", Os {{ code: 1, message: "{}" }})'


class AlreadyExistsError(Exception):
    pass


class PreconditionError(Exception):
    pass


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        (
            "403 Forbidden: <Error><Code>AccessDenied</Code><Message>No.</Message></Error>",
            "denied",
            "AccessDenied (No)",
        ),
        ("403 Forbidden: ", "denied", "403 Forbidden"),
        ("403 Forbidden: <Code>InvalidAccessKeyId</Code>", "credentials", "403 Forbidden InvalidAccessKeyId"),
        ("403 Forbidden: <Code>RequestTimeTooSkewed</Code>", "clock", "403 Forbidden RequestTimeTooSkewed"),
        ("400 Bad Request: <Code>ExpiredToken</Code>", "credentials", "400 Bad Request ExpiredToken"),
        ("400 Bad Request: <Code>AuthorizationHeaderMalformed</Code>", "region", "AuthorizationHeaderMalformed"),
        ("400 Bad Request: <Code>EntityTooLarge</Code>", "other", "400 Bad Request EntityTooLarge"),
        ("404 Not Found: <Code>NoSuchBucket</Code>", "bucket", "404 Not Found NoSuchBucket"),
        ("404 Not Found: <Code>ContainerNotFound</Code>", "bucket", "404 Not Found ContainerNotFound"),
        ("404 Not Found: <Code>NoSuchKey</Code>", "missing", "404 Not Found NoSuchKey"),
        ("416 Range Not Satisfiable: <Code>InvalidRange</Code>", "range", "416"),
        ("429 Too Many Requests: ", "transient", "429 Too Many Requests"),
        ("500 Internal Server Error: <html>", "transient", "500 Internal Server Error"),
        ("503 Service Unavailable: <Code>SlowDown</Code>", "transient", "SlowDown"),
        ("409 Conflict: <Code>ConditionalRequestConflict</Code>", "transient", "ConditionalRequestConflict"),
        ("501 Not Implemented: <Code>NotImplemented</Code>", "unsupported", "NotImplemented"),
    ],
)
def test_answers(text: str, kind: str, reason: str) -> None:
    error = StoreError.of(Exception(ANSWER + text))
    assert error.kind == kind
    assert reason in error.reason
    assert error.is_transient == (kind == "transient")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AlreadyExistsError(ANSWER + "412 Precondition Failed: <Code>PreconditionFailed</Code>"), "exists"),
        (PreconditionError(ANSWER + "412 Precondition Failed: "), "changed"),
        (FileNotFoundError(ANSWER + "404 Not Found: "), "missing"),
        (FileNotFoundError(ANSWER + "404 Not Found: <Code>NoSuchBucket</Code>"), "bucket"),
    ],
)
def test_classes(error: Exception, kind: str) -> None:
    assert StoreError.of(error).kind == kind


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        (CAUSE.format("Connection refused"), "transient", "Connection refused"),
        (CAUSE.format("Connection reset by peer"), "transient", "Connection reset by peer"),
        ('HTTP error: x ConnectError("dns error", Custom { error: "failed to lookup address information: Name or '
         'service not known" })', "name", "Name or service not known"),
        ("HTTP error: x reqwest::Error { kind: Request, source: TimedOut }", "transient", "no response in time"),
        ("HTTP error: hyper::Error(IncompleteMessage)", "transient", "the connection was cut"),
        ('HTTP error: x "invalid peer certificate: UnknownIssuer"', "certificate", "certificate"),
        ("HTTP error: InvalidCertificate(Other(OtherError(CaUsedAsEndEntity)))", "certificate", "one with CA:FALSE"),
        ("Generic S3 error: Received redirect without LOCATION, this normally indicates a wrong region", "region", ""),
        ("Generic GCS error: Error performing token request: Error performing GET http://169.254.169.254/x - Server "
         "returned non-2xx status code: 403 Forbidden: ", "credentials", "403"),
        ("something new", "other", "something new"),
    ],
)  # fmt: skip
def test_without_an_answer(text: str, kind: str, reason: str) -> None:
    error = StoreError.of(Exception(text))
    assert error.kind == kind
    assert reason in error.reason
    assert "\n" not in error.reason


@pytest.mark.parametrize("kind", ["bucket", "credentials", "transient"])
@pytest.mark.parametrize("store", ["s3", "gs", "azure"])
def test_each_store_has_hints_of_its_own(kind: Kind, store: str) -> None:
    told = {other: StoreError(kind, "").hint_for(other) for other in ("s3", "gs", "azure")}
    assert all(told.values())
    assert "AWS" not in str(told["gs"]) + str(told["azure"])


def test_a_sentence() -> None:
    assert StoreError("denied", "403 Forbidden").sentence == "access is denied (403 Forbidden)"
    assert StoreError("missing", "404 Not Found").sentence == "there is no such object"
    assert StoreError("other", "400 Bad", tries=3, seconds=2.4).sentence == "400 Bad, tried 3 times in 2 s"


def test_it_survives_a_pipe() -> None:
    error = StoreError("disk", "no space", "tmproot=", tries=2, seconds=1.5)
    read = pickle.loads(pickle.dumps(error))
    assert (read.kind, read.reason, read.hint, read.tries, read.seconds) == ("disk", "no space", "tmproot=", 2, 1.5)
