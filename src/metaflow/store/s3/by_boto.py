"""One bucket of S3, over boto3: for keys that obstore has no name for, and for what only boto3 tells.

Slower to start and to run, and complete. Raises what `metaflow.store.object_errors.Trouble` can read. Imported where it
is needed only: a remote container may have no boto3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from metaflow.store.s3.answers import Facts, Row, write
from metaflow.store.s3.bucket import PART

_NOTED = "metaflow-user-attributes"
_CHUNK = 1 << 20


class BotoBucket:
    """A bucket.

    Parameters
    ----------
    client : boto3 client
        Safe to use from several threads.
    name : str
        The bucket.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def head(self, key: str) -> Facts:
        """Return what is known of an object."""
        with _readable():
            answer = self._client.head_object(Bucket=self._name, Key=key)
        return _facts(answer, answer["ContentLength"], 0)

    def encryption(self, key: str) -> str | None:
        """Return the server-side encryption of an object."""
        with _readable():
            found = self._client.head_object(Bucket=self._name, Key=key).get("ServerSideEncryption")
        return None if found is None else str(found)

    def fetch(self, key: str, file: int, offset: int | None, length: int | None) -> Facts:
        """Write an object, or a part of it, to an open file; all of it."""
        wanted = {}
        if offset is not None:
            wanted["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        with _readable():
            answer = self._client.get_object(Bucket=self._name, Key=key, **wanted)
            come = 0
            for chunk in answer["Body"].iter_chunks(_CHUNK):
                write(file, memoryview(chunk), come)
                come += len(chunk)
        total = int(str(answer.get("ContentRange") or f"/{come}").rpartition("/")[2])
        # no tag: the object is here as a whole, and no further part of it shall be asked for
        return _facts(answer, total, offset or 0, come)

    def send(
        self,
        key: str,
        data: bytes | None,
        path: str | None,
        attributes: Mapping[str, str],
        encryption: str | None,
    ) -> None:
        """Upload bytes or a local file."""
        from io import BytesIO

        extra: dict[str, Any] = {}
        if "Content-Type" in attributes:
            extra["ContentType"] = attributes["Content-Type"]
        if _NOTED in attributes:
            extra["Metadata"] = {_NOTED: attributes[_NOTED]}
        if encryption:
            extra["ServerSideEncryption"] = encryption
        with _readable(), open(path, "rb") if path is not None else BytesIO(data or b"") as file:
            if file.seek(0, 2) <= PART:
                file.seek(0)
                self._client.put_object(Bucket=self._name, Key=key, Body=file, **extra)
            else:
                file.seek(0)
                self._client.upload_fileobj(file, self._name, key, ExtraArgs=extra)

    def level(self, prefix: str) -> list[Row]:
        """List what is directly below `prefix`: objects, then prefixes."""
        rows, prefixes = [], []
        for page in self._pages(prefix, Delimiter="/"):
            rows += [Row(each["Key"], each["Size"]) for each in page.get("Contents", ()) if each["Key"] != prefix]
            prefixes += [Row(each["Prefix"], None) for each in page.get("CommonPrefixes", ())]
        return rows + prefixes

    def below(self, prefix: str) -> list[Row]:
        """List all objects whose key begins with `prefix`; not one for the folder that this may name."""
        found = (each for page in self._pages(prefix) for each in page.get("Contents", ()))
        return [Row(each["Key"], each["Size"]) for each in found if each["Key"] != prefix or prefix[-1:] != "/"]

    def _pages(self, prefix: str, **more: str) -> Iterator[Any]:
        with _readable():
            yield from self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix, **more)


def _facts(answer: Any, total: int, offset: int, length: int | None = None) -> Facts:
    return Facts(
        total=total,
        offset=offset,
        length=total if length is None else length,
        content_type=answer.get("ContentType"),
        noted=answer.get("Metadata", {}).get(_NOTED),
        modified=answer["LastModified"].timestamp(),
        tag=None,
    )


@contextmanager
def _readable() -> Iterator[None]:
    """Write a store's refusal as obstore writes it."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        told = error.response.get("Error", {})
        code = f"<Code>{told['Code']}</Code>" if str(told.get("Code", "")).isalpha() else ""
        raise RuntimeError(f"status code: {status} {code}<Message>{told.get('Message', '')}</Message>") from error
    except NoCredentialsError as error:
        raise RuntimeError(f"credentials: {error}") from error
    except BotoCoreError as error:
        raise RuntimeError(f"HTTP error: {error}") from error
