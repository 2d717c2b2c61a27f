"""``package list|info|save``: look at the code package; and the packages that a run's remote tasks get."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metaflow.cli.session import Session
from metaflow.compute.package import FORMAT, Manifest, archive, described, gather, suffixes_of
from metaflow.exception import CommandException
from metaflow.version import __version__

if TYPE_CHECKING:
    import click

    from metaflow.compute.jobs.packages import TaskPackages


def task_packages(session: Session) -> TaskPackages:
    """Read the flow's files and return what its remote tasks get; say what looks like a secret and was left out.

    Raises
    ------
    MetaflowException
        A file cannot be read, there is too much of them, or a setting cannot be used.
    """
    from metaflow.compute.jobs.packages import TaskPackages
    from metaflow.compute.jobs.runtime_package import platform_of, runtime_archive

    manifest = _gather(session)
    platform = platform_of(session.settings.packages.platform)
    return TaskPackages(
        session.storage,
        session.flow_name,
        archive(manifest, _info(session)),
        lambda: runtime_archive(_cache(session.environ), platform),
    )


def package(session: Session) -> click.Group:
    """Make the command."""
    import click

    return click.Group(
        "package",
        help="Look at the code package: the files that tasks on other machines get.",
        params=[click.Option(["--timeout"], type=int, hidden=True)],
        callback=lambda timeout: None,
        commands=[
            click.Command(
                "list",
                callback=lambda archive: _list(session, archive),
                help="List the files.",
                params=[
                    click.Option(
                        ["--archive/--no-archive"], default=False, help="Their names in the package, not on this disk."
                    )
                ],
            ),
            click.Command("info", callback=lambda: _print_info(session), help="Print sizes, and what was left out."),
            click.Command(
                "save",
                callback=lambda path: _save(session, path),
                help="Write the package, a tar.gz, to a file.",
                params=[click.Argument(["path"])],
            ),
        ],
    )


def _list(session: Session, archive: bool) -> None:
    manifest = _gather(session)
    if archive:
        for name in described(_info(session), manifest.script):
            session.echo(name)
    for file in manifest.files:
        session.echo(file.name if archive else file.path)


def _print_info(session: Session) -> None:
    manifest = _gather(session)
    size = len(archive(manifest, _info(session)))
    rows = {
        "directory": manifest.directory,
        "endings": ", ".join(manifest.suffixes),
        "files": f"{len(manifest.files)}, {_amount(manifest.size)}",
        "package": f"{_amount(size)} compressed",
        "format": ", ".join(f"{name} {value}" for name, value in FORMAT.items()),
    }
    for name, value in rows.items():
        session.echo(f"{name:<12} {value}")
    for module in manifest.modules:
        session.echo(f"{'module':<12} {module.name} from {module.path}")
    largest = sorted(manifest.files, key=lambda file: -file.size)[:5]
    for file in largest:
        session.echo(f"{'largest':<12} {_amount(file.size):>10}  {file.name}")


def _save(session: Session, path: str) -> None:
    content = archive(_gather(session), _info(session))
    try:
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        raise CommandException(f"The package cannot be written to {path}: {error.strerror}.") from error
    session.say(f"The package is in {path}: {_amount(len(content))}.")


def _gather(session: Session) -> Manifest:
    configured = session.settings.packages
    suffixes = suffixes_of(session.options.get("package_suffixes"), configured.suffixes)
    manifest = gather(session.path, suffixes, configured.limit_mb)
    if manifest.secrets:
        from metaflow.compute.ignore import FILE

        names = ", ".join(os.path.relpath(path, manifest.directory) for path in manifest.secrets[:5])
        more = f" and {len(manifest.secrets) - 5} more" if len(manifest.secrets) > 5 else ""
        session.say(
            f"Not in the code package, since they look like secrets: {names}{more} (`!NAME` in {FILE} keeps one)."
        )
    return manifest


def _info(session: Session) -> dict[str, Any]:
    """Return what the package says of where it was made, as Metaflow's does."""
    return {
        "platform": {"linux": "Linux", "darwin": "Darwin"}.get(sys.platform, sys.platform),
        "username": session.settings.user,
        "runtime": "dev",
        "environment_type": session.options.get("environment") or session.settings.default_environment,
        "use_r": False,
        "python_version": sys.version,
        "python_version_code": ".".join(str(part) for part in sys.version_info[:3]),
        "metaflow_version": __version__,
        "ext_info": [{}, {}],
    }


def _cache(environ: Mapping[str, str]) -> str:
    """Return a directory for what is made once for many runs: of this user alone, since it is run elsewhere."""
    home = environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if os.path.isabs(home) and os.access(home if os.path.isdir(home) else os.path.dirname(home), os.W_OK):
        return os.path.join(home, "millrace")
    from tempfile import gettempdir, mkdtemp

    directory = os.path.join(gettempdir(), f"millrace-{os.getuid()}")
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        status = os.lstat(directory)
        if status.st_uid != os.getuid() or status.st_mode & 0o177077 != 0o40000:
            return mkdtemp(prefix="millrace-")
    return directory


def _amount(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 10_000 else f"{size} bytes"
