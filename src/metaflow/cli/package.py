"""``package list|info|save``: look at the code package."""

from __future__ import annotations

import click

from metaflow.app.packages import code_manifest, package_info
from metaflow.cli.session import Session
from metaflow.compute.package import FORMAT, archive, described
from metaflow.exception import CommandException


@click.group()
@click.option("--timeout", type=int, hidden=True)
def package(timeout: int | None) -> None:
    """Inspect the code package: the files that remote tasks get."""


@package.command("list")
@click.option(
    "--archive/--no-archive", "in_archive", default=False, help="Print the names that the files have in the package."
)
@click.pass_obj
def list_files(session: Session, in_archive: bool) -> None:
    """List the files."""
    manifest = code_manifest(session.workspace, session.say)
    if in_archive:
        for name in described(package_info(session.workspace), manifest.script):
            session.echo(name)
    for file in manifest.files:
        session.echo(file.name if in_archive else file.path)


@package.command()
@click.pass_obj
def info(session: Session) -> None:
    """Print sizes and what is left out."""
    manifest = code_manifest(session.workspace, session.say)
    size = len(archive(manifest, package_info(session.workspace)))
    rows = {
        "directory": manifest.directory,
        "suffixes": ", ".join(manifest.suffixes),
        "files": f"{len(manifest.files)}, {_size(manifest.size)}",
        "package": f"{_size(size)} compressed",
        "format": ", ".join(f"{name} {value}" for name, value in FORMAT.items()),
    }
    for name, value in rows.items():
        session.echo(f"{name:<12} {value}")
    for module in manifest.modules:
        session.echo(f"{'module':<12} {module.name} from {module.path}")
    largest = sorted(manifest.files, key=lambda file: -file.size)[:5]
    for file in largest:
        session.echo(f"{'largest':<12} {_size(file.size):>10}  {file.name}")


@package.command()
@click.argument("path")
@click.pass_obj
def save(session: Session, path: str) -> None:
    """Write the package, a tar.gz, to a file."""
    content = archive(code_manifest(session.workspace, session.say), package_info(session.workspace))
    try:
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        raise CommandException(f"The package cannot be written to {path}: {error.strerror}.") from error
    session.say(f"The package is in {path}: {_size(len(content))}.")


def _size(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 10_000 else f"{size} bytes"
