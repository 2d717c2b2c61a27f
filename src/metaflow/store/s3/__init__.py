"""`metaflow.S3`: the user's own objects in S3, Google Cloud Storage or Azure.

::

    client.py          S3: roots, arguments, what comes back
      ├── location.py  URLs and keys (pure); roots.py: what keys are below; arguments.py: what users pass
      ├── objects.py   S3Object, S3GetObject, S3PutObject, RangeInfo
      ├── uploads.py   what users hand to put, as something that can be sent twice
      └── transfer.py  many requests at once: whole objects in parts, failures as values
            ├── crew.py      threads for the length of one call
            ├── bucket.py    one bucket over obstore: retries, what is told while it waits
            ├── reach.py     how a bucket is reached: settings, credentials, clients
            ├── by_boto.py   the same for keys that obstore has no name for
            └── answers.py   what becomes of a request; outcome.py: failures as one exception

Nothing here is imported by `import metaflow`, and no client or thread exists before the first request.
"""

from __future__ import annotations

from metaflow.store.s3.client import S3
from metaflow.store.s3.objects import RangeInfo, S3GetObject, S3Object, S3PutObject

__all__ = ["S3", "RangeInfo", "S3GetObject", "S3Object", "S3PutObject"]
