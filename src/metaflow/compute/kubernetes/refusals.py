"""What the API server's refusals mean for people: which field, which permission, what to do. Pure."""

from __future__ import annotations

from metaflow.compute.kubernetes.api import Away, Refused
from metaflow.exception import MetaflowException, TaskFailed, TaskNotPlaced
from metaflow.settings.kubeconfig import Cluster

_RENEW = "log in again as your provider has it; `kubectl get pods` should work here"


def no_way(error: Away | Refused, cluster: Cluster) -> MetaflowException:
    """Return the error of a cluster that cannot be worked with."""
    where = f"Kubernetes ({cluster.origin})"
    if isinstance(error, Away):
        return MetaflowException(
            f"{where} cannot be reached: {error}.",
            hint="is the cluster up, and the right context current? `kubectl cluster-info` tells",
        )
    if error.status == 401:
        return MetaflowException(f"{where} does not accept our credentials: {error.message}.", hint=_RENEW)
    if error.status == 403:
        return MetaflowException(
            f"{where} does not permit what is needed: {error.message}.",
            hint="ask the cluster's owner for a role that may create, get, list, watch and delete jobs and pods",
        )
    return MetaflowException(f"{where} answers with an error: {error}.")


def not_created(refused: Refused, step: str, namespace: str) -> TaskFailed:
    """Return the failure of a job that the cluster does not take."""
    hint = None
    what = refused.message.rstrip(".")
    if refused.status == 401:
        what, hint = f"it does not accept our credentials: {what}", _RENEW
    elif refused.status == 404:
        hint = f"is there a namespace '{namespace}'? METAFLOW_KUBERNETES_NAMESPACE or @kubernetes(namespace=…) names it"
    elif refused.status == 403:
        hint = "the permissions of this user, a policy of the cluster or a quota forbid it"
    fields = sorted({str(cause.get("field")) for cause in refused.details.get("causes") or () if cause.get("field")})
    if refused.status == 422 and fields:
        hint = f"wrong in the job's object: {', '.join(fields)}; an attribute of @kubernetes or a setting gave it"
    return TaskNotPlaced(
        f"Kubernetes refuses the step '{step}': {what}", hint=hint, status=refused.status, reason=refused.reason
    )
