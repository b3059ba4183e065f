"""The environment variables that the app reads: secrets, those that it fails without, and those that production needs other values of."""

import re
from collections import defaultdict
from dataclasses import replace

from init.detect.entry import Entry
from init.hints import Hints
from init.project import Project
from init.reads import MISSING, Read
from init.report import Place, Report
from init.settings_check import VARIABLES
from init.uses import URL, kind_of

# Random values that nobody has to know.
GENERATED = re.compile(
    r"(?:\w+_)?SECRET(?:_?KEY)?|(?:\w+_)?SECRET_KEY_BASE|(?:\w+_)?PASSWORD_SALT|(?:\w+_)?(?:COOKIE|SESSION|SIGNING|CSRF|HMAC|JWT)_(?:SECRET|KEY|SALT)\w*"
)
# Of another service, which gives its own value.
_OTHERS_SECRET = re.compile(
    r"(?:\w*(?:CLIENT|AWS|STRIPE|GITHUB|GOOGLE|TWITTER|FACEBOOK|OAUTH|RECAPTCHA|TWILIO|WEBHOOK|APP_)\w*)_?SECRET(?:_KEY)?"
)
# Tests would create and drop tables.
_NOT_PRODUCTION = re.compile(r"(?:^|_)(?:TEST|TESTING|DEV|DEVELOPMENT|CI|LOCAL|STAGING)(?:_|$)")
_REDIS = re.compile(
    r"(?:\w+_)?REDIS(?:_\w+)?_?(?:URL|URI|DSN)|REDIS|CELERY_(?:BROKER|RESULT)(?:_URL|_BACKEND)?|(?:RESULT_BACKEND|BROKER_URL)|RATELIMIT_STORAGE_UR[IL]"
)
_REDIS_HOST = re.compile(r"(?:\w+_)?REDIS_(?:HOST|SERVER)")
_HOSTS = re.compile(r"(?:DJANGO_)?(?:ALLOWED_HOSTS?|TRUSTED_HOSTS)")
_SITE_URL = re.compile(r"(?:DJANGO_)?CSRF_TRUSTED_ORIGINS|(?:\w+_)?(?:SITE|BASE|PUBLIC|APP|EXTERNAL|FRONTEND)_URL")
_DEBUG = re.compile(r"(?:DJANGO_|FLASK_|APP_)?DEBUG")
_CREATE_KEY = (
    "After the first deploy, create instance/config.py, which the app reads, and deploy again: "
    "sudo /opt/outport/run /srv/NAME python -c "
    "\"import secrets; open('instance/config.py', 'w').write(f'SECRET_KEY = {secrets.token_hex()!r}')\""
)
_OWN = {
    "MEDIA_BUCKET",
    "DATABASE_CREDENTIALS_FILE",
    "DATABASE_CREDENTIALS_CONTEXT",
    "DATABASE_CA_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
}
_SYSTEM = {
    "HOME",
    "PATH",
    "USER",
    "PORT",
    "PWD",
    "TMPDIR",
    "TZ",
    "LANG",
    "SHELL",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "WEB_CONCURRENCY",
    "DJANGO_SETTINGS_MODULE",
}


def reads_of(project: Project, entry: Entry) -> dict[str, Read]:
    """Return the reads of the app's code by name, with their uses in all of it; one that fails without the variable precedes others."""
    modules = [m for m in project.modules.values() if not entry.subdir or m.path.is_relative_to(entry.subdir)]
    found: dict[str, Read] = {}
    uses: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        for read in module.reads:
            known = found.get(read.name)
            uses[read.name] |= read.uses
            for other in modules:
                for name in read.names & other.uses.wanted.keys():
                    uses[read.name] |= other.uses.wanted[name]
            if (
                known is None
                or (read.required and not known.required)
                or (known.default is MISSING and not known.required and read.default is not MISSING)
            ):
                found[read.name] = read
    return {name: replace(read, uses=frozenset(uses[name])) for name, read in found.items()}


def database_urls(reads: dict[str, Read]) -> list[Read]:
    """Return the variables with the URL of production's database."""
    return [read for name, read in reads.items() if "REDIS" not in name and _kind(read) == URL]


def database_parts(reads: dict[str, Read]) -> dict[str, tuple[str, Read]]:
    """Return the variables with a part of a database's address or credentials, each with its template; empty unless there is one of a password.

    The file of the CA is one also where the code reads a URL.
    """
    found = {name: ("{" + kind + "}", read) for name, read in reads.items() if (kind := _kind(read)) not in ("", URL)}
    if any(template == "{password}" for template, _ in found.values()):
        return found
    return {name: part for name, part in found.items() if part[0] == "{ca_file}"} if database_urls(reads) else {}


def _kind(read: Read) -> str:
    """Return what a variable has of production's database: by its name, else by what the code uses it for."""
    if _NOT_PRODUCTION.search(read.name) or read.name in _OWN | _SYSTEM:
        return ""
    return kind_of(read.name) or next((kind for kind in (URL, *sorted(read.uses)) if kind in read.uses), "")


def detect(
    project: Project, entry: Entry, hints: Hints, names: set[str], domain: str, reads: dict[str, Read], report: Report
) -> None:
    """Set the variables whose values are known, and note the others that the app fails without."""
    others: list[Read] = []
    database = {read.name for read in database_urls(reads)} | database_parts(reads).keys()
    for name, read in sorted(reads.items()):
        if name in _OWN | _SYSTEM | database or name in report.get("app_environment", {}):
            continue
        if GENERATED.fullmatch(name) and not _OTHERS_SECRET.fullmatch(name):
            report.add("app_generated_secrets", [name], f"reads {name}; a random value is generated", read.place)
        elif _REDIS.fullmatch(name) and _uses_redis(names):
            _set_redis(name, read, "redis://127.0.0.1:6379/0", report)
        elif _REDIS_HOST.fullmatch(name) and _uses_redis(names):
            _set_redis(name, read, "127.0.0.1", report)
        elif _HOSTS.fullmatch(name):
            report.add("app_environment", {name: domain}, f"reads {name}", read.place)
        elif _SITE_URL.fullmatch(name) and (
            read.required or _HOSTS.fullmatch(name.removesuffix("_ORIGINS")) or "CSRF" in name
        ):
            report.add("app_environment", {name: f"https://{domain}"}, f"reads {name}", read.place)
        elif _DEBUG.fullmatch(name) and (
            read.required or read.default not in (MISSING, None, False, "", "0", 0, "False", "false")
        ):
            report.add("app_environment", {name: "0"}, f"debugging is on without {name}", read.place)
        elif name == "LOG_TO_STDOUT":
            report.add("app_environment", {name: "1"}, "the log goes to the journal", read.place)
        elif name in hints.variables and _is_setting_of_an_image(name, *hints.variables[name]):
            value, place = hints.variables[name]
            report.add("app_environment", {name: value}, f"the image sets {name}", place)
        elif read.required:
            others.append(read)
    for name, (_, place) in sorted(hints.variables.items()):
        if name not in reads and GENERATED.fullmatch(name) and not _OTHERS_SECRET.fullmatch(name):
            report.add("app_generated_secrets", [name], f"sets {name}; a random value is generated", place)
    if "FLASK_APP" in hints.variables and any(
        re.match(r"flask (?!--app)", command) for command in report.get("app_setup_commands", [])
    ):
        value, place = hints.variables["FLASK_APP"]
        report.add("app_environment", {"FLASK_APP": value}, "sets FLASK_APP", place)
    _detect_prefixed(project, entry, report)
    _detect_constant_key(project, entry, report)
    given = {name for setting in VARIABLES for name in report.given.get(setting) or ()}
    for read in others:
        if read.name in given:
            continue
        report.note(
            f"{read.name} has no default. Add it to app_environment, or, when it is secret, store it after playbooks/provision.yml: "
            f"ansible-playbook playbooks/secrets.yml -e secret_name={read.name}",
            read.place,
        )


def _is_setting_of_an_image(name: str, value: str, place: Place) -> bool:
    """Return whether a variable of a Dockerfile, which is for production, is one for any host: no path of the image, no secret."""
    plain = value and not re.search(r"[/$]", value) and not re.search(r"SECRET|PASSWORD|TOKEN|KEY|URL|HOST", name)
    return bool(plain) and "Dockerfile" in place.path


def _uses_redis(names: set[str]) -> bool:
    return bool(
        names
        & {
            "redis",
            "rq",
            "flask-rq2",
            "celery[redis]",
            "flask-redis",
            "hiredis",
            "django-redis",
            "channels-redis",
            "huey",
        }
    )


def _set_redis(name: str, read: Read, value: str, report: Report) -> None:
    default = str(read.default) if read.default not in (MISSING, None) else ""
    report.add("app_packages", ["redis-server"], f"reads {name}; Redis runs on the host", read.place)
    if not re.search(r"localhost|127\.0\.0\.1", default):
        report.add("app_environment", {name: value}, f"reads {name}", read.place)


def _detect_prefixed(project: Project, entry: Entry, report: Report) -> None:
    """Set the secret key of a Flask app that reads its configuration from variables with a prefix."""
    for path, module in project.modules.items():
        if found := re.search(r"\.from_prefixed_env\((?:prefix=)?(?:[\"'](\w+)[\"'])?", project.text(path)):
            name = f"{found[1] or 'FLASK'}_SECRET_KEY"
            report.add(
                "app_generated_secrets",
                [name],
                f"reads the configuration from {found[1] or 'FLASK'}_…",
                project.place(str(module.path), "from_prefixed_env"),
            )


def _detect_constant_key(project: Project, entry: Entry, report: Report) -> None:
    """Warn of a secret key in the code, which everybody who reads the repository knows."""
    if any(GENERATED.fullmatch(name) for name in report.get("app_generated_secrets", [])):
        return
    for path in project.modules:
        if entry.subdir and not path.startswith(f"{entry.subdir}/"):
            continue
        if found := re.search(r"""(?:SECRET_KEY["']?\]?|secret_key)\s*[=:]\s*(["'][^"'\n]*["'])""", project.text(path)):
            place = project.place(path, found[0])
            if re.search(r"from_pyfile\(\s*[\"']config\.py[\"']", project.text(path)) and "instance" in report.get(
                "app_shared_directories", []
            ):
                report.note(f"SECRET_KEY is {found[1]}, which is no secret. {_CREATE_KEY}", place)
            else:
                report.note(
                    f"the secret key is {found[1]}, which is no secret. Read it from a variable: os.environ['SECRET_KEY']",
                    place,
                )
            return
