"""A name that users import from `metaflow.plugins.kubernetes.kubernetes_decorator`."""

from __future__ import annotations

from metaflow.decorators.kubernetes import KubernetesDecorator

__all__ = ["KubernetesDecorator"]
