"""What every command works with: a flow, its options, the settings in force, and where data and facts are kept.

A `Workspace` is a value: other options make another one (`with_options`). Everything but the flow and the settings is
made when it is first asked for, so that a task pays only for what it uses.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from metaflow import registry, settings
from metaflow.app.configs import Given, LoadedConfigs, read_configs, stored_configs
from metaflow.compute.command import FlowOptions
from metaflow.exception import CommandException, MetaflowException, SettingsError
from metaflow.flow import plan
from metaflow.flow.config import Declaration, configs_of
from metaflow.flow.draft import Draft
from metaflow.flow.parameters import Parameter, ParameterContext
from metaflow.flow.user_decorators import step_decorator
from metaflow.flow.with_option import join_with, parse_with, parse_without
from metaflow.settings import table
from metaflow.settings.groups import ConfigSettings
from metaflow.store.artifacts import Artifacts, read_parameters
from metaflow.store.blobs import Blobs

if TYPE_CHECKING:
    from metaflow.flow.plan import FlowPlan
    from metaflow.flow.spec import FlowSpec
    from metaflow.metadata_provider.protocol import Metadata
    from metaflow.settings import Settings
    from metaflow.store.protocol import Storage


_AS_BY_DEFAULT = FlowOptions()

_CONFIGS = ("config", "config_value")
_DEPENDS = {"configs": _CONFIGS, "draft": _CONFIGS, "plan": (*_CONFIGS, "decospecs", "without")}
"""What a workspace makes when it is first asked for, and the options that it depends on."""
_NONE: Mapping[str, Any] = MappingProxyType({})


class Workspace:
    """One flow, and where its runs are kept.

    Parameters
    ----------
    flow_class : type of FlowSpec
        The user's flow.
    options : FlowOptions
        As given; what is not given comes from the settings.
    script : str, optional
        The flow file as people call it; tasks see it in ``sys.argv[0]``. By default the file of the class's module.
    path : str, optional
        The flow file's absolute path, which tasks are started from.
    module : str, optional
        Its dotted name, if it was started by that, as ``python -m`` does.
    settings : Settings, optional
        Those of the environment by default.
    local_root : str, optional
        Directory of local metadata, if it is not that of the settings.
    initial : mapping of str to object
        What the flow's own ``__init__`` has assigned on self; every task begins with it.
    storage : Storage, optional
        Where all bytes are kept, if not where the options say.
    """

    def __init__(
        self,
        flow_class: type[FlowSpec],
        options: FlowOptions = _AS_BY_DEFAULT,
        *,
        script: str | None = None,
        path: str | None = None,
        module: str = "",
        settings: Settings | None = None,
        local_root: str | None = None,
        initial: Mapping[str, Any] = _NONE,
        storage: Storage | None = None,
    ) -> None:
        self.flow_class = flow_class
        self.name = flow_class.__name__
        self.options = options
        self.path = path or _file_of(flow_class)
        self.script = script or self.path
        self.module = module
        self.settings = settings or _settings()
        self.local_root = local_root or self.settings.local_root
        self.initial = initial
        self._given_storage = storage

    def with_options(self, **changes: Any) -> Workspace:
        """Return the same flow with other options; what was read and planned stays if it does not depend on them."""
        other = self._anew(self.options._replace(**changes))
        for name, options in _DEPENDS.items():
            if name in self.__dict__ and not any(option in changes for option in options):
                other.__dict__[name] = self.__dict__[name]
        return other

    def with_plan(self, plan: FlowPlan) -> Workspace:
        """Return the same flow with another plan."""
        other = self.with_options()
        other.__dict__["plan"] = plan
        return other

    def has_run(self, run: str) -> bool:
        """Tell whether a run is in the storage."""
        return read_parameters(self.storage, self.name, run) is not None

    def with_configs_of(self, run: str, storage: Storage | None = None) -> Workspace:
        """Return the same flow with the configs of a run; those that the flow has got since are read as for a new one.

        Parameters
        ----------
        run : str
            Its id.
        storage : Storage, optional
            Where it is kept, if it is elsewhere than what this workspace works with.

        Raises
        ------
        MetaflowException
            One of the configs cannot be read.
        """
        declared = configs_of(self.flow_class)
        if not declared:
            return self
        storage = storage or self.storage
        index = read_parameters(storage, self.name, run)
        stored = Artifacts(Blobs(storage, self.name), index) if index is not None else {}
        configs = stored_configs(declared, stored, run)
        added = {attribute: each for attribute, each in declared.items() if attribute not in configs.origins}
        return self.with_configs(configs | self._read(added) if added else configs)

    def with_configs(self, configs: LoadedConfigs) -> Workspace:
        """Return the same flow with configs that have been read already."""
        other = self._anew(self.options)
        other.__dict__["configs"] = configs
        return other

    def _anew(self, options: FlowOptions) -> Workspace:
        return Workspace(
            self.flow_class,
            options,
            script=self.script,
            path=self.path,
            module=self.module,
            settings=self.settings,
            local_root=self.local_root,
            initial=self.initial,
            storage=self._given_storage,
        )

    @cached_property
    def configs(self) -> LoadedConfigs:
        """The configs of the flow, read once.

        Raises
        ------
        MetaflowException
            One of them cannot be used.
        """
        declared, options = configs_of(self.flow_class), self.options
        # What the settings say is for other flows, if this one has no configs.
        return self._read(declared) if declared or options.config or options.config_value else LoadedConfigs()

    def _read(self, declared: Mapping[str, Declaration]) -> LoadedConfigs:
        settings = ConfigSettings.of(self.settings.values)
        given = [
            Given(table.FLOW_CONFIG.name, files=settings.files),
            Given(table.FLOW_CONFIG_VALUE.name, values=settings.values),
            Given("--config", files=dict(self.options.config)),
            Given("--config-value", values=dict(self.options.config_value)),
        ]
        context = ParameterContext(self.name, self.settings.user, "", print, self.datastore, None)
        return read_configs(declared, given, context, os.path.dirname(self.path))

    def planned_with(self, decospecs: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> Workspace:
        """Return the same flow with all decorators that a run has.

        Parameters
        ----------
        decospecs, without : tuple of str
            What ``--with`` and ``--without`` add to the options. METAFLOW_DEFAULT_DECOSPECS comes last, but for what
            ``--without`` names.

        Raises
        ------
        SettingsError
            METAFLOW_DEFAULT_DECOSPECS cannot be used.
        """
        without = (*self.options.without, *without)
        defaults = self._default_decospecs(parse_without(without))
        stated = join_with((*self.options.decospecs, *decospecs))
        return self.with_options(decospecs=(*stated, *defaults), without=without)

    def _default_decospecs(self, removed: list[str]) -> list[str]:
        defaults = []
        for spec in self.settings.runs.decospecs:
            try:
                name, attributes = parse_with(spec)
                step_decorator(name)(attributes)
            except MetaflowException as error:
                origin = self.settings.values.origin("METAFLOW_DEFAULT_DECOSPECS")
                message = f"METAFLOW_DEFAULT_DECOSPECS in {origin}: {error.message}"
                raise SettingsError(message, hint=error.hint) from None
            if name not in removed:
                defaults.append(spec)
        return defaults

    @cached_property
    def plan(self) -> FlowPlan:
        """The flow as it will run.

        Raises
        ------
        MetaflowException
            A decorator cannot be as it is written, in the source or in the options.
        """
        given = self.options
        return plan.read(
            self.flow_class,
            with_=given.decospecs,
            without=given.without,
            configs=self.configs.configs,
            initial=self.initial,
            draft=self.draft,
        )

    @cached_property
    def draft(self) -> Draft:
        """The flow before the command line's decorators are added: with its configs, and what mutators do first.

        Raises
        ------
        MetaflowException
            A config cannot be read, a decorator cannot be as it is written in the source, or a mutator has failed.
        """
        return Draft.of(self.flow_class, self.configs.configs)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by attribute name; raises as `draft` does."""
        return self.draft.parameters

    @property
    def invocation(self) -> str:
        """How a person starts a command of the flow, as a shell reads it: ``python flow.py``."""
        if self.module:
            return f"python -m {self.module.removesuffix('.__main__')}"
        return f"python {shlex.quote(self.script)}"

    @property
    def environment(self) -> str:
        """Where tasks get their libraries from."""
        return self.options.environment or self.settings.default_environment

    @property
    def datastore(self) -> str:
        """Which kind of storage has the data."""
        return self._mode or self.options.datastore or self.settings.default_datastore

    @property
    def _mode(self) -> str | None:
        """``spin``: what is worked with are the results of spun tasks; None: runs."""
        mode = self.options.mode
        if mode not in (None, "", "spin"):
            raise CommandException(f"There is no mode '{mode}'.", hint="the only one is --mode spin; leave it out else")
        return mode or None

    @cached_property
    def root(self) -> str:
        """Root directory or URL of the datastore.

        Raises
        ------
        metaflow.exception.CommandException
            It is in an object store, and nothing says where.
        """
        given = self.options.datastore_root
        if self.datastore == "local":
            return os.path.abspath(given or self.local_root)
        if self.datastore == "spin":
            return os.path.abspath(given or self.settings.spin_root)
        return given or self.settings.datastores.root(self.datastore)

    @cached_property
    def storage(self) -> Storage:
        """Where bytes are kept."""
        if self._given_storage is not None:
            return self._given_storage
        storage: Storage = registry.load("datastore", self.datastore)(self.root)
        return storage

    @cached_property
    def files_storage(self) -> Storage:
        """Where included files are kept."""
        if self._given_storage is not None:
            return self._given_storage
        root = self.settings.local_files_root
        if self.datastore not in ("local", "spin"):
            root = self.settings.datastores.file_roots.get(self.datastore, f"{self.root.rstrip('/')}/data")
        storage: Storage = registry.load("datastore", self.datastore)(root)
        return storage

    @cached_property
    def metadata(self) -> Metadata:
        """Where facts are kept."""
        kind = self._mode or self.options.metadata or self.settings.default_metadata
        if kind in ("service", "reported"):
            root = self.settings.service.required_url
        elif kind == "spin":
            root = self.root if self.datastore == "spin" else self.settings.spin_root
        else:
            root = self.root if self.options.datastore_root and self.datastore == "local" else self.local_root
        metadata: Metadata = registry.load("metadata", kind)(root, self.settings.user)
        return metadata


def _settings() -> Settings:
    return settings.load()


def _file_of(flow_class: type[FlowSpec]) -> str:
    module = sys.modules.get(flow_class.__module__)
    return os.path.abspath(getattr(module, "__file__", None) or "")
