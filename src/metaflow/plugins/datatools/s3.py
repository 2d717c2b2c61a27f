"""`metaflow.plugins.datatools.s3`: the same names as in `metaflow.datatools.s3`."""

from metaflow.datatools.s3 import *  # noqa: F403
from metaflow.datatools.s3 import __all__ as __all__
