"""Kinds of values that only Kubernetes has, and what it accepts as names.

Pure, and without a client: what becomes of the values is told in `metaflow.compute.kubernetes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from metaflow.settings.kinds import Kind, amount, parsed, shown, string

# --- names, as Kubernetes allows them --------------------------------------------------------------------------------


def is_label(value: str) -> bool:
    """Tell whether a string can be the value of a label, or the name in its key."""
    inside = value.replace("-", "").replace("_", "").replace(".", "")
    ends = value[:1] + value[-1:]
    return not value or (len(value) <= 63 and value.isascii() and ends.isalnum() and (inside or ends).isalnum())


def is_label_key(key: str) -> bool:
    """Tell whether a string can be the key of a label: ``name`` or ``example.org/name``."""
    prefix, slash, name = key.rpartition("/")
    return bool(name) and is_label(name) and (not slash or is_domain(prefix))


def is_domain(name: str) -> bool:
    """Tell whether a string can be the name of an object: a DNS subdomain, in lower case."""
    return 0 < len(name) <= 253 and all(map(is_domain_part, name.split(".")))


def is_domain_part(name: str) -> bool:
    """Tell whether a string can be one part of a domain, such as the name of a namespace."""
    inside = name.replace("-", "")
    ends = name[:1] + name[-1:]
    return len(name) <= 63 and name.isascii() and name == name.lower() and ends.isalnum() and inside.isalnum()


# --- kinds -----------------------------------------------------------------------------------------------------------


def object_name(what: str, accepts: Callable[[str], bool] = is_domain) -> Kind[str]:
    """Names of objects of the cluster."""
    return string(f"the name of a {what}, in lower case", accepts)


_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SECONDS = ("tolerationSeconds", "toleration_seconds")


def _tolerations(value: Any) -> list[dict[str, Any]]:
    value = parsed(value)
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list | tuple):
        raise ValueError
    return [_toleration(item) for item in items]


def _toleration(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise ValueError
    out: dict[str, Any] = {}
    for key, value in item.items():
        if key in _SECONDS and amount(value) >= 0:
            out["tolerationSeconds"] = int(amount(value))
        elif key in ("key", "operator", "value", "effect") and isinstance(value, str):
            out[key] = value
        elif value is not None:
            raise ValueError(
                f"a toleration cannot have {shown(key)}: {shown(value)}; it has key, operator, value, effect (strings) "
                "and toleration_seconds (a number)"
            )
    operator = out.get("operator", "Equal")
    if operator not in ("Equal", "Exists"):
        raise ValueError(f"the operator of a toleration is {shown(operator)}; it can be Equal or Exists")
    if operator == "Exists" and out.get("value"):
        raise ValueError("a toleration with the operator Exists has no value")
    if operator == "Equal" and not out.get("key"):
        raise ValueError("a toleration without a key needs the operator Exists")
    if out.get("effect", "") not in ("", *_EFFECTS):
        raise ValueError(f"the effect of a toleration is {shown(out['effect'])}; it can be {', '.join(_EFFECTS)}")
    if "tolerationSeconds" in out and out.get("effect") != "NoExecute":
        raise ValueError("a toleration with toleration_seconds needs the effect NoExecute")
    return out


TOLERATIONS: Kind[list[dict[str, Any]]] = Kind(
    "a list of dictionaries, or its JSON", _tolerations, '[{"key": "dedicated", "operator": "Exists"}]'
)
"""Taints that a pod tolerates."""
