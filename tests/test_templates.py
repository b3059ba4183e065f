"""Every template, rendered by Ansible with the lab's settings, is valid for its program."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible.module_utils.release.gunicorn_settings import OWNED, overridden
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

from lab import layout

ROOT = Path(__file__).parent.parent
TEMPLATES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("roles/*/templates/*"))
SCHEMA = json.loads((ROOT / "tests/data/cloudwatch_agent.schema.json").read_text())

init_plugin_loader()

# Facts of a run from AWS, from earlier tasks and from the inventory.
FACTS = {
    "groups": {"web": ["listings-lab-web-1", "listings-lab-web-2"]},
    "hostvars": {
        "listings-lab-web-1": {"ec2_private_ip_address": "10.213.1.4"},
        "listings-lab-web-2": {"ec2_private_ip_address": "10.213.2.4"},
    },
    "inventory_hostname": "listings-lab-web-1",
    "ec2_owner_id": "123456789012",
    "ec2_instance_id": "i-0123456789abcdef0",
    "python_app_release": "0123456789ab",
    "python_app_credentials": "Y2lwaGVydGV4dA==",
    "python_app_stored_secrets": "",
    # Loop variables of the role.
    "_gunicorn_process": "digest",
    "gunicorn_timers": {"digest": {"command": "flask digest", "calendar": "daily"}},
    "release_id": "0123456789ab-012345",
    "_aws_storage_bucket": "listings-lab-media-123456789012",
}
# The valid sections of the project's units.
SECTIONS = {
    "service": {"Unit", "Service", "Install"},
    "socket": {"Unit", "Socket", "Install"},
    "timer": {"Unit", "Timer", "Install"},
    "drop-in": {"Unit", "Service"},
}
UNITS = {
    "roles/certbot/templates/ca.conf.j2": "drop-in",
    "roles/nginx/templates/stop.conf.j2": "drop-in",
    **{path: Path(path).stem for path in TEMPLATES if Path(path).stem in SECTIONS},
}
# Keys that systemd accumulates; for others the last value wins.
REPEATABLE = {
    "After",
    "Environment",
    "SystemCallFilter",
    "Wants",
    "Requires",
    "ListenStream",
    "LoadCredential",
    "ExecStop",
}


@cache
def wired() -> dict[str, Any]:
    """Return the variables of a lab host: all roles' own, then the settings, names and wiring."""
    loader = DataLoader()
    files = [
        *sorted(ROOT.glob("roles/*/defaults/main.yml")),
        *sorted(ROOT.glob("roles/*/vars/main.yml")),
        ROOT / "inventory/lab/group_vars/all.yml",
        *sorted(ROOT.glob("group_vars/all/*.yml")),
    ]
    found: dict[str, Any] = {}
    for path in files:
        found |= loader.load_from_file(str(path), trusted_as_template=True) or {}
    return found | FACTS


def trusted(changes: dict[str, Any]) -> dict[str, Any]:
    """Return variables as if they were written in a playbook."""
    return {name: trust_as_template(value) if isinstance(value, str) else value for name, value in changes.items()}


def value_of(name: str, **changes: Any) -> Any:
    """Return a variable's value with some variables changed."""
    templar = Templar(DataLoader(), variables=wired() | trusted(changes))
    return templar.template(trust_as_template(f"{{{{ {name} }}}}"))


def render(path: str, **changes: Any) -> str:
    """Render a template with some variables changed; an undefined variable is an error."""
    return str(value_of(f"lookup('ansible.builtin.template', '{ROOT / path}')", **changes))


@pytest.mark.parametrize("path", TEMPLATES)
def test_no_placeholder_remains(path: str) -> None:
    text = render(path)
    assert text.strip()
    assert re.findall(r"\{\{|\{%|\bNone\b|\bUndefined\b", text) == []


@pytest.mark.parametrize("path", [path for path in TEMPLATES if not path.endswith(".json.j2")])
def test_a_file_has_the_ansible_managed_comment(path: str) -> None:
    assert "Ansible managed" in "".join(render(path).splitlines()[:3])


@pytest.mark.parametrize("path", [path for path in TEMPLATES if path.endswith(".json.j2")])
def test_json_templates_render_valid_json(path: str) -> None:
    assert json.loads(render(path))


def test_the_hosts_policy_allows_decryption_with_the_context_only() -> None:
    policy = json.loads(render("roles/aws_access/templates/policy.json.j2"))
    (decrypt,) = [entry for entry in policy["Statement"] if entry["Action"] == "kms:Decrypt"]
    context = value_of("database_credentials_context")
    assert decrypt["Condition"] == {
        "StringEquals": {f"kms:EncryptionContext:{name}": value for name, value in context.items()}
    }
    assert [entry["Sid"] for entry in policy["Statement"] if entry["Resource"] == "*"] == ["SendMetrics"]


def nginx(**changes: Any) -> str:
    """Return nginx's configuration."""
    return render("roles/nginx/templates/nginx.conf.j2", **changes)


def servers(config: str) -> list[str]:
    """Return the content of each server block of an nginx configuration."""
    found = []
    for start in re.finditer(r"^\s*server \{", config, re.MULTILINE):
        depth, end = 1, start.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(config[end], 0)
            end += 1
        found.append(config[start.end() : end - 1])
    return found


def sites(config: str, port: int) -> list[str]:
    """Return the servers of the site's name at a port."""
    return [text for text in servers(config) if "server_name listings.lab.test;" in text and f"listen {port}" in text]


def test_nginx_serves_the_domain_once_over_https() -> None:
    config = nginx()
    assert sites(config, 443) == sites(config, 80)
    (site,) = sites(config, 443)
    assert "ssl_certificate /etc/nginx/tls/listings.lab.test.crt;" in site
    assert "if ($to_https) {\n      return 301 https://$host$request_uri;" in site
    assert len(servers(config)) == 2
    assert config.count("{") == config.count("}")


def test_nginx_proxies_to_the_live_release() -> None:
    assert "server unix:/srv/listings/live/run/gunicorn.sock fail_timeout=0;" in nginx()
    assert "root /srv/listings/live/app/client;" in nginx()


def test_nginx_without_static_files_proxies_everything_to_the_application() -> None:
    (secure,) = sites(nginx(app_client_dir=""), 443)
    assert re.findall(r"root (\S+);", secure) == ["/var/www/acme", "/", "/"]
    assert "@application" in secure


def test_nginx_redirects_or_serves_the_other_names() -> None:
    aliases = ["www.listings.lab.test", "listings.example.org"]
    (redirected,) = [
        text for text in servers(nginx(site_aliases=aliases)) if f"server_name {' '.join(aliases)};" in text
    ]
    assert "return 301 https://listings.lab.test$request_uri;" in redirected
    assert "location /.well-known/acme-challenge/" in redirected
    served = nginx(site_aliases=aliases, site_redirect_aliases=False)
    assert f"server_name listings.lab.test {' '.join(aliases)};" in served
    assert len(servers(served)) == 2


def test_nginx_forwards_challenges_only_to_existing_hosts() -> None:
    assert "server 10.213.2.4;" in nginx()
    alone = nginx(groups={"web": ["listings-lab-web-1"]})
    assert "acme_peers" not in alone
    assert "root /var/www/acme;" in alone


def test_nginx_has_a_longer_timeout_than_gunicorn() -> None:
    (timeout,) = set(re.findall(r"proxy_read_timeout (\d+);\n\s+proxy_send", nginx(app_timeout=120)))
    assert int(timeout) > 120


def test_a_unit_is_not_killed_while_gunicorn_drains_requests() -> None:
    text = render("roles/gunicorn/templates/service.j2", app_timeout=120)
    assert int(re.search(r"TimeoutStopSec=(\d+)", text).group(1)) > 120


def unit_problems(text: str, kind: str) -> list[str]:
    """Return the lines that systemd would reject or misinterpret."""
    problems, section = [], ""
    seen: Counter[tuple[str, str]] = Counter()
    sections: Counter[str] = Counter()
    for line in text.splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
            sections[section] += 1
            if section not in SECTIONS[kind]:
                problems.append(f"[{section}] is unknown in a {kind}")
        elif match := re.fullmatch(r"(\w+)=(.*)", line):
            seen[section, match[1]] += 1
        else:
            problems.append(f"not understood: {line}")
    problems += [f"[{name}] appears {count} times" for name, count in sections.items() if count > 1]
    return problems + [
        f"{key} appears {count} times" for (_, key), count in seen.items() if count > 1 and key not in REPEATABLE
    ]


@pytest.mark.parametrize(("path", "kind"), UNITS.items())
def test_units_are_well_formed(path: str, kind: str) -> None:
    assert unit_problems(render(path), kind) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[Unit]\n[Unit]\n", "[Unit] appears 2 times"),
        ("[Sevice]\nUser=a\n", "[Sevice] is unknown in a service"),
        ("[Service]\nUser=a\nUser=b\n", "User appears 2 times"),
        ("[Service]\nUser: a\n", "not understood: User: a"),
    ],
)
def test_a_malformed_unit_is_recognised(text: str, problem: str) -> None:
    assert unit_problems(text, "service") == [problem]


def test_the_app_gets_its_settings_and_no_secret() -> None:
    lines = render("roles/python_app/templates/environment.j2").splitlines()
    found = dict(part.split("=", 1) for line in lines if not line.startswith("#") for part in shlex.split(line))
    assert json.loads(found["DATABASE_CREDENTIALS_CONTEXT"]) == {"Application": "listings", "Environment": "lab"}
    assert found["AWS_ENDPOINT_URL"] == "http://10.213.0.1:4566"
    assert FACTS["python_app_credentials"] not in " ".join(found.values())


def test_another_python_of_the_host_makes_another_release() -> None:
    """The release's id has a checksum of these values."""
    old, new = (
        value_of("_python_app_settings", _python_app_source={"python": version}) for version in ("3.11", "3.13")
    )
    assert (old[0], new[0]) == ("3.11", "3.13")


def test_another_value_of_a_secret_makes_another_release_and_none_has_no_file() -> None:
    one, other = (value_of("_python_app_settings", python_app_stored_secrets=text) for text in ("b25l", "b3RoZXI="))
    assert one != other
    (file,) = value_of("_python_app_secrets", python_app_stored_secrets="b25l").values()
    assert json.loads(file)["stored"] == {"ciphertext": "b25l", "names": []}
    assert value_of("_python_app_secrets", python_app_stored_secrets="") == {}


def test_each_repository_has_the_key_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("app", "lib"):
        (tmp_path / name).write_text(f"key of {name}\n")
    lib, app = {"git@e.org:lib.git": "~/lib"}, str(tmp_path / "app")
    for changes, keys in (
        ({}, {}),
        ({"app_deploy_key_file": app}, {"": "key of app\n"}),
        (
            {"app_deploy_key_file": app, "app_repository_keys": lib},
            {"": "key of app\n", "git@e.org:lib.git": "key of lib\n"},
        ),
    ):
        assert value_of("_python_app_keys", **changes) == keys


def test_an_empty_setting_is_not_in_the_apps_environment() -> None:
    assert "AWS_ENDPOINT_URL" not in render("roles/python_app/templates/environment.j2", aws_endpoint_url="")


def gunicorn(
    directory: Path, own: str = "", environment: dict[str, str] | None = None, **changes: Any
) -> dict[str, Any]:
    """Return the settings that gunicorn reads in an app's directory, whose own gunicorn.conf.py is `own`."""
    app = directory / "app"
    app.mkdir()
    (directory / "gunicorn.conf.py").write_text(value_of("gunicorn_release_files", **changes)["gunicorn.conf.py"])
    if own:
        (app / "gunicorn.conf.py").write_text(own)
    names = [
        "wsgi_app",
        "bind",
        "workers",
        "threads",
        "timeout",
        "keepalive",
        "daemon",
        "accesslog",
        "pidfile",
    ]
    code = f"""
import json
from gunicorn.app.wsgiapp import WSGIApplication
cfg = WSGIApplication().cfg
cfg.post_fork(None, None)
print(json.dumps({{name: getattr(cfg, name) for name in {names}}} | {{"worker": str(cfg.settings["worker_class"].get())}}))
"""
    command = [sys.executable, "-c", code, "--config", "../gunicorn.conf.py"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WEB_", "GUNICORN_"))}
    found = subprocess.run(
        command, cwd=app, env=clean | (environment or {}), capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(found.stdout.splitlines()[-1]) | {"printed": found.stdout.splitlines()[:-1]}


def test_gunicorn_has_defaults_for_this_machine(tmp_path: Path) -> None:
    found = gunicorn(tmp_path)
    assert (found["wsgi_app"], found["worker"], found["threads"]) == ("run:app", "gthread", 4)
    assert found["workers"] == 2 * (os.cpu_count() or 1) + 1


def test_the_apps_own_gunicorn_settings_are_used_except_for_the_releases(tmp_path: Path) -> None:
    own = (
        "import os\nworkers, keepalive = 7, 9\naccesslog = '-'\nbind = '0.0.0.0:8000'\ntimeout = 999\ndaemon = True\n"
        "pidfile = 'x'\nwsgi_app = 'other:app'\nGREETING = 'hello'\n\ndef post_fork(server, worker):\n    print(GREETING)\n"
    )
    found = gunicorn(tmp_path, own, app_timeout=45)
    assert (found["workers"], found["keepalive"], found["accesslog"], found["printed"]) == (7, 9, "-", ["hello"])
    assert (found["wsgi_app"], found["timeout"], found["daemon"], found["pidfile"]) == ("run:app", 45, False, None)
    assert found["bind"] == ["127.0.0.1:8000"]
    assert overridden(own) == ["bind", "daemon", "pidfile", "timeout", "wsgi_app"]


def test_the_usual_variables_of_gunicorn_are_used(tmp_path: Path) -> None:
    found = gunicorn(tmp_path, "", {"WEB_CONCURRENCY": "3", "GUNICORN_CMD_ARGS": "--threads=2"})
    assert (found["workers"], found["threads"]) == (3, 2)


def test_every_setting_that_is_the_releases_is_set_in_the_file() -> None:
    text = value_of("gunicorn_release_files")["gunicorn.conf.py"].partition("are Outport's")[2]
    assert [name for name in OWNED if not re.search(rf'^{name} = |"{name}"', text, re.MULTILINE)] == []


LIMITED = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for listings.lab.test
An unexpected error occurred:
too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-11-28 10:00:00 UTC
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile for more details.
"""


def test_a_limit_of_the_certificate_authority_is_reported_in_its_words() -> None:
    issue = {"stdout_lines": [], "stderr_lines": LIMITED.splitlines()}
    assert value_of("_certbot_errors", _certbot_issue=issue) == LIMITED.splitlines()[2:4]
    assert value_of("_certbot_limited", _certbot_issue=issue) is True
    assert value_of("_certbot_limited", _certbot_issue={"stderr_lines": ["DNS problem: NXDOMAIN"]}) is False


def test_ssh_accepts_keys_only() -> None:
    lines = render("roles/base/templates/sshd.conf.j2").splitlines()
    for line in ("PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin no"):
        assert line in lines


def test_a_host_reboots_automatically_only_at_a_given_time() -> None:
    assert 'Automatic-Reboot "true"' in render("roles/base/templates/52outport.j2", base_reboot_time="03:00")
    never = render("roles/base/templates/52outport.j2", base_reboot_time="")
    assert 'Automatic-Reboot "false"' in never
    assert "Reboot-Time" not in never


def test_the_backup_uses_the_aws_api_by_default() -> None:
    assert json.loads(render("roles/rds_backup/templates/config.json.j2", aws_endpoint_url=""))["endpoint_url"] is None


def agent_config(**changes: Any) -> dict[str, Any]:
    """Return the CloudWatch agent's configuration as it is written to the host."""
    return json.loads(json.dumps(value_of("_cloudwatch_agent_config", **changes)))


def agent_problems(config: dict[str, Any]) -> list[str]:
    """Return the differences of a configuration from the schema, and log groups with several files."""
    problems = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(config)
    ]
    groups = Counter(entry["log_group_name"] for entry in config["logs"]["logs_collected"]["files"]["collect_list"])
    return problems + [f"{name}: one log group, several files" for name, count in groups.items() if count > 1]


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_agents_configuration_fits_the_schema() -> None:
    assert agent_problems(agent_config()) == []
    assert agent_config()["metrics"]["endpoint_override"] == "http://10.213.0.1:4566"


def test_the_agent_uses_the_aws_api_by_default() -> None:
    config = agent_config(aws_endpoint_url="")
    assert agent_problems(config) == []
    assert "endpoint_override" not in config["metrics"] | config["logs"]


@pytest.mark.parametrize(
    ("place", "key", "value", "problem"),
    [
        (("agent",), "metric_collection_interval", 60, "metric_collection_interval"),
        (("agent",), "metrics_collection_interval", "60", "is not of type 'integer'"),
        (("agent",), "run_as_user", "root", "'cwagent' was expected"),
        ((), "trace", {}, "trace"),
        (("metrics",), "name_space", "Outport", "name_space"),
        (("metrics", "metrics_collected"), "memory", {"measurement": ["used"]}, "memory"),
        (("metrics", "metrics_collected", "mem"), "measurement", ["used_percents"], "used_percents"),
        (("metrics", "metrics_collected", "cpu"), "total_cpu", True, "total_cpu"),
        # The hosts' role may not set it.
        (("logs", "logs_collected", "files", "collect_list", 0), "retention_in_days", 7, "retention_in_days"),
    ],
)
def test_the_schema_rejects_errors_that_the_agent_ignores(
    place: tuple[str | int, ...], key: str, value: Any, problem: str
) -> None:
    config = agent_config()
    target: Any = config
    for part in place:
        target = target[part]
    target[key] = value
    (found,) = agent_problems(config)
    assert problem in found


def test_two_files_in_one_log_group_are_recognised() -> None:
    config = agent_config()
    entries = config["logs"]["logs_collected"]["files"]["collect_list"]
    entries[1]["log_group_name"] = entries[0]["log_group_name"]
    (found,) = agent_problems(config)
    assert "several files" in found


@pytest.mark.parametrize(
    ("image", "name", "owner", "user", "architecture", "agent"),
    [
        ("debian-13-arm64", "debian-13-arm64-*", "136693071363", "admin", "arm64", "debian/arm64"),
        (
            "ubuntu-24.04-amd64",
            "ubuntu/images/hvm-ssd*/ubuntu-*-24.04-amd64-server-*",
            "099720109477",
            "ubuntu",
            "x86_64",
            "ubuntu/amd64",
        ),
    ],
)
def test_the_image_its_user_and_the_agent_follow_from_one_setting(
    image: str, name: str, owner: str, user: str, architecture: str, agent: str
) -> None:
    values = {"web_image": image, "cloudwatch_agent_url": ""}
    assert value_of("aws_instances_image_name", **values) == name
    assert value_of("aws_instances_image_owner", **values) == owner
    assert value_of("aws_instances_architecture", **values) == architecture
    assert value_of("ansible_user", **values) == user
    assert value_of("cloudwatch_agent_package_url", **values).endswith(
        f".com/{agent}/latest/amazon-cloudwatch-agent.deb"
    )


@pytest.mark.parametrize("image", layout.SUITES.values())
def test_the_user_of_the_labs_images_is_the_one_it_logs_in_as(image: str) -> None:
    assert value_of("host_user", web_image=image, web_user="") == layout.USER


def test_an_image_of_your_own_has_its_own_name_owner_and_user() -> None:
    values = {"web_image_name": "shop-*", "web_image_owner": "self", "web_user": "shop"}
    assert value_of("aws_instances_image_name", **values) == "shop-*"
    assert value_of("aws_instances_image_owner", **values) == "self"
    assert value_of("ansible_user", **values) == "shop"


def test_the_command_for_operators_is_a_script_that_passes_its_arguments(tmp_path: Path) -> None:
    script = tmp_path / "outport-rds"
    script.write_text(render("roles/rds_backup/templates/outport-rds.j2"))
    stub = tmp_path / "systemd-run"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    command = ["sh", str(script), "discard", "two arguments"]
    done = subprocess.run(
        command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    arguments = done.stdout.splitlines()
    assert arguments[-2:] == ["discard", "two arguments"]
    assert "--property=DynamicUser=yes" in arguments
    assert "--property=SystemCallFilter=~@privileged" in arguments
