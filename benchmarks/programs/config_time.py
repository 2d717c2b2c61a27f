"""Time a config of 1,000 keys, nested and with lists, as a flow gets it: parsed, made immutable, every key read."""

import json
import time

from metaflow import ConfigValue

KEYS = 1000
TEXT = json.dumps(
    {f"group{group}": {f"key{key}": [key, {"name": f"value{key}"}] for key in range(KEYS // 20)} for group in range(20)}
)


def compose():
    config = ConfigValue(json.loads(TEXT))
    return sum(config[group][key][0] for group in config for key in config[group])


if __name__ == "__main__":
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        total = compose()
        seconds.append(time.perf_counter() - begin)
    assert total == 20 * sum(range(KEYS // 20))
    print("seconds", min(seconds))
