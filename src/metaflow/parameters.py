"""Names that users import from `metaflow.parameters`."""

from __future__ import annotations

from metaflow.flow.parameters import JSONType, JSONTypeClass, Parameter, ParameterContext

__all__ = ["JSONType", "JSONTypeClass", "Parameter", "ParameterContext"]
