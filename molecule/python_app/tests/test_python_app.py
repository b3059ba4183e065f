"""Builds of apps of each kind, and of invalid apps."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
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
Deploy = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def deploy() -> Deploy:
    """Build an app on the host; options are variables of the role. Returns the result of ansible-playbook."""

    def run(app: str, ref: str = "main", **options: Any) -> subprocess.CompletedProcess[str]:
        inventory = os.environ["MOLECULE_INVENTORY_FILE"]
        extra = json.dumps({"app": app, "ref": ref, **options})
        command = ["ansible-playbook", "--inventory", inventory, str(SCENARIO / "build.yml"), "--extra-vars", extra]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

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


def test_releases_with_the_same_lock_file_share_an_environment(host: Host, deploy: Deploy) -> None:
    result = deploy("reused", "v1", python_app_repository="file:///srv/git/bare")
    assert result.returncode == 0, result.stdout
    result = deploy("reused", "v2", python_app_repository="file:///srv/git/bare")
    assert result.returncode == 0, result.stdout
    first, second = releases(host, "reused").values()
    assert first["commit"] != second["commit"]
    assert first["environment"] == second["environment"]
    assert len(host.check_output("ls /srv/reused/venvs").split()) == 1


def test_releases_in_use_are_retained(host: Host, deploy: Deploy) -> None:
    """With `python_app_keep=1`, the live, previous, running and newest release are retained."""
    app, directory = "pruned", "/srv/pruned/releases"
    names = []
    for ref in ("v1", "v2", "v3"):
        result = deploy(app, ref, python_app_repository="file:///srv/git/bare")
        assert result.returncode == 0, result.stdout
        (new,) = set(releases(host, app)) - set(names)
        names.append(new)
    host.check_output(
        f"cp -a {directory}/{names[0]} {directory}/copied && mkdir {directory}/half {directory}/../venvs/unused"
    )
    host.check_output(f"ln -s releases/{names[0]} /srv/{app}/live && ln -s {directory}/{names[1]} /srv/{app}/previous")
    host.check_output(f"systemd-run --unit={app}@{names[2]}.service sleep 300")
    result = deploy(app, "v4", python_app_repository="file:///srv/git/bare", python_app_keep=1)
    host.check_output(f"systemctl stop {app}@{names[2]}.service")
    assert result.returncode == 0, result.stdout
    remaining = set(releases(host, app))
    assert remaining > set(names)
    assert len(remaining) == 4
    assert not host.file(f"/srv/{app}/venvs/unused").exists


INVALID = {
    "unknown": "is not in the package index",
    "conflict": "The requirements contradict each other",
    "syntax": "pyproject.toml is not valid TOML",
    "lockless": "The app has no uv.lock, poetry.lock, requirements.txt, pyproject.toml or setup.py",
    "directory": "next_door",
    "newer": "The app requires Python >=3.99 (pyproject.toml), and the build would use 3.",
    "newer_poetry": "The app requires Python ^3.99 (pyproject.toml), and the build would use 3.",
}


@pytest.mark.parametrize(("app", "cause"), INVALID.items())
def test_a_failed_build_reports_its_cause_and_leaves_nothing(host: Host, deploy: Deploy, app: str, cause: str) -> None:
    result = deploy(app)
    assert result.returncode != 0
    assert cause in result.stdout + result.stderr
    assert host.check_output(f"ls /srv/{app}/releases") == ""
    assert host.check_output(f"find /srv/{app} -path '/srv/{app}/venvs/*'") == ""


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"python_app_before_build": ["echo no front end; exit 3"]}, "failed with exit code 3"),
        ({"python_app_minimum_free_mb": 900000000}, "and a build needs 900000000 MB (python_app_minimum_free_mb)"),
        (
            {"python_app_extra_requirements": ["outport-has-no-such-package"]},
            "is not in the package index: uv can't create a lock file",
        ),
        ({"python_app_shared_directories": ["README/data"]}, "the app's 'README' is a file"),
        ({"python_app_python": "3.7"}, "Python 3.7 is not available"),
        ({"python_app_requirements": "locked.txt"}, "The app has no 'locked.txt'"),
        ({"python_app_subdir": "website"}, "The app has no directory 'website'"),
        ({"python_app_ref": "nowhere"}, "The app was not fetched from file:///srv/git/bare at 'nowhere'"),
        ({"python_app_repository": "file:///srv/git/gone"}, "The app was not fetched from file:///srv/git/gone"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_invalid_option_is_reported(host: Host, deploy: Deploy, options: dict[str, Any], cause: str) -> None:
    result = deploy("options", **{"python_app_repository": "file:///srv/git/bare", **options})
    assert result.returncode != 0
    assert cause in result.stdout + result.stderr
    assert host.check_output("ls /srv/options/releases") == ""


def test_hooks_run_as_the_builder_with_the_environment(host: Host, deploy: Deploy) -> None:
    result = deploy(
        "hooks",
        python_app_repository="file:///srv/git/source",
        python_app_before_build=["id -un > builder; echo $PAGE_SIZE $TITLE > variables"],
        python_app_environment={"PAGE_SIZE": 20, "TITLE": "a $b"},
        python_app_after_build=["python -c 'import docopt' && command -v gunicorn > found"],
    )
    assert result.returncode == 0, result.stdout
    directory = only(host, "hooks")
    assert host.file(f"{directory}/app/builder").content_string == "outport-build\n"
    assert host.file(f"{directory}/app/variables").content_string == "20 a $b\n"
    assert host.file(f"{directory}/app/found").content_string == f"{directory}/venv/bin/gunicorn\n"
    assert host.check_output("find /srv/hooks ! -user root") == ""


PACKAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "setup": ("import itsdangerous", {}),
    "editable": ("import next_door, markupsafe", {}),
    "workspace": (
        "import core, markupsafe, tornado",
        {"python_app_subdir": "packages/web", "python_app_groups": ["production"], "python_app_extras": ["fast"]},
    ),
}


@pytest.mark.parametrize("app", PACKAGES)
def test_packages_of_the_repository_are_installed(host: Host, deploy: Deploy, app: str) -> None:
    """Not editable: a release runs what was built, and nothing is in the build's directories."""
    code, options = PACKAGES[app]
    result = deploy(app, **options)
    assert result.returncode == 0, result.stdout
    directory = only(host, app)
    shown = host.check_output(
        f"cd / && runuser -u {app} -- {directory}/venv/bin/python -c '{code}; import shop; print(shop.__file__)'"
    )
    assert shown.startswith(f"{directory}/venv/lib/")
    linked = host.run(f"cat {directory}/venv/lib/python*/site-packages/*.pth").stdout
    assert f"/srv/{app}/releases" not in linked


def test_the_index_of_the_requirements_is_used(host: Host, deploy: Deploy) -> None:
    """A simple index on the host, with one package that no other index has."""
    script = """
import os, zipfile
os.makedirs("/srv/index/outport-private", exist_ok=True)
name, meta = "outport_private-1.0", "Metadata-Version: 2.1\\nName: outport-private\\nVersion: 1.0\\n"
with zipfile.ZipFile(f"/srv/index/outport-private/{name}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("outport_private.py", "HERE = True\\n")
    wheel.writestr(f"{name}.dist-info/METADATA", meta)
    wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{name}.dist-info/RECORD", "")
"""
    host.check_output(f"python3 -c '{script}'")
    host.check_output("systemd-run --unit=index python3 -m http.server --directory=/srv/index --bind=127.0.0.1 8765")
    try:
        result = deploy("index")
    finally:
        host.check_output("systemctl stop index")
    assert result.returncode == 0, result.stdout
    host.check_output(f"{only(host, 'index')}/venv/bin/python -c 'import outport_private, itsdangerous'")


@pytest.mark.parametrize("app", ["bare", "uv"])
def test_extra_requirements_are_locked_with_the_apps(host: Host, deploy: Deploy, app: str) -> None:
    name = f"extra-{app}"
    extra = {
        "python_app_repository": f"file:///srv/git/{app}",
        "python_app_extra_requirements": ["tornado", "gunicorn[tornado]"],
    }
    result = deploy(name, **extra)
    assert result.returncode == 0, result.stdout
    directory = only(host, name)
    own, lock = (host.file(f"{path}/requirements.lock").content_string for path in (only(host, app), directory))
    assert set(pins(own)) < set(pins(lock))
    assert lock.count("--hash=") >= own.count("--hash=") + 1
    host.check_output(f"{directory}/venv/bin/python -c 'import gunicorn, itsdangerous, tornado'")


def pins(lock: str) -> list[str]:
    """The pins of a lock file, except gunicorn's, which may have extras."""
    return [pin for pin in re.findall(r"^\S+==\S+", lock, re.MULTILINE) if not pin.startswith("gunicorn")]


def test_shared_directories_persist_and_begin_with_the_apps_content(host: Host, deploy: Deploy) -> None:
    options: dict[str, Any] = {
        "python_app_repository": "file:///srv/git/writes",
        "python_app_shared_directories": ["instance", "static/uploads"],
        "python_app_served_directories": ["static"],
    }
    assert deploy("shared", "v1", **options).returncode == 0
    first, uploads = only(host, "shared"), "/srv/shared/shared/static/uploads"
    as_the_app = "runuser -u shared --"
    assert host.check_output(f"{as_the_app} cat {first}/app/instance/notes.txt") == "first"
    host.check_output(
        f"{as_the_app} sh -c 'umask 027; cd {first}/app; echo changed > instance/notes.txt; echo cat > static/uploads/cat'"
    )
    assert deploy("shared", "v2", **options).returncode == 0
    (second,) = (f"/srv/shared/releases/{name}" for name in releases(host, "shared") if not first.endswith(name))
    assert host.check_output(f"{as_the_app} cat {second}/app/instance/notes.txt") == "changed"
    assert host.check_output(f"{as_the_app} cat {second}/app/static/site.css") == "body {}"
    # The proxy reads what it serves, and nothing else.
    assert host.check_output(f"runuser -u www-data -- cat {uploads}/cat") == "cat"
    assert host.run("runuser -u www-data -- ls /srv/shared/shared/instance").rc != 0
    assert host.check_output("find /srv/shared -path /srv/shared/shared -prune -o ! -user root -print") == ""
    assert deploy("shared", "v2", **options | {"python_app_served_directories": []}).returncode == 0
    assert host.run(f"runuser -u www-data -- ls {uploads}").rc != 0


def test_an_interrupted_run_is_completed_by_the_next(host: Host, deploy: Deploy) -> None:
    """A release or an environment without its marker is rebuilt."""
    directory = only(host, "bare")
    key = releases(host, "bare")[Path(directory).name]["environment"]
    host.check_output(f"rm {directory}/.built /srv/bare/venvs/{key}/.complete /srv/bare/venvs/{key}/bin/gunicorn")
    result = deploy("bare")
    assert result.returncode == 0, result.stdout
    assert host.file(f"{directory}/.built").exists
    assert host.file(f"{directory}/venv/bin/gunicorn").exists


def test_a_complete_release_is_not_rebuilt(deploy: Deploy) -> None:
    result = deploy("package")
    assert result.returncode == 0, result.stdout
    assert "changed=0" in result.stdout


def test_a_deploy_key_is_removed_after_the_fetch(host: Host, deploy: Deploy, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("not a key, and not used for a local repository\n")
    result = deploy("package", python_app_deploy_key_file=str(key))
    assert result.returncode == 0, result.stdout
    assert "not used" not in result.stdout
    assert host.check_output("find /run -maxdepth 1 -name 'outport-deploy-key*'") == ""


def test_other_hosts_use_the_first_ones_lock_file_and_wheels(host: Host, tmp_path: Path) -> None:
    """Two inventory names of one host act as two hosts; a hook empties the cache of the second before it unpacks the archive of the first."""
    command = ["ansible-inventory", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], "--list"]
    known = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["_meta"]["hostvars"]
    common = {name: value for name, value in next(iter(known.values())).items() if name.startswith("ansible_")}
    common |= {
        "app": "source",
        "python_app_first_host": "one",
        "python_app_name": "{{ app }}",
        "python_app_ref": "main",
    }
    common |= {"python_app_repository": "file:///srv/git/source", "python_app_minimum_free_mb": 50}
    cache = "/var/cache/outport-build/uv"
    two = {"python_app_before_build": [f"rm -rf {cache}"]}
    hosts = {"one": {"python_app_root": "/srv/one"}, "two": {"python_app_root": "/srv/two", **two}}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"vars": common, "hosts": hosts}}))
    # Serially, because both would create the same user at the same time.
    run = ["ansible-playbook", "--forks", "1", "--inventory", str(inventory), str(SCENARIO / "build.yml")]
    result = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout
    first, second = (host.check_output(f"cat /srv/{name}/releases/*/requirements.lock") for name in hosts)
    assert first == second
    host.check_output("/srv/two/releases/*/venv/bin/python -c 'import docopt'")
    # Nothing was built from source again in the empty cache.
    assert host.check_output(f"find {cache}/ -path '*docopt*' -name '*.whl'") == ""
    assert host.check_output("find /srv/two ! -user root -o -name '*.tar'") == ""
