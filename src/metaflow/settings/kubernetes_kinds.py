"""Kinds of values that only Kubernetes has, and what it accepts as names.

Pure, and without a client: what becomes of the values is told in `metaflow.compute.kubernetes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

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


# --- security context ------------------------------------------------------------------------------------------------

Reader: TypeAlias = Callable[[Any], Any]
"""Returns a value as the API takes it; ValueError with what is expected, if that can be said."""


class _BadField(ValueError):
    """What is wrong with a field, in a whole sentence."""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("True or False")
    return value


def _id(value: Any) -> int:
    if not (amount(value) >= 0 and amount(value).is_integer()):
        raise ValueError("a whole number, 0 or more")
    return int(amount(value))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a string")
    return value


def _choice(*names: str) -> Reader:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return str(value)

    return read


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of strings")
    return list(value)


def _fields(what: str, readers: Mapping[str, Reader]) -> Reader:
    """Objects with these fields, written as in Python or as in the API, as the API has them."""
    names = {name: _camel(name) for name in readers}
    known = {**dict(zip(names.values(), names, strict=True)), **{name: name for name in names}}

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError("a dictionary")
        out = {}
        for key, item in value.items():
            if key not in known:
                import difflib

                near = difflib.get_close_matches(str(key), known, n=1)
                instead = f"did you mean {shown(near[0])}?" if near else f"it has {', '.join(names)}"
                raise _BadField(f"{what} has no {shown(key)}; {instead}")
            name = known[key]
            if item is None:
                continue
            try:
                out[names[name]] = readers[name](item)
            except _BadField:
                raise
            except ValueError as error:
                raise _BadField(f"{key} is {shown(item)}; it can be {error}") from None
        return out

    return read


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _profile(what: str) -> Reader:
    return _fields(what, {"type": _choice("RuntimeDefault", "Unconfined", "Localhost"), "localhost_profile": _text})


_CONTEXT = _fields(
    "a security context",
    {
        "privileged": _flag,
        "allow_privilege_escalation": _flag,
        "read_only_root_filesystem": _flag,
        "run_as_user": _id,
        "run_as_group": _id,
        "run_as_non_root": _flag,
        "capabilities": _fields("capabilities", {"add": _texts, "drop": _texts}),
        "seccomp_profile": _profile("a seccomp profile"),
        "app_armor_profile": _profile("an AppArmor profile"),
        "se_linux_options": _fields("SELinux options", dict.fromkeys(("level", "role", "type", "user"), _text)),
        "proc_mount": _choice("Default", "Unmasked"),
        "windows_options": _fields(
            "Windows options",
            {
                "gmsa_credential_spec": _text,
                "gmsa_credential_spec_name": _text,
                "host_process": _flag,
                "run_as_user_name": _text,
            },
        ),
    },
)


def _security_context(value: Any) -> dict[str, Any]:
    value = parsed(value)
    if not isinstance(value, Mapping):
        raise ValueError
    out: dict[str, Any] = _CONTEXT(value)
    if out.get("runAsNonRoot") and out.get("runAsUser") == 0:
        raise ValueError("run_as_non_root and run_as_user=0 contradict each other")
    if out.get("privileged") and out.get("allowPrivilegeEscalation") is False:
        raise ValueError("privileged and allow_privilege_escalation=False contradict each other")
    return out


SECURITY_CONTEXT: Kind[dict[str, Any]] = Kind("a dictionary", _security_context)
"""What a container may do: the API's SecurityContext, of Kubernetes 1.34."""
