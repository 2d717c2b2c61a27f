"""A bucket of S3 over boto3: for keys that obstore has no name for, and for what only boto3 tells.

Slower to start and to run, and complete. Raises what `metaflow.store.objects.errors` can read. Imported only where
it is needed: a remote container may have no boto3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from metaflow.store.objects import aws
from metaflow.store.objects.bucket import PART, Bucket, Content, ObjectInfo, Range, Row

_ATTRIBUTES = "metaflow-user-attributes"
_CHUNK = 1 << 20


class BotoBucket:
    """A bucket; the verbs are those of `metaflow.store.objects.bucket.Bucket`.

    Parameters
    ----------
    client : boto3 client
        Safe to use from several threads.
    name : str
        The bucket.
    encryption : str or None
        Server-side encryption of what is put, unless its content says so.
    """

    def __init__(self, client: Any, name: str, encryption: str | None) -> None:
        self._client = client
        self._name = name
        self._encryption = encryption

    @classmethod
    def open(cls, bucket: Bucket) -> BotoBucket:
        """Make boto3's client for a bucket.

        Raises
        ------
        ImportError
            boto3 is not installed.
        """
        from botocore.config import Config

        connection = bucket.connection
        stores = connection.stores
        provider = aws.credentials(connection)
        found = provider() if provider is not None else {}
        client = aws.session(connection.profile).client(
            "s3",
            region_name=bucket.region or connection.region,
            endpoint_url=stores.s3_endpoint,
            verify=stores.s3_certificates or stores.s3_verify,
            config=Config(retries={"max_attempts": 2}, max_pool_connections=32, connect_timeout=5),
            **{name: found[ours] for name, ours in aws.KEYS.items() if found.get(ours)},
        )
        return cls(client, bucket.address.container, stores.s3_encryption)

    def head(self, key: str) -> ObjectInfo:
        with _readable():
            response = self._client.head_object(Bucket=self._name, Key=key)
        return _info(response, response["ContentLength"], 0, response["ContentLength"])

    def encryption(self, key: str) -> str | None:
        """Return the server-side encryption of an object."""
        with _readable():
            found = self._client.head_object(Bucket=self._name, Key=key).get("ServerSideEncryption")
        return None if found is None else str(found)

    def download(self, key: str, write: Callable[[memoryview, int], None], wanted: Range | None) -> ObjectInfo:
        """Write an object, or a range of it, by ``write(bytes, position)``; all of it."""
        range = {}
        if wanted is not None:
            offset, length = wanted
            range["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        with _readable():
            response = self._client.get_object(Bucket=self._name, Key=key, **range)
            come = 0
            for chunk in response["Body"].iter_chunks(_CHUNK):
                write(memoryview(chunk), come)
                come += len(chunk)
        total = int(str(response.get("ContentRange") or f"/{come}").rpartition("/")[2])
        return _info(response, total, wanted.offset if wanted is not None else 0, come)

    def put(self, key: str, content: Content) -> None:
        from io import BytesIO

        extra: dict[str, Any] = {}
        if content.content_type is not None:
            extra["ContentType"] = content.content_type
        if content.attributes is not None:
            extra["Metadata"] = {_ATTRIBUTES: content.attributes}
        if content.encryption or self._encryption:
            extra["ServerSideEncryption"] = content.encryption or self._encryption
        with _readable(), BytesIO(content.data or b"") if content.path is None else open(content.path, "rb") as file:
            if content.size <= PART:
                self._client.put_object(Bucket=self._name, Key=key, Body=file, **extra)
            else:
                self._client.upload_fileobj(file, self._name, key, ExtraArgs=extra)

    def list_level(self, prefix: str) -> list[Row]:
        rows, prefixes = [], []
        for page in self._pages(prefix, Delimiter="/"):
            rows += [Row(each["Key"], each["Size"]) for each in page.get("Contents", ())]
            prefixes += [Row(each["Prefix"], None) for each in page.get("CommonPrefixes", ())]
        return rows + prefixes

    def list_below(self, prefix: str) -> list[Row]:
        """List all objects whose key begins with `prefix`."""
        found = (each for page in self._pages(prefix) for each in page.get("Contents", ()))
        return [Row(each["Key"], each["Size"]) for each in found]

    def _pages(self, prefix: str, **more: str) -> Iterator[Any]:
        with _readable():
            yield from self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix, **more)


def _info(response: Any, total: int, offset: int, length: int) -> ObjectInfo:
    return ObjectInfo(
        total=total,
        offset=offset,
        length=length,
        content_type=response.get("ContentType"),
        attributes=response.get("Metadata", {}).get(_ATTRIBUTES),
        modified=response["LastModified"].timestamp(),
        tag=None,  # what was asked for is here as a whole, and no further part of it shall be
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
        raise OSError(f"status code: {status} {code}<Message>{told.get('Message', '')}</Message>") from error
    except NoCredentialsError as error:
        raise OSError(f"credentials: {error}") from error
    except BotoCoreError as error:
        raise OSError(f"HTTP error: {error}") from error
