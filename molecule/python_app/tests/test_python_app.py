"""Builds of apps of each kind, and of invalid apps."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

SCENARIO = Path(__file__).parent.parent
KINDS = {
    "bare": "requirements.txt",
    "hashed": "requirements.txt",
    "package": "pyproject.toml",
    "uv": "uv.lock",
    "poetry": "poetry.lock",
}
# The user of all apps below that converge.yml does not build.
USER = "bare"
BARE = {"python_app_repository": "file:///srv/git/bare"}


@dataclass(frozen=True)
class Build:
    """One build: the results of its tasks, in order."""

    results: list[dict[str, Any]]

    @property
    def failed(self) -> bool:
        """Whether a task failed."""
        return any(result.get("failed", False) for result in self.results)

    @property
    def changed(self) -> bool:
        """Whether a task reported a change."""
        return any(result.get("changed", False) for result in self.results)

    @property
    def messages(self) -> str:
        """The messages of the tasks."""
        return "\n".join(str(result["msg"]) for result in self.results if "msg" in result)

    def passed(self) -> None:
        """Assert that the build succeeded."""
        assert self.results
        assert not self.failed, self.messages


def run_builds(directory: Path, builds: dict[str, dict[str, Any]], **common: Any) -> dict[str, Build]:
    """Build apps in one play, one after the other; each is an inventory name of the one host, with variables of the role.

    An app's directory is /srv/NAME unless its variables have another one.
    """
    command = ["ansible-inventory", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], "--list"]
    known = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["_meta"]["hostvars"]
    connection = {name: value for name, value in next(iter(known.values())).items() if name.startswith("ansible_")}
    defaults = {
        "python_app_name": USER,
        "python_app_root": "/srv/{{ inventory_hostname }}",
        "python_app_ref": "main",
        # Small, because these tests are not about disk space.
        "python_app_minimum_free_mb": 50,
    }
    inventory = directory / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"vars": connection | defaults | common, "hosts": builds}}))
    environment = os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    # Serially, because all builds have the same user and cache.
    run = ["ansible-playbook", "--forks", "1", "--inventory", str(inventory), str(SCENARIO / "build.yml")]
    done = subprocess.run(
        [*run, "--extra-vars", json.dumps({} if common else {"_python_app_shared": False})],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    # Other callbacks write after it.
    (play,) = json.JSONDecoder().raw_decode(done.stdout)[0]["plays"]
    return {name: Build([task["hosts"][name] for task in play["tasks"] if name in task["hosts"]]) for name in builds}


Deploy = Callable[..., Build]


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    """Build one app in /srv/NAME; options are variables of the role."""

    def run(name: str, **options: Any) -> Build:
        return run_builds(tmp_path, {name: options})[name]

    return run


def releases(host: Host, app: str) -> dict[str, dict[str, Any]]:
    """Return the release.json of each release of an app, by name."""
    names = host.check_output(f"ls /srv/{app}/releases").split()
    return {name: json.loads(host.file(f"/srv/{app}/releases/{name}/release.json").content_string) for name in names}


def only(host: Host, app: str) -> str:
    """Return the directory of an app's only release."""
    (name,) = releases(host, app)
    return f"/srv/{app}/releases/{name}"


@pytest.mark.parametrize("app", KINDS)
def test_a_release_runs_its_app(host: Host, app: str) -> None:
    directory = only(host, app)
    module = "shop" if app == "package" else "app"
    # The package is imported from the virtual environment, not from the directory.
    where = "/" if app == "package" else f"{directory}/app"
    host.check_output(
        f"cd {where} && runuser -u {app} -- {directory}/venv/bin/python -c 'import {module}; {module}.app'"
    )
    assert "gunicorn" in host.check_output(f"runuser -u {app} -- {directory}/venv/bin/gunicorn --version")


@pytest.mark.parametrize(("app", "kind"), KINDS.items())
def test_a_release_records_its_metadata(host: Host, app: str, kind: str) -> None:
    (recorded,) = releases(host, app).values()
    assert recorded["kind"] == kind
    assert recorded["packages"] >= 2
    assert len(recorded["commit"]) == 40
    assert recorded["ref"] == "main"
    assert recorded["subject"].startswith("Change")
    assert recorded["built"].endswith("Z")
    assert host.file(f"/srv/{app}/venvs/{recorded['environment']}/.complete").exists


@pytest.mark.parametrize("app", KINDS)
def test_every_requirement_in_the_lock_file_has_a_hash(host: Host, app: str) -> None:
    lock = host.file(f"{only(host, app)}/requirements.lock").content_string
    assert lock.count("==") >= 2
    requirements = lock.replace("\\\n", " ").splitlines()
    assert [line for line in requirements if line and not line.lstrip().startswith("#") and "--hash" not in line] == []


@pytest.mark.parametrize("app", KINDS)
def test_the_app_cannot_modify_its_release(host: Host, app: str) -> None:
    # Its group can read its environment file, and owns nothing else.
    foreign = f"find /srv/{app} ! -user root -o ! -group root ! -path '/srv/{app}/releases/*/environment'"
    open_to_others = f"find /srv/{app} -perm /022 ! -type l"
    assert host.check_output(foreign) == ""
    assert host.check_output(open_to_others) == ""


def test_gunicorn_is_added_only_when_it_is_missing(host: Host) -> None:
    version = "venv/bin/gunicorn --version"
    assert "version 23." in host.check_output(f"{only(host, 'hashed')}/{version}")
    assert "version 23." not in host.check_output(f"{only(host, 'bare')}/{version}")


def test_poetry_is_installed_only_when_needed_and_root_owns_the_tools(host: Host) -> None:
    assert len(host.check_output("ls -d /opt/outport/uv-* /opt/outport/poetry-*").split()) == 2
    assert host.check_output("find /opt/outport ! -user root") == ""


def test_the_deploy_leaves_no_temporary_files(host: Host) -> None:
    assert host.check_output("find /srv -path /srv/git -prune -o -name '.work' -print -o -name '*.part' -print") == ""


INVALID = {
    "unknown": "is not in the package index",
    "conflict": "The requirements contradict each other",
    "syntax": "pyproject.toml is not valid TOML",
    "lockless": "The app has no uv.lock, poetry.lock, requirements.txt, pyproject.toml or setup.py",
    "directory": "next_door",
    "newer": "The app requires Python >=3.99 (pyproject.toml), and the build would use 3.",
    "newer_poetry": "The app requires Python ^3.99 (pyproject.toml), and the build would use 3.",
}
INVALID_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "python_app_before_build": (
        {"python_app_before_build": ["echo no front end; exit 3"]},
        "failed with exit code 3",
    ),
    "python_app_minimum_free_mb": (
        {"python_app_minimum_free_mb": 900000000},
        "and a build needs 900000000 MB (python_app_minimum_free_mb)",
    ),
    "python_app_extra_requirements": (
        {"python_app_extra_requirements": ["outport-has-no-such-package"]},
        "is not in the package index: uv can't create a lock file",
    ),
    "python_app_shared_directories": (
        {"python_app_shared_directories": ["README/data"]},
        "the app's 'README' is a file",
    ),
    "python_app_python": ({"python_app_python": "3.7"}, "Python 3.7 is not available"),
    "python_app_requirements": ({"python_app_requirements": "locked.txt"}, "The app has no 'locked.txt'"),
    "python_app_subdir": ({"python_app_subdir": "website"}, "The app has no directory 'website'"),
    "python_app_ref": (
        {"python_app_ref": "nowhere"},
        "The app was not fetched from file:///srv/git/bare at 'nowhere'",
    ),
    "python_app_repository": (
        {"python_app_repository": "file:///srv/git/gone"},
        "The app was not fetched from file:///srv/git/gone",
    ),
}
HOOKS = {
    "python_app_repository": "file:///srv/git/source",
    "python_app_before_build": ["id -un > builder; echo $PAGE_SIZE $TITLE > variables"],
    "python_app_environment": {"PAGE_SIZE": 20, "TITLE": "a $b"},
    "python_app_after_build": ["python -c 'import docopt' && command -v gunicorn > found"],
}
# Apps made of several packages, and what imports them.
PACKAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "setup": ("import itsdangerous", {}),
    "editable": ("import next_door, markupsafe", {}),
    "workspace": (
        "import core, markupsafe, tornado",
        {"python_app_subdir": "packages/web", "python_app_groups": ["production"], "python_app_extras": ["fast"]},
    ),
}
EXTRA = {"python_app_extra_requirements": ["tornado", "gunicorn[tornado]"]}
SHARED = {
    "python_app_repository": "file:///srv/git/writes",
    "python_app_shared_directories": ["instance", "static/uploads"],
    "python_app_served_directories": ["static"],
}
BUILT = {"python_app_name": "package", "python_app_root": "/srv/package"}


def repository(app: str) -> dict[str, Any]:
    """Return the variables of an app's repository."""
    return {"python_app_repository": f"file:///srv/git/{app}"}


@pytest.fixture(scope="module")
def builds(host: Host, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    """The builds that need nothing of each other's, in one play; those of one directory in the order of their refs."""
    directory = tmp_path_factory.mktemp("builds")
    key = directory / "key"
    key.write_text("not a key, and not used for a local repository\n")
    started = {app: repository(app) for app in INVALID}
    started |= {f"invalid-{name}": BARE | options for name, (options, _) in INVALID_OPTIONS.items()}
    for app in ("reused", "pruned"):
        refs = ("v1", "v2", "v3") if app == "pruned" else ("v1", "v2")
        started |= {f"{app}-{ref}": BARE | {"python_app_ref": ref, "python_app_root": f"/srv/{app}"} for ref in refs}
    started |= {"hooks": HOOKS, "index": repository("index"), "shared": SHARED | {"python_app_ref": "v1"}}
    started |= {app: repository(app) | options for app, (_, options) in PACKAGES.items()}
    started |= {f"extra-{app}": repository(app) | EXTRA for app in ("bare", "uv")}
    started |= {"complete": repository("package") | BUILT}
    started |= {"with-key": repository("package") | BUILT | {"python_app_deploy_key_file": str(key)}}
    with simple_index(host):
        return run_builds(directory, started)


@contextmanager
def simple_index(host: Host) -> Iterator[None]:
    """A simple index on the host, with one package that no other index has."""
    script = """
import os, zipfile
os.makedirs("/srv/index-files/outport-private", exist_ok=True)
name, meta = "outport_private-1.0", "Metadata-Version: 2.1\\nName: outport-private\\nVersion: 1.0\\n"
with zipfile.ZipFile(f"/srv/index-files/outport-private/{name}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("outport_private.py", "HERE = True\\n")
    wheel.writestr(f"{name}.dist-info/METADATA", meta)
    wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{name}.dist-info/RECORD", "")
"""
    host.check_output(f"python3 -c '{script}'")
    serve = "python3 -m http.server --directory=/srv/index-files --bind=127.0.0.1 8765"
    host.check_output(f"systemd-run --unit=index {serve}")
    try:
        yield
    finally:
        host.check_output("systemctl stop index")


def test_releases_with_the_same_lock_file_share_an_environment(host: Host, builds: dict[str, Build]) -> None:
    builds["reused-v1"].passed()
    builds["reused-v2"].passed()
    first, second = releases(host, "reused").values()
    assert first["commit"] != second["commit"]
    assert first["environment"] == second["environment"]
    assert len(host.check_output("ls /srv/reused/venvs").split()) == 1


def test_releases_in_use_are_retained(host: Host, builds: dict[str, Build], deploy: Deploy) -> None:
    """With `python_app_keep=1`, the live, previous, running and newest release are retained."""
    directory = "/srv/pruned/releases"
    for ref in ("v1", "v2", "v3"):
        builds[f"pruned-{ref}"].passed()
    built = releases(host, "pruned")
    names = sorted(built, key=lambda name: built[name]["ref"])
    assert [built[name]["ref"] for name in names] == ["v1", "v2", "v3"]
    host.check_output(
        f"cp -a {directory}/{names[0]} {directory}/copied && mkdir {directory}/half {directory}/../venvs/unused"
    )
    host.check_output(
        f"ln -s releases/{names[0]} /srv/pruned/live && ln -s {directory}/{names[1]} /srv/pruned/previous"
    )
    host.check_output(f"systemd-run --unit={USER}@{names[2]}.service sleep 300")
    result = deploy("pruned", **BARE, python_app_ref="v4", python_app_keep=1)
    host.check_output(f"systemctl stop {USER}@{names[2]}.service")
    result.passed()
    remaining = set(releases(host, "pruned"))
    assert remaining > set(names)
    assert len(remaining) == 4
    assert not host.file("/srv/pruned/venvs/unused").exists


@pytest.mark.parametrize(("app", "cause"), INVALID.items())
def test_a_failed_build_reports_its_cause_and_leaves_nothing(
    host: Host, builds: dict[str, Build], app: str, cause: str
) -> None:
    assert builds[app].failed
    assert cause in builds[app].messages
    assert host.check_output(f"ls /srv/{app}/releases") == ""
    assert host.check_output(f"find /srv/{app} -path '/srv/{app}/venvs/*'") == ""


@pytest.mark.parametrize("option", INVALID_OPTIONS)
def test_an_invalid_option_is_reported(host: Host, builds: dict[str, Build], option: str) -> None:
    build, (_, cause) = builds[f"invalid-{option}"], INVALID_OPTIONS[option]
    assert build.failed
    assert cause in build.messages
    assert host.check_output(f"ls /srv/invalid-{option}/releases") == ""


def test_hooks_run_as_the_builder_with_the_environment(host: Host, builds: dict[str, Build]) -> None:
    builds["hooks"].passed()
    directory = only(host, "hooks")
    assert host.file(f"{directory}/app/builder").content_string == "outport-build\n"
    assert host.file(f"{directory}/app/variables").content_string == "20 a $b\n"
    assert host.file(f"{directory}/app/found").content_string == f"{directory}/venv/bin/gunicorn\n"
    assert host.check_output("find /srv/hooks ! -user root") == ""


@pytest.mark.parametrize("app", PACKAGES)
def test_packages_of_the_repository_are_installed(host: Host, builds: dict[str, Build], app: str) -> None:
    """Not editable: a release runs what was built, and nothing is in the build's directories."""
    builds[app].passed()
    directory = only(host, app)
    shown = host.check_output(
        f"cd / && runuser -u {USER} -- {directory}/venv/bin/python -c '{PACKAGES[app][0]}; import shop; print(shop.__file__)'"
    )
    assert shown.startswith(f"{directory}/venv/lib/")
    linked = host.run(f"cat {directory}/venv/lib/python*/site-packages/*.pth").stdout
    assert f"/srv/{app}/releases" not in linked


def test_the_index_of_the_requirements_is_used(host: Host, builds: dict[str, Build]) -> None:
    builds["index"].passed()
    host.check_output(f"{only(host, 'index')}/venv/bin/python -c 'import outport_private, itsdangerous'")


@pytest.mark.parametrize("app", ["bare", "uv"])
def test_extra_requirements_are_locked_with_the_apps(host: Host, builds: dict[str, Build], app: str) -> None:
    builds[f"extra-{app}"].passed()
    directory = only(host, f"extra-{app}")
    own, lock = (host.file(f"{path}/requirements.lock").content_string for path in (only(host, app), directory))
    assert set(pins(own)) < set(pins(lock))
    assert lock.count("--hash=") >= own.count("--hash=") + 1
    host.check_output(f"{directory}/venv/bin/python -c 'import gunicorn, itsdangerous, tornado'")


def pins(lock: str) -> list[str]:
    """The pins of a lock file, except gunicorn's, which may have extras."""
    return [pin for pin in re.findall(r"^\S+==\S+", lock, re.MULTILINE) if not pin.startswith("gunicorn")]


def test_shared_directories_persist_and_begin_with_the_apps_content(
    host: Host, builds: dict[str, Build], deploy: Deploy
) -> None:
    builds["shared"].passed()
    first, uploads = only(host, "shared"), "/srv/shared/shared/static/uploads"
    as_the_app = f"runuser -u {USER} --"
    assert host.check_output(f"{as_the_app} cat {first}/app/instance/notes.txt") == "first"
    host.check_output(
        f"{as_the_app} sh -c 'umask 027; cd {first}/app; echo changed > instance/notes.txt; echo cat > static/uploads/cat'"
    )
    deploy("shared", **SHARED, python_app_ref="v2").passed()
    (second,) = (f"/srv/shared/releases/{name}" for name in releases(host, "shared") if not first.endswith(name))
    assert host.check_output(f"{as_the_app} cat {second}/app/instance/notes.txt") == "changed"
    assert host.check_output(f"{as_the_app} cat {second}/app/static/site.css") == "body {}"
    # The proxy reads what it serves, and nothing else.
    assert host.check_output(f"runuser -u www-data -- cat {uploads}/cat") == "cat"
    assert host.run("runuser -u www-data -- ls /srv/shared/shared/instance").rc != 0
    assert host.check_output("find /srv/shared -path /srv/shared/shared -prune -o ! -user root -print") == ""
    deploy("shared", **SHARED | {"python_app_ref": "v2", "python_app_served_directories": []}).passed()
    assert host.run(f"runuser -u www-data -- ls {uploads}").rc != 0


def test_an_interrupted_run_is_completed_by_the_next(host: Host, deploy: Deploy) -> None:
    """A release or an environment without its marker is rebuilt."""
    directory = only(host, "bare")
    key = releases(host, "bare")[Path(directory).name]["environment"]
    host.check_output(f"rm {directory}/.built /srv/bare/venvs/{key}/.complete /srv/bare/venvs/{key}/bin/gunicorn")
    deploy("bare", **BARE).passed()
    assert host.file(f"{directory}/.built").exists
    assert host.file(f"{directory}/venv/bin/gunicorn").exists


def test_a_complete_release_is_not_rebuilt(builds: dict[str, Build]) -> None:
    builds["complete"].passed()
    assert not builds["complete"].changed


def test_a_deploy_key_is_removed_after_the_fetch(host: Host, builds: dict[str, Build]) -> None:
    builds["with-key"].passed()
    assert "not used" not in json.dumps(builds["with-key"].results)
    assert host.check_output("find /run -maxdepth 1 -name 'outport-deploy-key*'") == ""


def test_other_hosts_use_the_first_ones_lock_file_and_wheels(host: Host, tmp_path: Path) -> None:
    """Two inventory names of one host act as two hosts; a hook empties the cache of the second before it unpacks the archive of the first."""
    cache = "/var/cache/outport-build/uv"
    two = {"one": {}, "two": {"python_app_before_build": [f"rm -rf {cache}"]}}
    built = run_builds(tmp_path, two, **repository("source"), python_app_first_host="one")
    for build in built.values():
        build.passed()
    first, second = (host.check_output(f"cat /srv/{name}/releases/*/requirements.lock") for name in two)
    assert first == second
    host.check_output("/srv/two/releases/*/venv/bin/python -c 'import docopt'")
    # Nothing was built from source again in the empty cache.
    assert host.check_output(f"find {cache}/ -path '*docopt*' -name '*.whl'") == ""
    assert host.check_output("find /srv/two ! -user root -o -name '*.tar'") == ""
