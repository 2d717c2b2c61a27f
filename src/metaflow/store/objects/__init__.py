"""Object stores (S3, Google Cloud Storage, Azure) over obstore: one stack, under the datastore and under `metaflow.S3`.

::

    storage.py            ObjectStorage: the datastore's `Storage`, over a bucket
    bucket.py             Bucket: a typed verb per request
      ├── retry.py        how long a request is tried again, and the one word about it on stderr
      ├── errors.py       StoreError: what a client's error means, and what a person can do about it
      └── connection.py   clients, with the credentials that the vendor's own tools would use; aws.py: AWS's
    forked.py             the same in a forked child, where obstore cannot run
    address.py            a bucket and a key                          (pure)
    reader.py             a big object as a file, read in ranges      (no I/O of its own)

Nothing is opened before the first request. A datastore raises what fails as `StorageUnavailable`, `metaflow.S3` as its
own classes (`metaflow.tools.s3.explain`).
"""

KINDS = frozenset({"azure", "gs", "s3"})
"""Names of the datastores here."""

PRELOADED = ("metaflow.store.objects.storage", "obstore.store")
"""What is imported before a fork, since both sides need it and loading takes some hundredths of a second.

That starts no client and no thread.
"""
