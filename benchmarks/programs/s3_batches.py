"""One batch call of `S3`: writes what it needs first, then times the call. Arguments: call, how many, bytes each."""

import resource
import sys
import time
import uuid
from typing import Any

from metaflow import S3


def main(call: str, count: int, size: int) -> None:
    root = f"s3://bench/{call}-{uuid.uuid4().hex}"
    paths = []
    for number in range(count if size > 1 << 20 else 0):
        path = f"big-{number}"
        with open(path, "wb") as file:
            for _ in range(size >> 20):
                file.write(bytes([number + 1]) * (1 << 20))
        paths.append((f"{number:05}", path))
    keys = [f"{number:05}" for number in range(count)]
    values = [(key, key.encode().ljust(size, b".")) for key in keys] if not paths else []
    with S3(s3root=root) as s3:
        if call not in ("put_many", "put_files"):
            s3.put_files(paths) if paths else s3.put_many(values)
        begin = time.perf_counter()
        found: Any
        if call == "put_many":
            found = [url for _, url in s3.put_many(values)]
        elif call == "put_files":
            found = [url for _, url in s3.put_files(paths)]
        elif call == "list_recursive":
            found = s3.list_recursive()
        else:
            found = getattr(s3, call)(keys)
        seconds = time.perf_counter() - begin
        assert len(found) == count, len(found)
        if call == "get_many":
            assert sum(each.size for each in found) == count * size
            with open(found[-1].path, "rb") as file:
                assert file.read(5) == (bytes([count]) * 5 if paths else keys[-1].encode())
    with open("/proc/self/status") as status:  # ru_maxrss would count what was there before exec
        (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    below = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"seconds {seconds} own_mb {peak / 1024:.0f} below_mb {below / 1024:.0f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
