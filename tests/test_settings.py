"""The settings check: each kind of error is reported, with the file and what is allowed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0lQXv1pY0m0v4v3n2QnB3m7b2cJ1x6rC7w8m9k0aZt test"


def load_filter() -> Any:
    """Return the module of the filter plugin."""
    spec = importlib.util.spec_from_file_location("settings_filter", ROOT / "plugins/filter/settings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


settings = load_filter()
SPECS = settings.load(ROOT / "roles/settings/files/spec.yml")
REQUIRED = [name for name, spec in SPECS.items() if "default" not in spec]
# Settings of a single run, on the command line.
SINGLE_RUN = [name for name, spec in SPECS.items() if spec.get("once")]
PERSISTENT = [name for name in SPECS if name not in SINGLE_RUN]
EMPTY: dict[str, Any] = {"list": [], "dict": {}}


class Environment:
    """An inventory directory with valid settings, for a test to change."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "group_vars/all.yml"
        shutil.copytree(ROOT / "inventory/lab", directory)
        key = directory.with_suffix(".pub")
        key.write_text(PUBLIC_KEY)
        self.values = yaml.safe_load(self.file.read_text()) | {"ssh_public_key_file": str(key)}
        self.write()

    def write(self) -> None:
        """Write the values to the settings file."""
        self.file.write_text(yaml.safe_dump(self.values, sort_keys=False))

    def problems(self, **changes: Any) -> list[str]:
        """Return the problems after these changes; `None` is an empty line."""
        self.values |= changes
        self.write()
        return self.check(self.values)

    def check(self, values: dict[str, Any], *more_sources: Path) -> list[str]:
        """Return the problems of these values."""
        return settings.settings_problems(values, [str(self.directory), *map(str, more_sources)], str(ROOT))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Return a valid environment."""
    return Environment(tmp_path / "lab")


def only(problems: list[str]) -> str:
    """Return the one problem."""
    assert len(problems) == 1, problems
    return problems[0]


def test_valid_settings_have_no_problems(environment: Environment) -> None:
    assert environment.problems() == []


def test_all_entries_of_a_setting_that_are_wrong_are_named(environment: Environment) -> None:
    cidrs = only(environment.problems(ssh_allowed_cidrs=["192.0.2.1", "192.0.2.0/24", "office"]))
    assert '"192.0.2.1", "office"' in cidrs
    environment.values["ssh_allowed_cidrs"] = ["192.0.2.0/24"]
    logs = only(environment.problems(log_files={"audit": "audit.log", "Error log": "/var/log/error.log"}))
    assert 'audit: "audit.log", the name "Error log"' in logs


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("app_timeout: 30", "app_timeout: 60", "app_timeout"),
        (
            "app_secrets:\n  MAIL_PASSWORD: AQICAHAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "  MAIL_PASSWORD: AQICAHBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
            "MAIL_PASSWORD",
        ),
    ],
    ids=["setting", "variable"],
)
def test_what_is_set_twice_is_refused(environment: Environment, first: str, second: str, name: str) -> None:
    text = environment.file.read_text() + f"{first}\n"
    environment.file.write_text(f"{text}{second}\n")
    lines = text.count("\n")
    problem = only(environment.check(yaml.safe_load(environment.file.read_text())))
    assert problem.startswith(f"{name} (")
    assert problem.endswith(f":{lines + 1}): is in line {lines}, too. Remove one of them")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_is_named_with_its_file(environment: Environment, name: str) -> None:
    del environment.values[name]
    environment.write()
    problem = only(environment.check(environment.values))
    assert problem.startswith(f"{name}: is missing; add it to {environment.file}")
    assert SPECS[name]["expected"] in problem


@pytest.mark.parametrize("name", PERSISTENT)
def test_an_empty_line_is_not_a_value(environment: Environment, name: str) -> None:
    assert f"{name} ({environment.file}:" in only(environment.problems(**{name: None}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("environment_name", "Lab"),
        ("app_name", "my_app"),
        ("app_repository", "shop.git"),
        ("app_repository", "https://deploy:token@git.example.org/shop.git"),
        ("app_repository", "https://token@git.example.org/shop.git"),
        ("app_repository", "ssh://git:token@git.example.org/shop.git"),
        ("app_ref", "--upload-pack=x"),
        ("app_subdir", "../other"),
        ("app_entry", "run.py"),
        ("app_client_dir", "/srv"),
        ("app_setup_commands", "flask db upgrade"),
        ("app_health_path", "healthz"),
        ("site_domain", "https://shop.lab.test"),
        ("dns_zone", "lab_test"),
        ("acme_email", "operator"),
        ("acme_directory", "http://10.213.0.1/dir"),
        ("acme_ca_url", "/etc/ca.pem"),
        ("aws_region", "Ireland"),
        ("aws_endpoint_url", "10.213.0.1:4566"),
        ("network_cidr", "10.213.0.0/24"),
        ("network_cidr", "10.213.0.1/16"),
        ("ssh_public_key_file", "/nowhere/id.pub"),
        ("ssh_allowed_cidrs", ["10.0.0.1/8"]),
        ("ssh_allowed_cidrs", "10.0.0.0/8"),
        ("web_count", "many"),
        ("web_count", 0),
        ("web_count", True),
        ("web_image", "debian-11-amd64"),
        ("web_image", "debian-13"),
        ("web_image_owner", 1234),
        ("web_instance_type", "small"),
        ("web_user", "Admin User"),
        ("database_instance_class", "t4g.micro"),
        ("database_storage_gb", 5),
        ("database_deletion_protection", "perhaps"),
        ("database_ca_url", "rds-ca.pem"),
        ("backup_retention_days", 36),
        ("cloudwatch_agent_url", "https://example.com/agent.rpm"),
        ("app_requirements", "/etc/requirements.txt"),
        ("app_python", "python3"),
        ("app_extra_requirements", ["./vendor/driver"]),
        ("app_extra_requirements", ["--extra-index-url=https://example.com"]),
        ("app_extra_requirements", "PyMySQL"),
        ("app_sandbox_exceptions", ["network"]),
        ("app_shared_directories", ["../data"]),
        ("app_shared_directories", ["."]),
        ("app_shared_directories", ["data/./x"]),
        ("app_shared_directories", ["/var/lib/shop"]),
        ("app_shared_directories", ["data", "data/uploads"]),
        ("app_shared_directories", ["data", "data"]),
        ("database", "postgres"),
        ("database", False),
        ("app_packages", ["libmagic1; reboot"]),
        ("app_deploy_key_file", "/nowhere/key"),
        ("app_environment", ["LOG_LEVEL=info"]),
        ("app_health_body", "(ok"),
        ("app_timeout", 0),
        ("app_processes", "celery"),
        ("deploy_batches", ["half"]),
    ],
)
def test_an_invalid_value_is_reported_with_the_allowed_values(environment: Environment, name: str, value: Any) -> None:
    problem = environment.problems(**{name: value})[0]
    assert problem.startswith(f"{name} ({environment.file}:")
    assert str(value if not isinstance(value, list) else value[0]) in problem
    assert problem.endswith(f"Allowed: {SPECS[name]['expected']}")


def test_a_private_key_is_not_a_public_key(environment: Environment) -> None:
    Path(environment.values["ssh_public_key_file"]).write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert "does not contain a public key" in only(environment.problems())


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", "ssh-dss"])
def test_a_key_that_ec2_does_not_take_is_refused(environment: Environment, kind: str) -> None:
    Path(environment.values["ssh_public_key_file"]).write_text(f"{kind} AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= operator\n")
    assert f"which has a key of the type {kind}. Allowed: a file with" in only(environment.problems())


@pytest.mark.parametrize("name", [name for name in PERSISTENT if SPECS[name].get("empty")])
def test_optional_settings_may_be_empty(environment: Environment, name: str) -> None:
    assert environment.problems(**{name: EMPTY.get(SPECS[name]["type"], "")}) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("app_environment", {"LOG-LEVEL": "info"}, 'the name "LOG-LEVEL"'),
        ("app_environment", {"LEVELS": ["info"]}, "LEVELS: ['info']"),
        (
            "app_repository_keys",
            {"git@e.org:lib.git": "/nowhere"},
            'git@e.org:lib.git: "/nowhere", which is not a file',
        ),
        ("app_repository_keys", {"https://e.org/lib.git": __file__}, 'the name "https://e.org/lib.git"'),
        ("app_repository_keys", {"lib.git": __file__}, 'the name "lib.git"'),
        ("app_repository_keys", __file__, f'"{__file__}"'),
        ("app_secrets", {"SECRET_KEY": "swordfish"}, 'SECRET_KEY: "swordfish"'),
        ("app_generated_secrets", ["SECRET KEY"], '"SECRET KEY"'),
        ("app_generated_secrets", {"SECRET_KEY": "random"}, "{'SECRET_KEY': 'random'}"),
        ("app_entry", 'shop:create_app("x")', '"shop:create_app("x")"'),
        ("app_processes", {"web": "celery"}, 'the name "web"'),
        ("app_single_processes", {"Beat": "celery"}, 'the name "Beat"'),
        ("app_timers", {"digest": "flask digest"}, "digest: flask digest"),
        ("app_timers", {"digest": {"command": "flask digest"}}, "digest: {'command': 'flask digest'}"),
        ("app_timers", {"digest": {"command": "flask digest", "calendar": "every day"}}, 'digest: "every day"'),
        ("app_static", {"static": "shop/static"}, 'the name "static"'),
        ("app_static", {"/static/": "../../etc"}, '/static/: "../../etc"'),
    ],
)
def test_an_invalid_entry_is_reported(environment: Environment, name: str, value: Any, found: str) -> None:
    problem = only(environment.problems(**{name: value}))
    assert problem.startswith(f"{name} ({environment.file}:")
    assert f"found {found}" in problem
    assert problem.endswith(f"Allowed: {SPECS[name]['expected']}")


@pytest.mark.parametrize(
    "calendar",
    [
        "daily",
        "hourly UTC",
        "*-*-* 03:00:00",
        "03:30",
        "Mon..Fri 08:00",
        "Sat,Sun 10:00:00",
        "*:0/15",
        "*-*-01 04:00",
        "*-02~01 12:00",
        "Mon *-*-1..7 09:00 Europe/Dublin",
        "2026-12-24 18:00:00 UTC",
        "Wed",
    ],
)
def test_a_schedule_of_systemd_is_accepted(environment: Environment, calendar: str) -> None:
    assert environment.problems(app_timers={"digest": {"command": "flask digest", "calendar": calendar}}) == []


@pytest.mark.parametrize(
    ("cron", "calendar"),
    [
        ("0 3 * * *", "*-*-* 3:0:00"),
        ("*/15 * * * *", "*-*-* *:0/15:00"),
        ("30 8 * * 1-5", "Mon..Fri *-*-* 8:30:00"),
        ("0 0 1,15 */2 *", "*-1/2-1,15 0:0:00"),
        ("5 4 * * sun", "Sun *-*-* 4:5:00"),
        ("0 22 * * 0,6", "Sun,Sat *-*-* 22:0:00"),
        ("0 6 10-20/2 * *", "*-*-10..20/2 6:0:00"),
    ],
)
def test_a_schedule_of_cron_is_refused_with_that_of_systemd(environment: Environment, cron: str, calendar: str) -> None:
    problem = only(environment.problems(app_timers={"digest": {"command": "flask digest", "calendar": cron}}))
    assert f'found digest: "{cron}", which is cron\'s notation; systemd\'s is "{calendar}"' in problem
    assert settings.check_calendar(calendar) is None


def test_a_schedule_of_cron_with_two_kinds_of_days_has_no_single_one_of_systemd(environment: Environment) -> None:
    problem = only(environment.problems(app_timers={"digest": {"command": "flask digest", "calendar": "0 3 1 * 1"}}))
    assert "which is cron's notation; systemd's needs two timers" in problem


def test_valid_entries_are_accepted(environment: Environment) -> None:
    values = {
        "app_environment": {"LOG_LEVEL": "info", "PAGE_SIZE": 20},
        "app_secrets": {"SECRET_KEY": "A" * 200 + "=="},
        "app_generated_secrets": ["SESSION_KEY", "Salt_2"],
        "app_repository_keys": dict.fromkeys(("git@e.org:team/lib.git", "ssh://git@e.org:2222/team/lib"), __file__),
        "app_entry": "shop:create_app('config.Production', debug=False)",
        "app_processes": {"worker": "celery --app shop worker"},
        "app_timers": {"digest": {"command": "flask digest", "calendar": "daily"}},
        "app_static": {"/static/": "shop/static"},
        "deploy_batches": [1, "50%"],
        "app_shared_directories": ["instance", ".data", "static/uploads", "static/uploads-2"],
        "app_extra_requirements": ["PyMySQL", "gunicorn[gevent, tornado]", "redis >=5,<7", "x==1.0.*", "y~=2.1"],
        "app_database_variables": {
            "DATABASE_URL": "django",
            "DB_HOST": "{host}",
            "U": "x://{username}@{host}/{dbname}",
        },
    }
    assert environment.problems(**values) == []


@pytest.mark.parametrize("name", SINGLE_RUN)
def test_a_setting_of_a_single_run_is_rejected_in_a_file(environment: Environment, name: str) -> None:
    assert only(environment.problems(**{name: SPECS[name]["default"]})).endswith(f"-e {name}=…")


def test_a_setting_of_a_single_run_is_checked(environment: Environment) -> None:
    problem = only(environment.check(environment.values | {"ref": "HEAD"}))
    assert problem.startswith('ref (from the command line): found "HEAD"')
    assert environment.check(environment.values | {"break_lock": "true", "release": "0123"}) == []


def test_a_misspelt_setting_is_recognised(environment: Environment) -> None:
    assert only(environment.problems(web_cuont=2)).endswith("is not a setting; did you mean web_count?")


def test_a_former_name_is_rejected_with_the_new_one(environment: Environment) -> None:
    problem = only(environment.problems(gunicorn_watch_seconds=5))
    assert problem.startswith(f"gunicorn_watch_seconds ({environment.file}:")
    assert problem.endswith("is now called gunicorn_monitor_seconds. Use that name")


def test_a_former_name_on_the_command_line_is_rejected(environment: Environment) -> None:
    problem = only(environment.check(environment.values | {"schema_moved": "accept"}))
    assert problem == "schema_moved (from the command line): is now called allow_schema_mismatch. Use that name"


def test_every_new_name_exists() -> None:
    renamed = settings.load(ROOT / "roles/settings/files/renamed.yml")
    specs = [path.read_text() for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    names = {*renamed, *renamed.values()}
    known = set(SPECS) | {name for text in specs for name in names if f"      {name}:" in text}
    assert set(renamed.values()) <= known
    # A name that a role still has is in each run's variables.
    assert not set(renamed) & known


def test_a_misspelt_role_option_is_recognised(environment: Environment) -> None:
    assert only(environment.problems(aws_dns_tll=60)).endswith("is not a setting; did you mean aws_dns_ttl?")


def test_role_options_and_connection_variables_are_known(environment: Environment) -> None:
    assert environment.problems(aws_dns_ttl=60, ansible_port=2222) == []


def test_a_variable_that_the_wiring_overrides_is_refused(environment: Environment) -> None:
    assert "group_vars/all/aws_wiring.yml:" in only(environment.problems(aws_dns_zone="other.test"))


def test_the_site_must_be_in_its_zone(environment: Environment) -> None:
    assert only(environment.problems(site_domain="shop.example.com")).startswith('dns_zone: found "lab.test"')


def test_the_settings_of_a_database_are_needed_only_with_one(environment: Environment) -> None:
    for name in [name for name in environment.values if name.startswith("database_")]:
        del environment.values[name]
    assert len(environment.problems()) == 4
    assert environment.problems(database="none") == []
    problem = only(environment.problems(app_database_variables={"DATABASE_URL": "django"}))
    assert problem == (
        "app_database_variables: found variables of a database, but database is none. Change one of them"
    )


def test_several_hosts_with_shared_directories_are_a_warning(environment: Environment) -> None:
    environment.values |= {"app_shared_directories": ["instance", "uploads"], "web_count": 2}
    (warning,) = settings.settings_warnings(environment.values)
    assert warning.startswith("app_shared_directories: each of the 2 web hosts has its own instance, uploads")
    assert environment.problems() == []
    assert settings.settings_warnings(environment.values | {"web_count": 1}) == []


def test_options_of_gunicorn_that_would_break_the_switch_are_refused(environment: Environment) -> None:
    assert environment.problems(app_environment={"GUNICORN_CMD_ARGS": "--workers=3 --log-level debug"}) == []
    problem = only(environment.problems(app_environment={"GUNICORN_CMD_ARGS": "--bind=0.0.0.0:80 -t 9 --workers 3"}))
    assert problem.startswith("app_environment: GUNICORN_CMD_ARGS has --bind=0.0.0.0:80 -t, which")
    problem = only(environment.problems(app_environment={"GUNICORN_CMD_ARGS": "--name 'shop"}))
    assert problem == "app_environment: GUNICORN_CMD_ARGS can't be parsed: No closing quotation. Fix it"


def test_a_token_is_for_https(environment: Environment) -> None:
    token = {"app_repository_token": "A" * 40}
    assert environment.problems(app_repository="https://git.example.org:8443/shop.git", **token) == []
    for url in ("git@git.example.org:shop.git", "ssh://git@git.example.org/shop.git"):
        assert only(environment.problems(app_repository=url)).startswith(
            f'app_repository_token: app_repository is "{url}"'
        )
        assert environment.problems(app_repository=url, app_repository_token="") == []
        environment.values |= token


def test_a_variable_has_one_value(environment: Environment) -> None:
    changes = {"app_environment": {"TOKEN": "1", "URL": "2"}, "app_database_variables": {"URL": "django"}}
    secrets: dict[str, Any] = {"app_secrets": {"TOKEN": "A" * 40}, "app_generated_secrets": ["TOKEN"]}
    problems = environment.problems(**changes, **secrets)
    assert problems == [
        "app_secrets: TOKEN is in app_environment too. Remove it from one of them",
        "app_generated_secrets: TOKEN is in app_environment too. Remove it from one of them",
        "app_database_variables: URL is in app_environment too. Remove it from one of them",
        "app_generated_secrets: TOKEN is in app_secrets too. Remove it from one of them",
    ]


def test_the_place_of_each_variable_is_known(environment: Environment, tmp_path: Path) -> None:
    environment.file.write_text(
        "app_environment: {LEVEL: info}\napp_secrets:\n  # Of the mail server.\n  MAIL: A\n  TOKEN: A\n"
        "app_generated_secrets:\n- KEY\n"
    )
    (tmp_path / "extra/group_vars").mkdir(parents=True)
    extra = tmp_path / "extra/group_vars/all.yml"
    extra.write_text("app_secrets: {TOKEN: B}\n")
    values = {
        "app_environment": {"LEVEL": "info", "MODE": "fast"},
        "app_secrets": {"MAIL": "A", "TOKEN": "B"},
        "app_generated_secrets": ["KEY"],
    }
    assert settings.app_variables(values, [str(environment.directory), str(tmp_path / "extra")]) == {
        "LEVEL": {"setting": "app_environment", "place": f"{environment.file}:1"},
        "MODE": {"setting": "app_environment", "place": "the command line"},
        "MAIL": {"setting": "app_secrets", "place": f"{environment.file}:4"},
        "TOKEN": {"setting": "app_secrets", "place": f"{extra}:1"},
        "KEY": {"setting": "app_generated_secrets", "place": f"{environment.file}:7"},
    }


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("gunicorn_workers", "two", "a value of the type int"),
        ("gunicorn_threads", None, "a value of the type int"),
        ("python_app_keep", ["3"], "a value of the type int"),
    ],
)
def test_an_option_of_a_role_with_an_invalid_value_is_reported(
    environment: Environment, option: str, value: Any, allowed: str
) -> None:
    problem = only(environment.problems(**{option: value}))
    assert problem.startswith(f"{option} ({environment.file}:")
    assert f"Allowed: {allowed}." in problem


def test_a_number_that_lost_a_zero_is_reported(environment: Environment) -> None:
    assert "found 3.1, a number, which may have lost a zero" in only(environment.problems(app_python=3.10))


def test_a_copied_environment_needs_a_name_of_its_own(environment: Environment, tmp_path: Path) -> None:
    copy = Environment(tmp_path / "staging")
    problem = only(copy.problems())
    assert problem.startswith(f'environment_name ({copy.file}:1): found "lab" in the directory {copy.directory}.')
    assert copy.problems(environment_name="staging") == []
    assert environment.problems() == []


@pytest.mark.parametrize(
    ("playbook", "option", "problem"),
    [
        ("deploy", "reff=v2", "reff (from the command line): is not a setting; did you mean ref?"),
        ("rollback", "releases=1", "releases (from the command line): is not a setting; did you mean release?"),
        ("restore", "dmp=newest", "dmp (from the command line): is not a setting; did you mean dump?"),
        ("provision", "environment_name=production", 'environment_name (from the command line): found "production"'),
        ("provision", "gunicorn_workers=two", 'gunicorn_workers (from the command line): found "two"'),
    ],
)
def test_the_command_line_is_checked(environment: Environment, playbook: str, option: str, problem: str) -> None:
    (environment.directory / "aws_ec2.yml").unlink()  # it would query AWS
    (environment.directory / "hosts.yml").write_text("all: {}\n")
    result = run_playbook(environment.directory, "-e", option, playbook=playbook)
    assert result.returncode != 0
    assert problem in " ".join(result.stdout.split())


def test_all_problems_are_reported_at_once(environment: Environment) -> None:
    assert len(environment.problems(web_count=0, web_cuont=2, acme_email=None)) == 3


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    problem = only(settings.settings_problems({}, [str(tmp_path)], str(ROOT)))
    assert problem.startswith(f"{tmp_path}/group_vars/all.yml: is missing.")


def test_a_second_source_may_contain_overrides_only(environment: Environment, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    (extra / "group_vars").mkdir(parents=True)
    (extra / "group_vars/all.yml").write_text("web_count: 0\n")
    problem = only(environment.check(environment.values | {"web_count": 0}, extra))
    assert problem.startswith(f"web_count ({extra}/group_vars/all.yml:1): found 0.")


def run_playbook(directory: Path, *arguments: str, playbook: str = "provision") -> subprocess.CompletedProcess[str]:
    """Run a playbook up to its first request to AWS, which fails here."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    command = [program, f"playbooks/{playbook}.yml", "-i", str(directory)]
    variables = os.environ | {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_MAX_ATTEMPTS": "1",
    }
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_playbook_stops_before_the_first_change(environment: Environment) -> None:
    (environment.directory / "aws_ec2.yml").unlink()  # it would query AWS
    (environment.directory / "hosts.yml").write_text("all: {}\n")
    environment.problems(web_count="many", web_cuont=2)
    result = run_playbook(environment.directory, "--check")
    assert result.returncode != 0
    assert "nothing was changed" in result.stdout
    assert 'found "many"' in result.stdout
    assert "did you mean web_count?" in result.stdout
    assert "Provision AWS" not in result.stdout


def test_a_fresh_clone_reports_the_missing_settings_before_it_queries_aws() -> None:
    reported = run_playbook(ROOT / "inventory/production").stdout
    for name in ("app_name", "app_repository", "site_domain", "acme_email", "ssh_allowed_cidrs"):
        assert f"{name} (" in reported


@pytest.mark.parametrize("name", ["lab", "production"])
def test_an_environment_has_every_required_setting_and_at_most_40_lines(name: str) -> None:
    text = (ROOT / f"inventory/{name}/group_vars/all.yml").read_text()
    keys = [key for key in yaml.safe_load(text) if not key.startswith("ansible_")]
    assert [key for key in keys if key in REQUIRED] == REQUIRED
    assert set(keys) <= set(PERSISTENT)
    assert len(text.splitlines()) <= 40
