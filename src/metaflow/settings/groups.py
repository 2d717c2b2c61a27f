"""Settings that belong together, each group one frozen value, read when somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from metaflow.exception import SettingsError
from metaflow.settings import table
from metaflow.settings.values import Values


class RunSettings(NamedTuple):
    """How runs are carried out.

    Attributes
    ----------
    decospecs : tuple of str
        METAFLOW_DEFAULT_DECOSPECS: decorators for every step, as ``--with`` takes them.
    preflight : str
        METAFLOW_PREFLIGHT: ``off``, ``warn`` or ``fail``.
    max_attempts : int
        METAFLOW_MAX_ATTEMPTS: attempts of a task above which the number is taken for a mistake.
    preemption_retries : int
        METAFLOW_PREEMPTION_RETRIES: further attempts of a remote task whose machine was taken away.
    local_grace, remote_grace : int
        METAFLOW_LOCAL_GRACE, METAFLOW_REMOTE_GRACE: seconds between the polite and the forced end of a task.
    """

    decospecs: tuple[str, ...]
    preflight: str
    max_attempts: int
    preemption_retries: int
    local_grace: int
    remote_grace: int

    @classmethod
    def of(cls, values: Values) -> RunSettings:
        return cls(
            values[table.DEFAULT_DECOSPECS],
            values[table.PREFLIGHT],
            values[table.MAX_ATTEMPTS],
            values[table.PREEMPTION_RETRIES],
            values[table.LOCAL_GRACE],
            values[table.REMOTE_GRACE],
        )


class ConfigSettings(NamedTuple):
    """What the configs of a flow are given from outside, by their names.

    Attributes
    ----------
    files : dict of str to object
        METAFLOW_FLOW_CONFIG: paths.
    values : dict of str to object
        METAFLOW_FLOW_CONFIG_VALUE: texts for the parser, or dictionaries.
    """

    files: dict[str, object]
    values: dict[str, object]

    @classmethod
    def of(cls, values: Values) -> ConfigSettings:
        return cls(values[table.FLOW_CONFIG], values[table.FLOW_CONFIG_VALUE])


class PackageSettings(NamedTuple):
    """What goes into the packages of remote tasks.

    Attributes
    ----------
    suffixes : tuple of str
        METAFLOW_DEFAULT_PACKAGE_SUFFIXES: endings of the files of the code package.
    limit_mb : float
        METAFLOW_CODE_PACKAGE_LIMIT: MB of files above which it is refused.
    platform : str
        METAFLOW_REMOTE_PLATFORM: what images are for, such as ``linux/arm64`` or ``linux/amd64/musl``.
    """

    suffixes: tuple[str, ...]
    limit_mb: float
    platform: str

    @classmethod
    def of(cls, values: Values) -> PackageSettings:
        return cls(
            tuple(values[table.DEFAULT_PACKAGE_SUFFIXES]),
            values[table.CODE_PACKAGE_LIMIT],
            values[table.REMOTE_PLATFORM].lower(),
        )


class KubernetesSettings(NamedTuple):
    """How the cluster is reached, and how long jobs wait and stay. What a step asks for is in its request.

    Attributes
    ----------
    context : str or None
        METAFLOW_KUBERNETES_CONTEXT: of the kubeconfig, instead of its current one.
    namespace : str
        METAFLOW_KUBERNETES_NAMESPACE: where jobs are looked for if not all namespaces may be.
    pending_deadline : float or None
        METAFLOW_KUBERNETES_PENDING_DEADLINE: seconds that a job may wait to be started.
    ttl : int
        METAFLOW_KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED: seconds that the cluster keeps a finished job.
    """

    context: str | None
    namespace: str
    pending_deadline: float | None
    ttl: int

    @classmethod
    def of(cls, values: Values) -> KubernetesSettings:
        return cls(
            values[table.KUBERNETES_CONTEXT],
            values[table.KUBERNETES_NAMESPACE],
            values[table.KUBERNETES_PENDING_DEADLINE],
            values[table.KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED],
        )


class BatchSettings(NamedTuple):
    """How AWS Batch is reached, and how long jobs wait. What a step asks for is in its request.

    Attributes
    ----------
    client : dict of str to object
        METAFLOW_BATCH_CLIENT_PARAMS: parameters of boto3's clients, such as ``region_name``.
    pending_deadline : float or None
        METAFLOW_BATCH_PENDING_DEADLINE: seconds that a job may wait for a machine.
    queue : str or None
        METAFLOW_BATCH_JOB_QUEUE: where jobs are looked for if the queues cannot be listed.
    emits_tags : bool
        METAFLOW_BATCH_EMIT_TAGS: whether jobs get tags that say whose they are.
    """

    client: dict[str, object]
    pending_deadline: float | None
    queue: str | None
    emits_tags: bool

    @classmethod
    def of(cls, values: Values) -> BatchSettings:
        return cls(
            values[table.BATCH_CLIENT_PARAMS],
            values[table.BATCH_PENDING_DEADLINE],
            values[table.BATCH_JOB_QUEUE],
            values[table.BATCH_EMIT_TAGS],
        )


class ServiceSettings(NamedTuple):
    """How the metadata service is called.

    Attributes
    ----------
    url : str or None
        METAFLOW_SERVICE_URL: its address.
    internal_url : str or None
        METAFLOW_SERVICE_INTERNAL_URL: its address for tasks in containers, if it is another.
    headers : dict of str to object
        METAFLOW_SERVICE_HEADERS: sent with every call.
    auth_key : str or None
        METAFLOW_SERVICE_AUTH_KEY: sent as the header ``x-api-key``.
    retries : int
        METAFLOW_SERVICE_RETRY_COUNT: how often a call that reads is made.
    patience : float
        METAFLOW_SERVICE_PATIENCE: seconds without an answer after which a run that writes gives up.
    page_size : int
        METAFLOW_SERVICE_PAGE_SIZE: most documents that a call asks for.
    """

    url: str | None
    internal_url: str | None = None
    headers: Mapping[str, object] = {}
    auth_key: str | None = None
    retries: int = 5
    patience: float = 1800.0
    page_size: int = 500

    @property
    def required_url(self) -> str:
        """The address.

        Raises
        ------
        SettingsError
            There is none.
        """
        if self.url is None:
            raise SettingsError(
                "No metadata service is configured.",
                hint="METAFLOW_SERVICE_URL is its address; `metaflow serve` starts one, `--metadata local` needs none",
            )
        return self.url

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of every call."""
        key = {"x-api-key": self.auth_key} if self.auth_key else {}
        return {**{name: str(value) for name, value in self.headers.items()}, **key}

    @classmethod
    def of(cls, values: Values) -> ServiceSettings:
        return cls(
            values[table.SERVICE_URL],
            values[table.SERVICE_INTERNAL_URL],
            values[table.SERVICE_HEADERS],
            values[table.SERVICE_AUTH_KEY],
            values[table.SERVICE_RETRY_COUNT],
            values[table.SERVICE_PATIENCE],
            values[table.SERVICE_PAGE_SIZE],
        )
