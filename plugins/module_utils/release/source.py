"""The app's source at a commit: its files, and its build hooks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ansible.module_utils.release.commands import need
from ansible.module_utils.release.context import Context


def take_source(context: Context) -> None:
    """Extract the app's directory of the commit to app/, which the builder owns during the build."""
    context.builder.make_directory(context.release.app)
    context.release.work.mkdir()
    extract(context, context.params["subdir"], context.release.app)


def extract(context: Context, subdir: str, directory: Path) -> None:
    """Extract a directory of the commit, with its submodules, as the builder."""
    for archive in context.repository.export(context.params["commit"], subdir, context.release.work):
        unpack = f'mkdir -p "$1" && tar --extract --no-same-owner --directory="$1" --strip-components={archive.strip} --file="$2"'
        result = context.builder.run(["/bin/sh", "-c", unpack, "sh", archive.path, str(archive.file)], directory)
        need(result, "The app's source could not be unpacked.", "Fix the cause above, and run this again.")
        archive.file.unlink()


def describe_commit(context: Context) -> tuple[str, datetime]:
    """Return the subject of the commit, and its time in UTC."""
    result = context.repository.git("log", "-1", "--format=%ct%n%s", context.params["commit"])
    need(result, f"git can't show commit {context.params['commit']}.", "Fix app_ref, and run this again.")
    seconds, _, subject = result.stdout.rstrip("\n").partition("\n")
    return subject, datetime.fromtimestamp(int(seconds), UTC)


def run_hooks(context: Context, when: str, path: str) -> None:
    """Run the commands of python_app_before_build or python_app_after_build (`when`) in app/, as the builder.

    They have the app's environment variables, and `path` as their PATH. Raises ReleaseError when one fails.
    """
    for command in context.params[when]:
        result = context.builder.run(["/bin/sh", "-c", command], app_variables=context.variables, PATH=path)
        need(
            result,
            f"A command of python_app_{when} failed with exit code {result.code}: {command}",
            f"Fix the command (app_{when}) or the app, and run this again.",
            causes=(),
        )
