"""`metaflow.S3`: the user's own objects in S3, Google Cloud Storage or Azure.

::

    client.py              S3: roots, arguments, what comes back
      ├── urls.py          URLs and keys (pure); roots.py: what keys are below; arguments.py: what users pass
      ├── objects.py       S3Object, S3GetObject, S3PutObject, RangeInfo
      ├── connect.py       how the buckets are reached: settings, and what the user gave
      ├── uploads.py       what users hand to put, as something that can be sent twice
      ├── explain.py       failures as one exception
      └── transfer.py      many requests at once: whole objects in parts, failures as values
            ├── threads.py       threads for the length of one call
            └── user_bucket.py   a bucket whose keys may be anything: `metaflow.store.objects.bucket`, and
                boto_bucket.py   the same verbs for keys that obstore has no name for

Nothing here is imported by `import metaflow`, and no client or thread exists before the first request.
"""

from __future__ import annotations

from metaflow.tools.s3.client import S3
from metaflow.tools.s3.objects import RangeInfo, S3GetObject, S3Object, S3PutObject

__all__ = ["S3", "RangeInfo", "S3GetObject", "S3Object", "S3PutObject"]
