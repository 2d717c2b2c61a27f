"""What errors of botocore mean. No call is made."""

from __future__ import annotations

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from metaflow.compute.batch.aws import AwsClient, error_of
from metaflow.compute.batch.client import AwsError
from metaflow.compute.batch.ends import unusable
from metaflow.compute.jobs.retry import Unavailable


def answer(code: str, status: int, message: str = "some words") -> exceptions.ClientError:
    return exceptions.ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "SubmitJob"
    )


@pytest.mark.parametrize(
    ("error", "is_unsure", "is_credentials"),
    [
        (answer("TooManyRequestsException", 429), False, False),
        (answer("ThrottlingException", 400), False, False),
        (answer("ServerException", 500), True, False),
        (answer("", 503), True, False),
        (answer("ExpiredTokenException", 403), False, True),
        (answer("UnrecognizedClientException", 403), False, True),
        (exceptions.NoCredentialsError(), False, True),
        (exceptions.UnauthorizedSSOTokenError(), False, True),
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), False, False),
        (exceptions.ConnectTimeoutError(endpoint_url="http://x"), False, False),
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), True, False),
        (exceptions.ConnectionClosedError(endpoint_url="http://x"), True, False),
        (ResponseParserError("not JSON"), True, False),
        (KeyError("jobId"), True, False),
    ],
)
def test_what_is_worth_another_try(error: Exception, is_unsure: bool, is_credentials: bool) -> None:
    trouble = error_of(error)
    assert isinstance(trouble, Unavailable)
    assert (trouble.unsure, trouble.credentials) == (is_unsure, is_credentials)
    assert trouble.reason


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (answer("ClientException", 400), "ClientException"),
        (answer("AccessDeniedException", 403), "AccessDeniedException"),
        (exceptions.ParamValidationError(report="no"), "ParamValidationError"),
    ],
)
def test_what_is_not(error: Exception, code: str) -> None:
    trouble = error_of(error)
    assert isinstance(trouble, AwsError)
    assert trouble.code == code
    assert trouble.is_permission == (code == "AccessDeniedException")


@pytest.mark.parametrize(
    ("trouble", "words", "hint"),
    [
        (Unavailable("expired", credentials=True), "credentials: expired.", "renew"),
        (Unavailable("timed out."), "does not answer: timed out.", "AWS_ENDPOINT_URL"),
        (AwsError("AccessDeniedException", "not allowed"), "does not allow this: not allowed.", "DescribeJobs"),
        (AwsError("NoRegionError", "You must"), "No AWS region", "AWS_DEFAULT_REGION"),
        (AwsError("ClientException", "what"), "cannot be used: what", ""),
    ],
)
def test_what_a_person_hears(trouble: Unavailable | AwsError, words: str, hint: str) -> None:
    error = unusable(trouble)
    assert words in error.message
    assert hint in (error.hint or "")


def test_a_region_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(AwsError) as caught:
        AwsClient({})
    assert caught.value.code == "NoRegionError"
    assert AwsClient({"region_name": "eu-west-1"}).region == "eu-west-1"


def test_a_parameter_that_no_client_has() -> None:
    with pytest.raises(AwsError, match="colour"):
        AwsClient({"region_name": "eu-west-1", "colour": "red"})


def test_a_profile_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(AwsError, match="nobody"):
        AwsClient({"region_name": "eu-west-1"})
