"""`metaflow.S3`: what users call; roots, keys and arguments on the way in, `S3Object` and errors on the way out.

Does not know how bytes travel (`metaflow.tools.s3.transfer`). Start reading at `S3`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from metaflow import settings
from metaflow.exception import MetaflowS3URLException
from metaflow.store.objects.address import Address
from metaflow.store.objects.bucket import ObjectInfo, Range, Row
from metaflow.store.objects.errors import StoreError
from metaflow.store.objects.forked import ForkSafe
from metaflow.tools.s3 import arguments, roots, uploads, urls
from metaflow.tools.s3.connect import connect
from metaflow.tools.s3.explain import explain
from metaflow.tools.s3.objects import RangeInfo, S3GetObject, S3Object, S3PutObject
from metaflow.tools.s3.spool import Spool
from metaflow.tools.s3.transfer import GetRequest, PutRequest, Transfer

if TYPE_CHECKING:
    from types import TracebackType


class S3:
    """Objects in S3, Google Cloud Storage or Azure, many at a time.

    Use it as a context manager: what it downloads lies in a temporary directory that is removed at the end.

    Keys are below a root, which is one of three: `s3root`; the data of a run, if `run` is given; or none, and then all
    keys are full URLs (``s3://bucket/key``, ``gs://…``, ``azure://container/…``).

    Parameters
    ----------
    tmproot : str, optional
        Directory in which the temporary one is made; METAFLOW_TEMPDIR or the working directory by default.
    bucket, prefix : str, optional
        With `run`: go before the parts of METAFLOW_DATATOOLS_S3ROOT. Without it they mean nothing.
    run : FlowSpec or Run, optional
        ``self`` in a step, or a client object: the root is ``<datatools root>/<flow>/<run id>``.
    s3root : str, optional
        URL that all keys are below.
    encryption : str, optional
        Server-side encryption of what is put, such as ``AES256`` or ``aws:kms``.
    role : str, optional
        ARN of a role of AWS to assume.
    session_vars, client_params : mapping, optional
        As boto3's session and client take them: keys, profile, region, endpoint, certificates.

    Raises
    ------
    MetaflowS3URLException
        The root is no URL, or nothing says where the data of runs is.
    """

    def __init__(
        self,
        tmproot: str | None = None,
        bucket: str | None = None,
        prefix: str | None = None,
        run: Any = None,
        s3root: str | None = None,
        encryption: str | None = None,
        role: str | None = None,
        session_vars: Mapping[str, Any] | None = None,
        client_params: Mapping[str, Any] | None = None,
    ) -> None:
        tools = settings.load().datatools
        self._root = roots.root(tools.root, bucket, prefix, run, s3root)
        self._spool = Spool(tools.tempdir if tmproot is None else tmproot)
        connection = connect(tools, encryption, role, session_vars, client_params)
        self._transfer = ForkSafe(Transfer, connection, tools.workers)

    def __enter__(self) -> S3:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the local copies."""
        self._spool.remove()

    # --- list -------------------------------------------------------------------------------------------------------

    def list_paths(self, keys: Iterable[str] | None = None) -> list[S3Object]:
        """List what is directly below prefixes: objects, which exist, and further prefixes, which do not.

        Parameters
        ----------
        keys : iterable of str, optional
            Prefixes; the root by default. Each is taken as a whole name: ``a`` is not ``ab``.

        Returns
        -------
        list of S3Object
            For each prefix in the order given, its objects and then its prefixes, sorted; the keys are relative to it.
        """
        return self._list(keys, deep=False)

    def list_recursive(self, keys: Iterable[str] | None = None) -> list[S3Object]:
        """List all objects below prefixes, however deep.

        Parameters
        ----------
        keys : iterable of str, optional
            Prefixes; the root by default. Each is taken as a whole name: ``a`` is not ``ab``.

        Returns
        -------
        list of S3Object
            For each prefix in the order given, its objects, sorted; the keys are relative to it.
        """
        return self._list(keys, deep=True)

    # --- info -------------------------------------------------------------------------------------------------------

    def info(self, key: str | S3GetObject | None = None, return_missing: bool = False) -> S3Object:
        """Find out what is known of an object, without its content.

        Parameters
        ----------
        key : str, optional
            The object; the root by default.
        return_missing : bool
            Return an object that does not exist instead of raising.

        Raises
        ------
        MetaflowS3NotFound
            There is no such object.
        """
        return self._info([key], return_missing)[0]

    def info_many(self, keys: Iterable[str | S3GetObject], return_missing: bool = False) -> list[S3Object]:
        """Find out what is known of many objects, in the order given; see `info`."""
        return self._info(arguments.several("info_many", keys), return_missing)

    # --- get --------------------------------------------------------------------------------------------------------

    def get(
        self, key: str | S3GetObject | None = None, return_missing: bool = False, return_info: bool = True
    ) -> S3Object:
        """Get an object, or a part of one.

        Parameters
        ----------
        key : str or S3GetObject, optional
            The object, or the range of it; the root by default.
        return_missing : bool
            Return an object that does not exist instead of raising.
        return_info : bool
            Tell content type, metadata and time as well.

        Raises
        ------
        MetaflowS3NotFound
            There is no such object.
        MetaflowS3InvalidRange
            The object has no such range.
        MetaflowS3AccessDenied
            The credentials do not suffice.
        """
        return self._get([key], return_missing, return_info)[0]

    def get_many(
        self, keys: Iterable[str | S3GetObject], return_missing: bool = False, return_info: bool = True
    ) -> list[S3Object]:
        """Get many objects, in the order given; see `get`."""
        return self._get(arguments.several("get_many", keys), return_missing, return_info)

    def get_recursive(self, keys: Iterable[str], return_info: bool = False) -> list[S3Object]:
        """Get all objects whose key begins with one of `keys`, which may end in the middle of a name.

        Returns
        -------
        list of S3Object
            For each of `keys` in the order given, its objects, sorted. As in Metaflow the keys of these are relative
            to it, but with `return_info` to the root.
        """
        prefixes = [self._location(key) for key in arguments.several("get_recursive", keys)]
        return self._get_below(prefixes, [prefix.url for prefix in prefixes], return_info)

    def get_all(self, return_info: bool = False) -> list[S3Object]:
        """Get all objects below the root.

        Raises
        ------
        MetaflowS3URLException
            There is no root.
        """
        if self._root is None:
            raise MetaflowS3URLException(
                "get_all gets everything under the root, but this S3 has no root.",
                hint="create it with s3root= or run=",
            )
        prefix = _as_folder(urls.parse(self._root))
        return self._get_below([prefix], [self._root.rstrip("/")], return_info)

    # --- put --------------------------------------------------------------------------------------------------------

    def put(
        self,
        key: str | S3PutObject,
        obj: Any,
        overwrite: bool = True,
        content_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Make an object of a value.

        Parameters
        ----------
        key : str
            The object.
        obj : str, bytes, open binary file or pathlib.Path
            The content; a string becomes UTF-8.
        overwrite : bool
            Whether an object that is there is replaced; if not, it stays as it is, and that is no error.
        content_type : str, optional
            MIME type.
        metadata : mapping, optional
            Anything that JSON can hold, by name; `S3Object.metadata` gives it back.

        Returns
        -------
        str
            The URL of the object.

        Raises
        ------
        MetaflowS3InvalidObject
            The value is nothing that can be sent.
        MetaflowS3AccessDenied
            The credentials do not suffice.
        """
        name = getattr(key, "key", key)
        place = self._object(name)
        content = uploads.content(place, obj, self._spool.new, content_type, metadata)
        self._send([PutRequest(place, content)], overwrite)
        return self._url(name)

    def put_many(
        self, key_objs: Iterable[tuple[str, Any] | S3PutObject], overwrite: bool = True
    ) -> list[tuple[str, str]]:
        """Make objects of many values.

        Parameters
        ----------
        key_objs : iterable of (str, value) or S3PutObject
            Keys and contents; see `put`.
        overwrite : bool
            Whether objects that are there are replaced.

        Returns
        -------
        list of (str, str)
            Key and URL of each object that was written, in the order given.
        """
        pairs = arguments.to_put("put_many", key_objs)
        requests = [self._put_request(self._object(key), value, facts) for key, value, facts in pairs]
        return self._written([key for key, _, _ in pairs], requests, overwrite)

    def put_files(
        self, key_paths: Iterable[tuple[str, str] | S3PutObject], overwrite: bool = True
    ) -> list[tuple[str, str]]:
        """Make objects of many local files.

        Parameters
        ----------
        key_paths : iterable of (str, str) or S3PutObject
            Keys and paths.
        overwrite : bool
            Whether objects that are there are replaced.

        Returns
        -------
        list of (str, str)
            Key and URL of each object that was written, in the order given.

        Raises
        ------
        MetaflowS3NotFound
            A local file does not exist; nothing was sent.
        """
        pairs = arguments.to_put("put_files", key_paths, files=True)
        requests = []
        for key, path, facts in pairs:
            place = self._object(key)
            request = self._put_request(place, b"", facts)
            content = request.content._replace(data=None, path=uploads.local_file(place, path))
            requests.append(request._replace(content=content))
        return self._written([key for key, _, _ in pairs], requests, overwrite)

    # --- what they share --------------------------------------------------------------------------------------------

    def _url(self, key: Any) -> str:
        return arguments.url(self._root, key)

    def _location(self, key: Any) -> Address:
        return urls.parse(self._url(key))

    def _object(self, key: Any) -> Address:
        found = self._location(key)
        if not found.key:
            raise MetaflowS3URLException(
                f"'{self._url(key)}' names a bucket, not an object.", hint="add a key: s3://bucket/key"
            )
        return found

    def _list(self, keys: Iterable[str] | None, *, deep: bool) -> list[S3Object]:
        names = [None] if keys is None else arguments.several("list_recursive" if deep else "list_paths", keys)
        prefixes = [_as_folder(self._location(name)) for name in names]
        shown = [self._url(name) if deep else prefix.url for name, prefix in zip(names, prefixes, strict=True)]
        found = [
            (prefix, place._replace(key=row.key), row.size)
            for place, prefix, rows in zip(prefixes, shown, self._rows(prefixes, deep), strict=True)
            for row in rows
        ]
        folders = self._folders([place for _, place, size in found if size == 0])
        return [S3Object(prefix, folders.get(place, place).url, None, size) for prefix, place, size in found]

    def _folders(self, empty: Sequence[Address]) -> dict[Address, Address]:
        """Return the true names of those empty objects that stand for a folder: obstore lists ``a/`` as ``a``."""
        places = [place for place in empty if not place.key.endswith("/")]
        found = self._transfer.call(Transfer.head, places) if places else []
        return {
            place: place._replace(key=f"{place.key}/")
            for place, facts in zip(places, found, strict=True)
            if isinstance(facts, StoreError) and facts.kind == "missing"
        }

    def _rows(self, prefixes: Sequence[Address], deep: bool) -> list[list[Row]]:
        found = self._transfer.call(Transfer.list_rows, prefixes, deep)
        failed = [
            (place.url, rows) for place, rows in zip(prefixes, found, strict=True) if isinstance(rows, StoreError)
        ]
        if failed:
            raise explain("list", failed, len(prefixes))
        return [rows for rows in found if not isinstance(rows, StoreError)]

    def _info(self, keys: Sequence[Any], return_missing: bool) -> list[S3Object]:
        places = [self._object(getattr(key, "key", key)) for key in keys]
        found = self._transfer.call(Transfer.head, places)
        self._check("read", places, found, return_missing)
        return [
            self._with_facts(place, None, facts, info=True, size=facts.total)
            if isinstance(facts, ObjectInfo)
            else S3Object(self._prefix(), place.url, None)
            for place, facts in zip(places, found, strict=True)
        ]

    def _get(self, keys: Sequence[Any], return_missing: bool, return_info: bool) -> list[S3Object]:
        requests = [self._get_request(key) for key in keys]
        places = [request.address for request in requests]
        found = self._transfer.call(Transfer.get, requests)
        self._check("read", places, found, return_missing)
        return [
            self._with_facts(request.address, request.path, facts, return_info)
            if isinstance(facts, ObjectInfo)
            else S3Object(self._prefix(), request.address.url, None)
            for request, facts in zip(requests, found, strict=True)
        ]

    def _get_below(self, prefixes: Sequence[Address], shown: Sequence[str], return_info: bool) -> list[S3Object]:
        requests, relative_to = [], []
        for place, prefix, rows in zip(prefixes, shown, self._rows(prefixes, deep=True), strict=True):
            for row in rows:
                requests.append(GetRequest(place._replace(key=row.key), self._spool.new(row.key)))
                relative_to.append(prefix)
        found = self._transfer.call(Transfer.get, requests)
        folders = [number for number, facts in enumerate(found) if _is_missing(facts)]
        for number in folders:  # obstore lists `a/` as `a`
            place = requests[number].address
            requests[number] = requests[number]._replace(address=place._replace(key=f"{place.key}/"))
        if folders:
            again = self._transfer.call(Transfer.get, [requests[number] for number in folders])
            for number, facts in zip(folders, again, strict=True):
                found[number] = facts
        self._check("read", [request.address for request in requests], found, False)
        return [
            self._with_facts(
                request.address,
                request.path,
                facts,
                return_info,
                prefix=self._prefix() if return_info or request.address.url == prefix else prefix,
            )
            for request, facts, prefix in zip(requests, found, relative_to, strict=True)
            if isinstance(facts, ObjectInfo)
        ]

    def _get_request(self, key: Any) -> GetRequest:
        name, offset, length = arguments.wanted(key)
        place = self._object(name)
        return GetRequest(place, self._spool.new(place.key), None if offset is None else Range(offset, length))

    def _put_request(self, place: Address, value: Any, facts: S3PutObject) -> PutRequest:
        content = uploads.content(place, value, self._spool.new, facts.content_type, facts.metadata, facts.encryption)
        return PutRequest(place, content)

    def _prefix(self) -> str | None:
        return self._root

    def _with_facts(
        self,
        place: Address,
        path: str | None,
        facts: ObjectInfo,
        info: bool,
        size: int | None = None,
        prefix: str | None = None,
    ) -> S3Object:
        base = prefix or self._prefix()
        size = facts.length if size is None else size
        if not info:
            return S3Object(base, place.url, path, size)
        return S3Object(
            base,
            place.url,
            path,
            size,
            facts.content_type,
            _metadata(facts.attributes),
            None if path is None else RangeInfo(facts.total, facts.offset, facts.length),
            facts.modified,
            partial(self._transfer.call, Transfer.encryption, place),
        )

    def _send(self, requests: Sequence[PutRequest], overwrite: bool) -> list[StoreError | None]:
        found = self._transfer.call(Transfer.put, requests, overwrite)
        there = [None if failure is not None and failure.kind == "exists" else failure for failure in found]
        self._check("write", [request.address for request in requests], there, False)
        return found

    def _written(self, keys: Sequence[str], requests: Sequence[PutRequest], overwrite: bool) -> list[tuple[str, str]]:
        found = self._send(requests, overwrite)
        return [
            (key, request.address.url)
            for key, request, failure in zip(keys, requests, found, strict=True)
            if failure is None
        ]

    def _check(self, verb: str, places: Sequence[Address], found: Sequence[Any], return_missing: bool) -> None:
        """Raise what failed, if anything did."""
        failed = [
            (place, failure)
            for place, failure in zip(places, found, strict=True)
            if isinstance(failure, StoreError) and not (return_missing and failure.kind in ("missing", "bucket"))
        ]
        if not failed:
            return
        place, first = failed[0]
        if first.kind == "missing":  # a HEAD has no body that could say whether the bucket is missing too
            (rows,) = self._transfer.call(
                Transfer.list_rows, [Address(place.kind, place.container, "millrace-is-it-there/")], False
            )
            if isinstance(rows, StoreError) and rows.kind == "bucket":
                failed = [(each, rows if why.kind == "missing" else why) for each, why in failed]
        raise explain(verb, [(each.url, why) for each, why in failed], len(places))


def _as_folder(place: Address) -> Address:
    return place if not place.key or place.key.endswith("/") else place._replace(key=f"{place.key}/")


def _is_missing(facts: ObjectInfo | StoreError) -> bool:
    return isinstance(facts, StoreError) and facts.kind == "missing"


def _metadata(noted: str | None) -> dict[str, Any] | None:
    if noted is None:
        return None
    try:
        found = json.loads(noted)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
