"""The one table of METAFLOW_* names: those that are read, and those of Metaflow 2.19.39 that have no effect here.

A row says what values its name accepts, what holds if it is not set, whether tasks elsewhere need it too, and a
sentence for people, which the guide prints (``docs/guide/settings.md``). Code reads a setting by its row,
``values[table.PREFLIGHT]``, and gets the typed value. Where values come from is not known here. Start at `Setting`.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from metaflow.settings.kinds import (
    SWITCH,
    URL,
    Kind,
    cores,
    is_absolute,
    json_object,
    limit,
    megabytes,
    one_of,
    pairs,
    quantity,
    seconds,
    string,
    strings,
    switch_or,
    whole,
    words,
)
from metaflow.settings.kubernetes_kinds import (
    TOLERATIONS,
    is_domain,
    is_domain_part,
    is_label,
    is_label_key,
    object_name,
)

PREFIX = "METAFLOW_"

T_co = TypeVar("T_co", covariant=True)


class Setting(NamedTuple, Generic[T_co]):
    """A name that is read.

    Attributes
    ----------
    name : str
        With the prefix.
    kind : Kind
        What it accepts.
    default : object
        Its value if it is not set.
    sentence : str
        What it says, for people.
    travels : bool
        Whether a task in a container elsewhere gets it too.
    is_secret : bool
        Whether its value is hidden when settings are shown.
    """

    name: str
    kind: Kind[T_co]
    default: T_co
    sentence: str
    travels: bool = False
    is_secret: bool = False


class Unused(NamedTuple):
    """A name of Metaflow 2.19.39 that has no effect here.

    Attributes
    ----------
    name : str
        With the prefix.
    reason : str
        What is said about it when a command starts; nothing if it is empty: whoever sets it misses nothing, or is told
        by the command or decorator that would need it.
    harmless : tuple of str
        Values about which nothing is said, beside those that switch it off.
    travels, is_secret : bool
        As in `Setting`.
    """

    name: str
    reason: str = ""
    harmless: tuple[str, ...] = ()
    travels: bool = False
    is_secret: bool = False


SETTINGS: dict[str, Setting[object]] = {}
"""Every name that is read."""

UNUSED: dict[str, Unused] = {}
"""The names of Metaflow 2.19.39 that are not."""

T = TypeVar("T")


def _setting(
    name: str, kind: Kind[T], default: T, sentence: str, *, travels: bool = False, is_secret: bool = False
) -> Setting[T]:
    row = Setting(PREFIX + name, kind, default, sentence, travels, is_secret)
    SETTINGS[row.name] = row
    return row


def _unset(
    name: str, kind: Kind[T], sentence: str, *, travels: bool = False, is_secret: bool = False
) -> Setting[T | None]:
    """Add a row without a default."""
    row = Setting[T | None](PREFIX + name, kind, None, sentence, travels, is_secret)
    SETTINGS[row.name] = row
    return row


def _unused(names: str, reason: str = "", *, harmless: tuple[str, ...] = (), travels: bool = False) -> None:
    for name in names.split():
        is_secret = name.endswith(("_KEY", "_AUTH", "_HEADERS"))
        UNUSED[PREFIX + name] = Unused(PREFIX + name, reason, harmless, travels, is_secret)


# --- who and where ---------------------------------------------------------------------------------------------------

USER = _unset("USER", string("a user name"), "Who runs the flow; if not set, the value of SUDO_USER, USERNAME or USER.")
HOME = _setting(
    "HOME",
    string("a directory"),
    "~/.metaflowconfig",
    "Directory with the configuration files; read from the environment only.",
)
PROFILE = _unset(
    "PROFILE",
    string("the name of a profile"),
    "Name of the configuration file to read, `config_<profile>.json`; read from the environment only.",
)
TEMPDIR = _unset("TEMPDIR", string("a directory"), "Directory for temporary files; if not set, the working directory.")
DEFAULT_METADATA = _setting(
    "DEFAULT_METADATA", string("a name"), "local", "Where metadata about runs is kept: `local` or `service`."
)
SERVICE_URL = _unset("SERVICE_URL", URL, "URL of the metadata service.", travels=True)
SERVICE_INTERNAL_URL = _unset(
    "SERVICE_INTERNAL_URL", URL, "URL of the metadata service for tasks in containers; if not set, the same."
)
SERVICE_HEADERS: Setting[dict[str, object]] = _setting(
    "SERVICE_HEADERS",
    json_object("headers", '{"Authorization": "Bearer …"}'),
    {},
    "Headers that are sent with every call of the metadata service.",
    travels=True,
    is_secret=True,
)
SERVICE_AUTH_KEY = _unset(
    "SERVICE_AUTH_KEY",
    string("a key"),
    "Key for the metadata service, sent as the header `x-api-key`.",
    travels=True,
    is_secret=True,
)
SERVICE_RETRY_COUNT = _setting(
    "SERVICE_RETRY_COUNT",
    whole("calls", 1),
    5,
    "How often a call that reads the metadata service is made until it is answered.",
    travels=True,
)
SERVICE_PATIENCE = _setting(
    "SERVICE_PATIENCE",
    seconds(),
    1800.0,
    "Seconds without any answer of the metadata service after which a run ends; until then what it records is kept.",
)
SERVICE_PAGE_SIZE = _setting(
    "SERVICE_PAGE_SIZE",
    whole("documents", 1, 500),
    500,
    "Most documents that a call of the metadata service asks for, where the service has pages.",
    travels=True,
)
DEFAULT_DATASTORE = _setting(
    "DEFAULT_DATASTORE", string("a name"), "local", "Where data is kept: `local`, `s3`, `gs` or `azure`."
)
DEFAULT_ENVIRONMENT = _setting(
    "DEFAULT_ENVIRONMENT", string("a name"), "local", "How tasks get their libraries: `local`."
)
ENVIRONMENT = _unset(
    "ENVIRONMENT",
    string("a name"),
    "Overrides METAFLOW_DEFAULT_ENVIRONMENT; read from the environment only.",
)
LOCAL_ISOLATION = _unset(
    "LOCAL_ISOLATION",
    one_of("fork", "exec"),
    "How the processes of local tasks are started, `fork` or `exec`; if not set, `fork` on Linux and `exec` elsewhere.",
)
LOCAL_PRELOAD: Setting[list[str]] = _setting(
    "LOCAL_PRELOAD",
    strings("modules", lambda name: all(part.isidentifier() for part in name.split("."))),
    [],
    "More modules to import once for all local tasks, separated by commas, beside those that are known to be safe. "
    "You answer for them: whatever such a module computes when it is imported, random seeds included, is the same in "
    "all tasks, and it does not see variables that a step sets before it imports it.",
)

# --- data ------------------------------------------------------------------------------------------------------------

DATASTORE_SYSROOT_LOCAL = _unset(
    "DATASTORE_SYSROOT_LOCAL", string("a directory"), "Directory that contains the local datastore, `.metaflow`."
)
DATASTORE_SYSROOT_SPIN = _unset(
    "DATASTORE_SYSROOT_SPIN",
    string("a directory"),
    "Directory that contains the results of `spin --persist`, `.metaflow_spin`.",
)
DATASTORE_SYSROOT_S3 = _unset(
    "DATASTORE_SYSROOT_S3",
    string("a place in S3", example="s3://BUCKET/PREFIX"),
    "Where data is kept in S3: `s3://BUCKET/PREFIX`.",
    travels=True,
)
DATASTORE_SYSROOT_GS = _unset(
    "DATASTORE_SYSROOT_GS",
    string("a place in Google Cloud Storage", example="gs://BUCKET/PREFIX"),
    "Where data is kept in Google Cloud Storage: `gs://BUCKET/PREFIX`.",
    travels=True,
)
DATASTORE_SYSROOT_AZURE = _unset(
    "DATASTORE_SYSROOT_AZURE",
    string("a place in Azure Blob Storage", example="CONTAINER/PREFIX"),
    "Where data is kept in Azure Blob Storage: `CONTAINER/PREFIX`.",
    travels=True,
)
DATATOOLS_SUFFIX = _setting(
    "DATATOOLS_SUFFIX",
    string("the name of a directory"),
    "data",
    "Directory below a datastore's root for included files and the data of `metaflow.S3`.",
    travels=True,
)
DATATOOLS_LOCALROOT = _unset("DATATOOLS_LOCALROOT", string("a directory"), "Where included files are kept locally.")
DATATOOLS_S3ROOT = _unset(
    "DATATOOLS_S3ROOT",
    string("a place in S3", example="s3://BUCKET/PREFIX"),
    "Where included files and the data of `S3(run=…)` are kept in S3.",
    travels=True,
)
DATATOOLS_GSROOT = _unset(
    "DATATOOLS_GSROOT",
    string("a place in Google Cloud Storage", example="gs://BUCKET/PREFIX"),
    "Where included files are kept in Google Cloud Storage.",
    travels=True,
)
DATATOOLS_AZUREROOT = _unset(
    "DATATOOLS_AZUREROOT",
    string("a place in Azure Blob Storage", example="CONTAINER/PREFIX"),
    "Where included files are kept in Azure Blob Storage.",
    travels=True,
)
DATATOOLS_CLIENT_PARAMS: Setting[dict[str, object]] = _setting(
    "DATATOOLS_CLIENT_PARAMS",
    json_object("parameters of boto3's client", '{"region_name": "eu-west-1"}'),
    {},
    "Parameters of boto3's client for `metaflow.S3`, as a JSON object.",
    travels=True,
    is_secret=True,
)
DATATOOLS_SESSION_VARS: Setting[dict[str, object]] = _setting(
    "DATATOOLS_SESSION_VARS",
    json_object("parameters of boto3's session", '{"profile_name": "research"}'),
    {},
    "Parameters of boto3's session for `metaflow.S3`, as a JSON object.",
    travels=True,
    is_secret=True,
)
S3_ENDPOINT_URL = _unset("S3_ENDPOINT_URL", URL, "URL of an S3 service other than that of AWS.", travels=True)
S3_VERIFY_CERTIFICATE: Setting[bool | str] = _setting(
    "S3_VERIFY_CERTIFICATE",
    switch_or(string("the path of a file of certificates")),
    True,
    "Whether to check the certificate of the S3 service, or the path of a file with the certificates to trust, which "
    "go along with remote tasks.",
    travels=True,
)
S3_SERVER_SIDE_ENCRYPTION = _unset(
    "S3_SERVER_SIDE_ENCRYPTION",
    string("the name of an encryption", example="aws:kms"),
    "How S3 encrypts objects, such as `AES256` or `aws:kms`.",
    travels=True,
)
S3_RETRY_COUNT = _unset(
    "S3_RETRY_COUNT",
    whole("retries", 0),
    "Number of retries of a request to an object store after a transient failure; if not set, it is retried for two "
    "minutes.",
    travels=True,
)
S3_TRANSIENT_RETRY_COUNT = _unset(
    "S3_TRANSIENT_RETRY_COUNT",
    whole("retries", 0),
    "Overrides METAFLOW_S3_RETRY_COUNT: here all failures that are retried are transient.",
    travels=True,
)
S3_CLIENT_RETRY_CONFIG: Setting[dict[str, object]] = _setting(
    "S3_CLIENT_RETRY_CONFIG",
    json_object("a retry configuration of boto3", '{"max_attempts": 10}'),
    {},
    "Retry configuration of boto3, as a JSON object; only `max_attempts` is used, and only if neither of the retry "
    "counts is set.",
    travels=True,
)
S3_WORKER_COUNT = _setting(
    "S3_WORKER_COUNT",
    whole("requests", 1),
    32,
    "Number of concurrent requests of `metaflow.S3`, at most 256.",
    travels=True,
)
AZURE_STORAGE_BLOB_SERVICE_ENDPOINT = _unset(
    "AZURE_STORAGE_BLOB_SERVICE_ENDPOINT",
    URL,
    "URL of Azure Blob Storage: `https://ACCOUNT.blob.core.windows.net`.",
    travels=True,
)

# --- runs ------------------------------------------------------------------------------------------------------------

FLOW_CONFIG: Setting[dict[str, object]] = _setting(
    "FLOW_CONFIG",
    json_object("files of configs by name", '{"config": "production.json"}'),
    {},
    "Files that configs of the flow are read from, by name of the config; --config takes precedence.",
)
FLOW_CONFIG_VALUE: Setting[dict[str, object]] = _setting(
    "FLOW_CONFIG_VALUE",
    json_object("values of configs by name", '{"config": {"size": 3}}'),
    {},
    "Values of configs of the flow, by name of the config; --config-value takes precedence.",
)
DEFAULT_DECOSPECS: Setting[tuple[str, ...]] = _setting(
    "DEFAULT_DECOSPECS",
    words("decorators as `--with` takes them", "retry:times=3 kubernetes"),
    (),
    "Decorators for all steps of all runs, as for `--with`, separated by spaces; those in the flow and on the command "
    "line take precedence.",
)
NAMESPACED_EVENTS_PREFIX = _setting(
    "NAMESPACED_EVENTS_PREFIX",
    string("the beginning of a name"),
    "mfns",
    "What names that `namespaced_event_name` makes begin with.",
    travels=True,
)
SPIN_ALLOWED_DECORATORS: Setting[list[str]] = _setting(
    "SPIN_ALLOWED_DECORATORS",
    strings("names of decorators", str.isidentifier),
    ["card", "conda", "conda_base", "environment", "project", "pypi", "pypi_base", "secrets", "timeout"],
    "Decorators that `spin` applies to a step, separated by commas; users' own decorators it always applies.",
)
SPIN_DISALLOWED_DECORATORS: Setting[list[str]] = _setting(
    "SPIN_DISALLOWED_DECORATORS",
    strings("names of decorators", str.isidentifier),
    ["parallel"],
    "Decorators of steps that `spin` refuses to run, separated by commas.",
)
SPIN_PERSIST = _setting("SPIN_PERSIST", SWITCH, False, "Whether `spin` keeps results, as with `--persist`.")
PREFLIGHT = _setting(
    "PREFLIGHT",
    one_of("off", "warn", "fail"),
    "warn",
    "What to do before a run about steps that request what their backend does not have: `off`: do not check; `warn`: "
    "refuse what can never be scheduled and warn about the rest, since clusters grow; `fail`: refuse both.",
)
MAX_ATTEMPTS = _setting(
    "MAX_ATTEMPTS", whole("attempts", 1), 101, "Largest number of attempts that `@retry` may ask for."
)
PREEMPTION_RETRIES = _setting(
    "PREEMPTION_RETRIES",
    whole("retries", 0),
    0,
    "Number of retries after a task's machine was reclaimed, in addition to those of `@retry`.",
)
RESOURCES_RULE = _setting(
    "RESOURCES_RULE",
    one_of("explicit", "maximum"),
    "explicit",
    "Which value counts where `@resources` and the decorator of a backend both have one: `explicit`: one that is "
    "written in the flow or after `--with`, of two such the larger one, else the backend's default; `maximum`: always "
    "the larger one, defaults included, as in Metaflow.",
)
LOCAL_GRACE = _setting(
    "LOCAL_GRACE",
    whole("seconds", 0),
    5,
    "Number of seconds that a local step has, after Ctrl-C or when its run ends early, to handle its KeyboardInterrupt,"
    " before it gets SIGTERM and, a second later, SIGKILL.",
)
REMOTE_GRACE = _setting(
    "REMOTE_GRACE",
    whole("seconds", 0, 25),
    15,
    "The same for a step in a container that is asked to end. A step that handles SIGTERM gets that at once instead of "
    "the KeyboardInterrupt. Containers have 30 seconds in all.",
)
DEFAULT_PACKAGE_SUFFIXES = _setting(
    "DEFAULT_PACKAGE_SUFFIXES",
    strings("file endings"),
    [".py", ".R", ".RDS"],
    "Suffixes of the files in the code package, separated by commas.",
)
CODE_PACKAGE_LIMIT = _setting(
    "CODE_PACKAGE_LIMIT", megabytes(), 100.0, "Largest total size in MB of the files in the code package."
)
_PLATFORMS = ("amd64", "arm64", "x86_64", "aarch64")


def _is_platform(value: str) -> bool:
    system, _, rest = value.lower().partition("/")
    return system == "linux" and rest.removesuffix("/musl") in _PLATFORMS


REMOTE_PLATFORM = _setting(
    "REMOTE_PLATFORM",
    string("linux/amd64 or linux/arm64, with /musl for Alpine", _is_platform, "linux/arm64"),
    "linux/amd64",
    "Platform of the container images: `linux/amd64` or `linux/arm64`, followed by `/musl` for Alpine.",
)

# --- containers ------------------------------------------------------------------------------------------------------

IMAGE = string("the name of an image", lambda name: name.isprintable() and " " not in name, "python:3.12")
_REGISTRY = string("the name of a registry", lambda name: name.isprintable() and " " not in name, "ghcr.io/team")

DEFAULT_CONTAINER_IMAGE = _unset(
    "DEFAULT_CONTAINER_IMAGE",
    IMAGE,
    "Container image; if not set, `python:` with the version of the Python that launches the run.",
)
DEFAULT_CONTAINER_REGISTRY = _unset(
    "DEFAULT_CONTAINER_REGISTRY", _REGISTRY, "Registry for images whose name does not include one."
)
KUBERNETES_CONTEXT = _unset(
    "KUBERNETES_CONTEXT", string("the name of a context"), "Context of the kubeconfig; if not set, the current one."
)
KUBERNETES_NAMESPACE = _setting(
    "KUBERNETES_NAMESPACE", object_name("namespace", is_domain_part), "default", "Namespace of the pods."
)
KUBERNETES_SERVICE_ACCOUNT = _unset(
    "KUBERNETES_SERVICE_ACCOUNT", object_name("service account"), "Service account of the pods."
)
KUBERNETES_CONTAINER_IMAGE = _unset(
    "KUBERNETES_CONTAINER_IMAGE", IMAGE, "Container image of the pods; overrides METAFLOW_DEFAULT_CONTAINER_IMAGE."
)
KUBERNETES_CONTAINER_REGISTRY = _unset(
    "KUBERNETES_CONTAINER_REGISTRY",
    _REGISTRY,
    "Registry for the images of pods; overrides METAFLOW_DEFAULT_CONTAINER_REGISTRY.",
)
KUBERNETES_IMAGE_PULL_POLICY = _unset(
    "KUBERNETES_IMAGE_PULL_POLICY",
    one_of("Always", "IfNotPresent", "Never"),
    "When the images of pods are pulled: `Always`, `IfNotPresent` or `Never`.",
)
KUBERNETES_IMAGE_PULL_SECRETS = _unset(
    "KUBERNETES_IMAGE_PULL_SECRETS",
    strings("names of secrets", is_domain),
    "Secrets for pulling the images of pods, separated by commas.",
)
KUBERNETES_CPU = _unset("KUBERNETES_CPU", cores(), "Number of cores of a pod; if not set, 1.")
KUBERNETES_MEMORY = _unset("KUBERNETES_MEMORY", quantity("MB", 1), "Memory of a pod in MB; if not set, 4096.")
KUBERNETES_MEMORY_LIMIT = _unset(
    "KUBERNETES_MEMORY_LIMIT",
    limit("MB"),
    "Most memory that a pod may use, in MB, or `request`: as much as it requests; if not set, as much as its node has.",
)
KUBERNETES_DISK = _unset("KUBERNETES_DISK", quantity("MB", 1), "Disk of a pod in MB; if not set, 10240.")
KUBERNETES_SHARED_MEMORY = _unset(
    "KUBERNETES_SHARED_MEMORY", quantity("MiB", 0), "Size of `/dev/shm` in a pod, in MiB."
)
KUBERNETES_GPU_VENDOR = _unset(
    "KUBERNETES_GPU_VENDOR",
    string("a vendor, as in the resource nvidia.com/gpu", is_domain_part),
    "Vendor of the GPUs, as in the resource `nvidia.com/gpu`; if not set, `nvidia`.",
)
KUBERNETES_QOS = _unset(
    "KUBERNETES_QOS",
    one_of("Burstable", "Guaranteed", "BestEffort"),
    "Quality of service class of the pods: `Burstable`, `Guaranteed` or `BestEffort`.",
)
KUBERNETES_PORT = _unset(
    "KUBERNETES_PORT", whole("a port", 1, 65535), "Port that the containers expose, from 1 to 65535."
)
KUBERNETES_NODE_SELECTOR = _unset(
    "KUBERNETES_NODE_SELECTOR",
    pairs("labels of nodes", is_label_key, is_label),
    "Labels that a node must have: `a=b,c=d`.",
)
KUBERNETES_TOLERATIONS = _unset("KUBERNETES_TOLERATIONS", TOLERATIONS, "Taints that the pods tolerate, as a JSON list.")
KUBERNETES_SECRETS = _unset(
    "KUBERNETES_SECRETS",
    strings("names of secrets", is_domain),
    "Secrets whose entries become environment variables, in addition to those of `@kubernetes`.",
)
KUBERNETES_LABELS = _unset(
    "KUBERNETES_LABELS",
    pairs("labels", is_label_key, is_label),
    "Labels of the pods, in addition to those of `@kubernetes`.",
)
KUBERNETES_ANNOTATIONS = _unset(
    "KUBERNETES_ANNOTATIONS",
    pairs("annotations", is_label_key),
    "Annotations of the pods, in addition to those of `@kubernetes`.",
)
KUBERNETES_PERSISTENT_VOLUME_CLAIMS = _unset(
    "KUBERNETES_PERSISTENT_VOLUME_CLAIMS",
    pairs("claims and the absolute paths where they are mounted", is_domain, is_absolute),
    "Persistent volume claims and where they are mounted: `claim=/path`.",
)
KUBERNETES_PENDING_DEADLINE = _unset(
    "KUBERNETES_PENDING_DEADLINE", seconds(), "Seconds that a pod may wait to start; if not set, without limit."
)
KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED = _setting(
    "KUBERNETES_JOB_TTL_SECONDS_AFTER_FINISHED",
    whole("seconds", 1),
    7 * 24 * 3600,
    "Seconds that the cluster keeps a finished job.",
)
BATCH_JOB_QUEUE = _unset("BATCH_JOB_QUEUE", string("the name or ARN of a job queue"), "Job queue of AWS Batch.")
BATCH_CONTAINER_IMAGE = _unset(
    "BATCH_CONTAINER_IMAGE", IMAGE, "Container image of Batch jobs; overrides METAFLOW_DEFAULT_CONTAINER_IMAGE."
)
BATCH_CONTAINER_REGISTRY = _unset(
    "BATCH_CONTAINER_REGISTRY",
    _REGISTRY,
    "Registry for the images of Batch jobs; overrides METAFLOW_DEFAULT_CONTAINER_REGISTRY.",
)
BATCH_DEFAULT_TAGS = _unset(
    "BATCH_DEFAULT_TAGS", pairs("tags"), "Tags of Batch jobs, in addition to those of `@batch`."
)
BATCH_EMIT_TAGS = _setting(
    "BATCH_EMIT_TAGS",
    SWITCH,
    False,
    "Whether Batch jobs get tags with flow, run, step and user, in addition to those of `@batch` and "
    "METAFLOW_BATCH_DEFAULT_TAGS; this takes the right batch:TagResource.",
)
BATCH_CLIENT_PARAMS: Setting[dict[str, object]] = _setting(
    "BATCH_CLIENT_PARAMS",
    json_object("parameters of boto3's clients", '{"region_name": "eu-west-1"}'),
    {},
    "Parameters of boto3's clients for AWS Batch, as a JSON object.",
    is_secret=True,
)
BATCH_PENDING_DEADLINE = _unset(
    "BATCH_PENDING_DEADLINE", seconds(), "Seconds that a Batch job may wait for a machine; if not set, without limit."
)
ECS_S3_ACCESS_IAM_ROLE = _unset(
    "ECS_S3_ACCESS_IAM_ROLE", string("the ARN of a role"), "Role of the containers of Batch jobs."
)
ECS_FARGATE_EXECUTION_ROLE = _unset(
    "ECS_FARGATE_EXECUTION_ROLE", string("the ARN of a role"), "Role with which Fargate starts Batch jobs."
)

# --- the server ------------------------------------------------------------------------------------------------------

SERVE_TOKEN = _unset(
    "SERVE_TOKEN",
    string("a token of at least 16 characters"),
    "Token that `metaflow serve` lets requests in with.",
    is_secret=True,
)

# --- options of commands ---------------------------------------------------------------------------------------------

ENVIRONMENT_ONLY = frozenset({HOME.name, PROFILE.name, ENVIRONMENT.name})
"""Settings that a configuration file cannot hold."""

OPTIONS = {
    PREFIX + name: f"--{name.lower().replace('_', '-')}"
    for name in ("QUIET", "MODE", "METADATA", "DATASTORE", "DATASTORE_ROOT", "PACKAGE_SUFFIXES", "WITHOUT", "PYLINT")
} | {PREFIX + "DECOSPECS": "--with"}
"""Variables that stand for an option before the command; they count in the environment only."""

FAMILIES = tuple(PREFIX + name for name in ("RUN_", "RESUME_", "SPIN_", "STEP_", "DEBUG_"))
"""Beginnings after which any name may follow: options of commands, and Metaflow's own switches for debugging."""

# --- what has no effect ----------------------------------------------------------------------------------------------

# Of areas that this version does not have: their commands and decorators say so when they are asked for.
_unused(
    """
    AIRFLOW_KUBERNETES_CONN_ID AIRFLOW_KUBERNETES_KUBECONFIG_CONTEXT AIRFLOW_KUBERNETES_KUBECONFIG_FILE
    AIRFLOW_KUBERNETES_STARTUP_TIMEOUT_SECONDS
    ARGO_EVENTS_EVENT ARGO_EVENTS_EVENT_BUS ARGO_EVENTS_EVENT_SOURCE ARGO_EVENTS_INTERNAL_WEBHOOK_URL
    ARGO_EVENTS_SENSOR_NAMESPACE ARGO_EVENTS_SERVICE_ACCOUNT ARGO_EVENTS_WEBHOOK_AUTH ARGO_EVENTS_WEBHOOK_URL
    ARGO_WORKFLOWS_CAPTURE_ERROR_SCRIPT ARGO_WORKFLOWS_ENV_VARS_TO_SKIP ARGO_WORKFLOWS_KUBERNETES_SECRETS
    ARGO_WORKFLOWS_UI_URL ARGO_WORKFLOWS_USE_SCHEDULES
    AWS_SECRETS_MANAGER_DEFAULT_REGION AWS_SECRETS_MANAGER_DEFAULT_ROLE AZURE_KEY_VAULT_PREFIX
    DEFAULT_SECRETS_BACKEND_TYPE DEFAULT_SECRETS_ROLE GCP_SECRET_MANAGER_PREFIX
    CONDA_DEPENDENCY_RESOLVER CONDA_PACKAGE_AZUREROOT CONDA_PACKAGE_GSROOT CONDA_PACKAGE_S3ROOT CONDA_USE_FAST_INIT
    FORCE_REBUILD_ENVIRONMENTS KUBERNETES_CONDA_ARCH
    DEFAULT_FROM_DEPLOYMENT_IMPL EVENTS_SFN_ACCESS_IAM_ROLE KUBEFLOW_PIPELINES_URL KUBERNETES_JOBSET_GROUP
    KUBERNETES_JOBSET_VERSION PRODUCTION_TOKEN RUNTIME_CARD_RENDER_INTERVAL
    SFN_COMPRESS_STATE_MACHINE SFN_DYNAMO_DB_TABLE SFN_EXECUTION_LOG_GROUP_ARN SFN_IAM_ROLE
    SFN_S3_DISTRIBUTED_MAP_OUTPUT_PATH SFN_STATE_MACHINE_PREFIX UI_URL
    """
)
_unused("CARD_AZUREROOT CARD_GSROOT CARD_LOCALROOT CARD_NO_WARNING CARD_S3ROOT", travels=True)
_unused("SERVICE_VERSION_CHECK", travels=True)

# Internal to Metaflow, or about something that is done in another way here and needs no setting.
_unused(
    """
    ARTIFACT_LOCALROOT CLICK_API_PROCESS_CONFIG CODE_DS CODE_METADATA CODE_SHA CODE_URL CONTACT_INFO
    ESCAPE_HATCH_WARNING EXTRACTED_ROOT HELP INCLUDE_FOREACH_STACK KUBERNETES_FETCH_EC2_METADATA LOCAL_CONFIG_FILE
    MAXIMUM_FOREACH_VALUE_CHARS OTEL_SERVICE_NAME PROFILE_FROM_START RUNTIME_NAME S3_LOG_TRANSIENT_RETRIES
    S3_TEST_RETRYABLE_FAILURES
    """
)
_unused(
    """
    AZURE_STORAGE_WORKLOAD_TYPE CLIENT_CACHE_MAX_FLOWDATASTORE_COUNT CLIENT_CACHE_MAX_SIZE
    CLIENT_CACHE_MAX_TASKDATASTORE_COUNT CLIENT_CACHE_PATH GS_STORAGE_WORKLOAD_TYPE
    """,
    travels=True,
)
_unused(
    """
    ENABLED_AWS_CLIENT_PROVIDER ENABLED_AZURE_CLIENT_PROVIDER ENABLED_CLI ENABLED_DATACLIENT ENABLED_DATASTORE
    ENABLED_DEPLOYER_IMPL_PROVIDER ENABLED_ENVIRONMENT ENABLED_FLOW_DECORATOR ENABLED_GCP_CLIENT_PROVIDER
    ENABLED_LOGGING_SIDECAR ENABLED_METADATA_PROVIDER ENABLED_MONITOR_SIDECAR ENABLED_RUNNER_CLI
    ENABLED_SECRETS_PROVIDER ENABLED_SIDECAR ENABLED_STEP_DECORATOR ENABLED_TL_PLUGIN EXTENSIONS_SEARCH_DIRS
    """,
    "extensions of Metaflow are not supported",
)

# What somebody who sets it would miss.
_unused(
    "DEFAULT_AWS_CLIENT_PROVIDER DEFAULT_AZURE_CLIENT_PROVIDER DEFAULT_GCP_CLIENT_PROVIDER",
    "credentials are those that the cloud's SDK finds",
    harmless=("boto3", "azure-default", "gcp-default"),
    travels=True,
)
_unused(
    "DEFAULT_EVENT_LOGGER DEFAULT_MONITOR EVENT_LOGGER MONITOR",
    "event loggers and monitors are not supported",
    harmless=("nullSidecarLogger", "nullSidecarMonitor"),
)
_unused("CONSOLE_TRACE_ENABLED OTEL_ENDPOINT ZIPKIN_ENDPOINT", "tracing is not supported")
_unused(
    "AWS_SANDBOX_API_KEY AWS_SANDBOX_ENABLED AWS_SANDBOX_INTERNAL_SERVICE_URL AWS_SANDBOX_REGION "
    "KUBERNETES_SANDBOX_INIT_SCRIPT",
    "hosted sandboxes are not supported",
)
_unused(
    "DEFAULT_RUNTIME_LIMIT",
    "only @timeout limits the time of a task; METAFLOW_DEFAULT_DECOSPECS=timeout:hours=… sets it for all steps",
)
_unused("FEAT_ALWAYS_UPLOAD_CODE_PACKAGE", "the code is packaged only for runs with steps in containers")
_unused("KUBERNETES_JOB_TERMINATE_MODE", "jobs are ended by deleting them")

NAMES = frozenset({*SETTINGS, *UNUSED, *OPTIONS})
"""Every name with a meaning, here or in Metaflow 2.19.39."""


def row_of(name: str) -> Setting[object] | Unused | None:
    """Return the row of a name, if it has one."""
    return SETTINGS.get(name) or UNUSED.get(name)
