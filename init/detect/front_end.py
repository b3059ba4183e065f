"""The front end that is built with npm, Yarn or pnpm: in the app's directory, or elsewhere in the repository."""

import ast
import os
import re
import shlex
from pathlib import PurePosixPath

from init.commands import BUILD
from init.hints import Hints
from init.module import Module
from init.paths import Paths
from init.project import Project
from init.report import Place, Report
from init.syntax import dotted, literal

_BUILD = re.compile(r'"scripts"\s*:\s*\{[^}]*"(build(?::prod\w*)?)"\s*:')
_MANAGERS = {"npm", "yarn", "pnpm"}
# The version of pnpm that writes a version of the lock file, where package.json names none.
_PNPM = {"5": "7", "6": "8", "9": "9"}
_MOVE = "Commit what it builds to a directory there, or move requirements.txt and the app's start to the top of the repository."
_SERVES = {"static_folder", "template_folder"}
_SENDS = {"send_from_directory", "send_file", "FileResponse", "StaticFiles"}


def detect(project: Project, subdir: str, hints: Hints, report: Report) -> None:
    """Set the hooks of a front-end build in a release, which is the app's directory; note one that the app does not refer to."""
    packages = _packages(project)
    top = PurePosixPath(subdir)
    served = [path for path in packages if path.is_relative_to(top) and (path == top or _refers(project, subdir, path))]
    if served:
        _set_build(project, top, served[0], report)
    elif packages:
        place = Place(str(packages[0] / "package.json"))
        outside = f"a release has the app's directory only, {subdir}"
        if served_from_above(project, subdir):
            report.note(f"the app serves what this front end builds, and {outside}. {_MOVE}", place)
            return
        install, script = _commands(project, packages[0], top)
        build = f"add the build to app_before_build: {install}, {script}." if install else f"{outside}. {_MOVE}"
        report.note(f"nothing of the app refers to the files of this front end. If the app serves them, {build}", place)
    elif project.has(top / "package.json"):
        installs = [command for command in hints.commands if command.name == BUILD and command.program in _MANAGERS]
        for command in installs[:1]:
            report.note(
                f"the image runs '{command.text}', for packages that the pages may load. If they do, add it to app_before_build, and what it "
                "needs to app_build_packages.",
                command.place,
            )


def served_from_above(project: Project, subdir: str) -> Place | None:
    """Return where the app's code refers to a front end that is not in its directory; None when it does not."""
    outside = (path for path in _packages(project) if not path.is_relative_to(subdir))
    return next((place for path in outside if (place := _refers(project, subdir, path))), None)


def _set_build(project: Project, top: PurePosixPath, directory: PurePosixPath, report: Report) -> None:
    script = _script(project, directory)
    install, build = _commands(project, directory, top)
    place = project.place(str(directory / "package.json"), f'"{script}"')
    report.add("app_before_build", [install, build], f"has the script {script}", place)
    report.add("app_build_packages", ["nodejs", "npm"], f"to run {install}")


def _commands(project: Project, directory: PurePosixPath, top: PurePosixPath) -> tuple[str, str]:
    """Return the commands that build a front end, from the app's directory; empty for one outside of it."""
    if not directory.is_relative_to(top):
        return "", ""
    script, relative = _script(project, directory), shlex.quote(str(directory.relative_to(top)))
    # npm brings npx along, which runs the others in the version that the project is made with.
    if project.has(directory / "yarn.lock"):
        program, frozen = _yarn(project, directory)
        where = f" --cwd {relative}" if relative != "." else ""
    elif project.has(directory / "pnpm-lock.yaml"):
        program, frozen = f"npx --yes pnpm@{_pnpm(project, directory)}", "--frozen-lockfile"
        where = f" --dir {relative}" if relative != "." else ""
    else:
        install = "npm ci" if project.has(directory / "package-lock.json") else "npm install"
        where = f" --prefix {relative}" if relative != "." else ""
        return f"{install}{where}", f"npm run {script}{where}"
    return f"{program}{where} install {frozen}", f"{program}{where} run {script}"


def _yarn(project: Project, directory: PurePosixPath) -> tuple[str, str]:
    """Return the command of the Yarn that a front end is built with, and its option to install what is locked."""
    if "__metadata:" not in project.text(str(directory / "yarn.lock")):
        return "npx --yes yarn@1", "--frozen-lockfile"
    committed = re.search(r"yarnPath:.*?yarn-(\d[\w.-]*)\.cjs", project.text(str(directory / ".yarnrc.yml")))
    version = _declared(project, directory, "yarn") or (committed[1] if committed else "4")
    return f"npx --yes --package @yarnpkg/cli-dist@{version} yarn", "--immutable"


def _pnpm(project: Project, directory: PurePosixPath) -> str:
    """Return the version of pnpm that a front end is built with."""
    written = re.search(r"^lockfileVersion: '?(\d+)", project.text(str(directory / "pnpm-lock.yaml")), re.MULTILINE)
    return _declared(project, directory, "pnpm") or _PNPM.get(written[1] if written else "", "latest")


def _declared(project: Project, directory: PurePosixPath, manager: str) -> str:
    """Return the version in the packageManager of package.json, without its hash; empty for none."""
    found = re.search(rf'"packageManager"\s*:\s*"{manager}@(\d[\w.-]*)', project.text(str(directory / "package.json")))
    return found[1] if found else ""


def _refers(project: Project, subdir: str, directory: PurePosixPath) -> Place | None:
    """Return where the app's code serves what a front end builds, or where that is built into the app's directory."""
    for path, module in project.modules.items():
        for node, served in _served(module) if PurePosixPath(path).is_relative_to(subdir or ".") else ():
            if served != directory and served.is_relative_to(directory) and not _is_own(project, served, subdir):
                return module.place(node)
    for place, built in _outputs(project, directory):
        if built.is_relative_to(subdir or "."):
            return place
    return None


def _outputs(project: Project, directory: PurePosixPath) -> list[tuple[Place, PurePosixPath]]:
    """Return the directories outside of a front end's own that its bundler writes to, each with where its configuration names it."""
    found = []
    for path in project.named(r"(?:vite|vue|webpack|rollup)\.config\.\w+"):
        if PurePosixPath(path).parent == directory:
            for text in re.findall(r"[\"'](?:\./)?((?:\.\./)+[\w./-]+)", project.text(path)):
                found.append((project.place(path, text), PurePosixPath(os.path.normpath(directory / text))))
    return found


def _is_committed(project: Project, directory: PurePosixPath) -> bool:
    """Return whether git has what a front end builds outside of its directory."""
    outputs = [f"{built}/" for _, built in _outputs(project, directory)]
    return any(file.startswith(tuple(outputs)) and file.endswith((".js", ".css")) for file in project.files)


def _is_own(project: Project, directory: PurePosixPath, subdir: str) -> bool:
    """Return whether git has a directory of files, or it is in the app's, and so is not what a front end at the top builds."""
    return project.has_directory(directory) or (bool(subdir) and directory.is_relative_to(subdir))


def _packages(project: Project) -> list[PurePosixPath]:
    """Return the directories with a front end that has a build, those near the top first."""
    found = [PurePosixPath(path).parent for path in project.named(r"package\.json")]
    return [directory for directory in found if _script(project, directory) and not _is_committed(project, directory)]


def _script(project: Project, directory: PurePosixPath) -> str:
    found = _BUILD.search(project.text(str(directory / "package.json")))
    return found[1] if found else ""


def _served(module: Module) -> list[tuple[ast.AST, PurePosixPath]]:
    """Return the directories that a module serves files or templates from, by paths of the repository."""
    own = module.path.parent
    paths = Paths(module, "", "" if str(own) == "." else str(own))
    found = []
    for call in module.calls:
        values = [keyword.value for keyword in call.keywords if keyword.arg in _SERVES]
        if dotted(call.func).rpartition(".")[2] in _SENDS:
            values += call.args[:1]
        for value in values:
            given = literal(value)
            # Flask counts a relative directory from the module's own.
            joined = ast.Call(ast.Name("join"), [ast.Attribute(ast.Name("app"), "root_path"), value], [])
            inside = paths.inside(joined if isinstance(given, str) else value)
            found += [(call, PurePosixPath(inside))] if inside else []
    return found
