"""Print what the client says of the code of a run: arguments are the site and the run."""

import json
import os
import sys

from metaflow import Run, metadata, namespace

metadata("local@" + sys.argv[1])
namespace(None)
code = Run(sys.argv[2]).code
assert code is not None
source = code.flowspec if isinstance(code.flowspec, str) else code.flowspec.decode()
with code.extract() as directory:
    files = [
        os.path.relpath(os.path.join(top, name), directory) for top, _, names in os.walk(directory) for name in names
    ]
keys = ("script", "username", "environment_type", "use_r", "platform")
print(
    json.dumps(
        {
            "script": code.script_name,
            "source": source,
            "info": {key: code.info[key] for key in keys},
            "members": sorted(name for name in code.tarball.getnames() if not name.startswith((".mf_code/", ".mf_"))),
            "files": sorted(name for name in files if not name.startswith(".mf_")),
        }
    )
)
