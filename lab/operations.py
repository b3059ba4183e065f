"""The operations behind bin/lab: start the lab, run a playbook in it, stop it."""

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import yaml

from lab import agent, certificates, cgroups, environments, hosts, images, network, operator, preflight
from lab.commands import run
from lab.console import LabError, Step, step
from lab.environments import settings
from lab.layout import (
    AWS_ENDPOINT,
    CACHE,
    CERTIFICATES,
    DATABASES,
    GATEWAY,
    KNOWN_HOSTS,
    LOCK,
    LOGS,
    NUMBER,
    OVERRIDES,
    PRIVATE,
    READY,
    REPOSITORY,
    SITE_CA,
    SSH_CONFIG,
    SSH_KEY,
    STATE,
    SUITES,
    USER,
    VARIABLE,
    WWW,
)
from lab.status import HostStatus, Status
from lab.visitor import Visitor

_DAEMON = "daemon"
_PLAY_TIMEOUT = 1800
# Settings that are options of `up`.
_OPTIONS = ("web_count", "web_image", "web_image_name", "web_image_owner", "web_user")


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lab's lock. Raises LabError when another bin/lab holds it."""
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LabError(
                f"Another bin/lab is running ({lock.read().strip()}). Wait until it ends, or stop it with kill."
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} since {time.strftime('%H:%M:%S')}")
        lock.flush()
        yield
        lock.truncate(0)


def is_up() -> bool:
    """Return whether the lab's services run and have responded."""
    return cgroups.alive(_DAEMON) and READY.exists()


def max_hosts() -> int:
    """Return the maximum number of web hosts."""
    return int(yaml.safe_load((REPOSITORY / "roles/settings/files/spec.yml").read_text())["web_count"]["maximum"])


def image_of(suite: str) -> dict[str, object]:
    """Return the settings that select a suite's image, whatever image the environment's own settings name."""
    return {"web_image": SUITES[suite], "web_image_name": "", "web_image_owner": "", "web_user": ""}


def environment() -> dict[str, str]:
    """Return the variables that point Ansible, boto3 and the AWS CLI at the lab."""
    # Ansible masks the secret in all output, so it is never an ordinary word.
    key, secret = operator.credentials()
    return {
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_INVENTORY": f"{REPOSITORY / 'inventory' / environments.current()},{OVERRIDES}",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_DEFAULT_REGION": str(settings()["aws_region"]),
        "AWS_ENDPOINT_URL": AWS_ENDPOINT,
        "AWS_SECRET_ACCESS_KEY": secret,
        VARIABLE: str(NUMBER),
        "OUTPORT_LAB_CA": str(SITE_CA),
        "OUTPORT_LAB_GATEWAY": str(GATEWAY),
        "OUTPORT_LAB_NETWORK": str(PRIVATE),
        "OUTPORT_LAB_STATE": str(STATE),
        "PATH": f"{REPOSITORY / '.venv/bin'}:{os.environ['PATH']}",
    }


# Variables of a real account, which the lab must never reach.
_ACCOUNT_VARIABLES = (
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
)


def export_lines() -> list[str]:
    """Return `environment` as lines for a shell."""
    return [
        f"unset {' '.join(_ACCOUNT_VARIABLES)}",
        *(f"export {name}={shlex.quote(value)}" for name, value in environment().items()),
    ]


def up(name: str, wanted: Mapping[str, object], until: str) -> None:
    """Start the lab with an environment: services, then the production playbooks for the cloud and (unless `until` is an earlier stage) the site.

    `name` is empty for the environment of a running lab, else of the lab itself; `wanted` has settings by name, those of `_OPTIONS`.
    """
    fresh = not is_up()
    name = name or (environments.OWN if fresh else environments.current())
    preflight.check(fresh)
    with locked():
        if fresh:
            _clear()
        _store_options(name, wanted, fresh)
        with _shared_lock():
            _prepare_machine()
        if fresh:
            with step("Start the AWS API, DNS, the certificate authority and the git server", "services") as current:
                try:
                    _start_services(current)
                except LabError:
                    _clear()
                    raise
        _publish_app()
        if until == "services":
            return
        with step("Create the operator's user, with the policies of bin/policies", "operator"):
            operator.create()
        with step("Provision the cloud (playbooks/provision.yml)", "provision") as current:
            _play_in_step(current, "playbooks/provision.yml")
        if until == "provision":
            return
        with step("Converge the web hosts (site.yml)", "site") as current:
            _play_in_step(current, "site.yml")
        with step("Fetch the site over HTTPS", "fetch"):
            status_line = _fetch_site()
    domain, address = visitor().domain, visitor().address
    print(
        f"\nThe site is up: https://{domain}/  (served by {address}: {status_line})\n\n"
        f"  curl --cacert {SITE_CA} --resolve {domain}:443:{address} https://{domain}/\n\n"
        'Next: bin/lab status, bin/lab ssh web-1, bin/lab play site.yml, eval "$(bin/lab env)", bin/lab down'
    )


def _store_options(name: str, wanted: Mapping[str, object], fresh: bool) -> None:
    """Store the environment and the options of `up`; those of a running lab stay."""
    environments.directory(name)
    if not fresh:
        now = settings()
        if name != environments.current():
            raise LabError(
                f"The lab runs the environment '{environments.current()}', but '{name}' was requested. Run bin/lab down first."
            )
        if wanted.get("web_image", _image(now)) != _image(now):
            raise LabError(
                f"The lab runs '{_image(now)}', but '{wanted['web_image']}' was requested. Run bin/lab down first."
            )
        if int(str(wanted.get("web_count", now["web_count"]))) < int(str(now["web_count"])):
            raise LabError(
                f"The lab has {now['web_count']} hosts, but {wanted['web_count']} were requested; provisioning removes none. Run bin/lab down first."
            )
        wanted = {option: value for option, value in environments.stored().items() if option in _OPTIONS} | wanted
    environments.store(name, wanted)


def _image(values: Mapping[str, object]) -> str:
    """Return the image of the hosts; settings may omit it, or name one of their own."""
    return str(values.get("web_image_name") or values.get("web_image", SUITES["trixie"])).removesuffix("-*")


@contextmanager
def _shared_lock() -> Iterator[None]:
    """Hold the lock of the shared resources: this machine's packages and the images."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("Wait for another lab that installs packages or builds images", "wait"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare_machine() -> None:
    missing = preflight.missing_packages()
    if missing:
        with step(f"Install {', '.join(missing)}", "packages") as current:
            preflight.install(missing, current.log)
            network.check_free()
            network.check_firewall()
    image = _image(settings())
    suite = next((name for name, known in SUITES.items() if known == image), None)
    if suite is None:
        place = environments.file(environments.current()).relative_to(REPOSITORY)
        raise LabError(f"web_image in {place} is '{image}'; the lab has {', '.join(SUITES.values())}.")
    if not images.host_image(suite).exists():
        with step(f"Build the host image ({suite}), once", f"image-{suite}") as current:
            images.build_host(suite, current.log)
    if not images.mysql_image().exists():
        with step("Build the MySQL image, once", "image-mysql") as current:
            images.build_mysql(current.log)


def _start_services(current: Step) -> None:
    for directory in (WWW, CERTIFICATES, DATABASES, SSH_KEY.parent):
        directory.mkdir(parents=True, exist_ok=True)
    SSH_KEY.parent.chmod(0o700)
    if not SSH_KEY.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "outport-lab", "-f", SSH_KEY])
    SSH_CONFIG.write_text(
        f"User {USER}\nIdentityFile {SSH_KEY}\nIdentitiesOnly yes\nUserKnownHostsFile {KNOWN_HOSTS}\nLogLevel ERROR\n"
    )
    certificates.create_ca()
    for name in ("acme-ca.pem", "rds-ca.pem"):
        shutil.copy(certificates.CA, WWW / name)
    agent.build(WWW / "amazon-cloudwatch-agent.deb")
    network.bring_up()
    network.check_ports()
    own = {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "MOTO_AMIS_PATH": str(REPOSITORY / "lab/amis.json")}
    process = cgroups.spawn(_DAEMON, [sys.executable, "-m", "lab.daemon"], current.log, {**os.environ, **own})
    deadline = time.monotonic() + 60
    while not READY.exists():
        if process.poll() is not None:
            raise LabError("The lab's services exited during their start. The cause is in the log above.")
        if time.monotonic() > deadline:
            raise LabError(f"The lab's services do not respond after 60 seconds. See {LOGS}.")
        time.sleep(0.1)


def _publish_app() -> None:
    """Publish the commits that the hosts fetch: HEAD, branches and tags of this clone, or of an environment's repository on this machine."""
    source = environments.repository_of(environments.current()) or REPOSITORY
    bare, published = STATE / "git/app.git", STATE / "git/published"
    run(["git", "init", "--quiet", "--bare", "--initial-branch=lab", bare])
    # A clone of another user is safe for a command that only reads it.
    trust = ["-c", f"safe.directory={source}", "-c", f"safe.directory={source}/.git"]
    here = ["git", *trust, "-C", source, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags"]
    # HEAD is published as the branch `lab`, so a branch of that name is not.
    wanted = [ref for ref in run(here).split() if ref != "refs/heads/lab"]
    # Prune first: a deleted branch `fix` conflicts with `fix/login`. Branches of other clones are kept.
    for ref in set(published.read_text().split() if published.exists() else []) - set(wanted):
        run(["git", "-C", bare, "update-ref", "-d", ref])
    refs = ["+HEAD:refs/heads/lab", *(f"+{ref}:{ref}" for ref in wanted)]
    run(["git", *trust, "-C", bare, "fetch", "--quiet", "--update-shallow", "--no-tags", source, *refs])
    published.write_text("\n".join(wanted))
    large = (
        Path(run(["git", *trust, "-C", source, "rev-parse", "--path-format=absolute", "--git-common-dir"]).strip())
        / "lfs/objects"
    )
    if large.is_dir():
        shutil.copytree(large, bare / "lfs/objects", dirs_exist_ok=True)


def _play_in_step(current: Step, playbook: str) -> None:
    """Run a playbook with its output in the step's log, and its current task as the step's note."""
    deadline = time.monotonic() + _PLAY_TIMEOUT
    environ = {**_process_environment(), "PYTHONUNBUFFERED": "1", "ANSIBLE_FORCE_COLOR": "0"}
    problems: dict[str, str] = {}
    command = [REPOSITORY / ".venv/bin/ansible-playbook", playbook]
    with (
        current.log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
        _terminated_on_problems(process, problems),
    ):
        for line in process.stdout or []:
            output.write(line)
            output.flush()
            if line.startswith("TASK ["):
                current.note = line[6:].split("]")[0]
            if time.monotonic() > deadline:
                _terminate(process)
                raise LabError(f"{playbook} timed out after {_PLAY_TIMEOUT // 60} minutes.")
    if problems:
        causes = "\n".join(f"The {name} does not start: {cause}" for name, cause in problems.items())
        raise LabError(
            f"{causes}\nFix the cause and run the same command again. The complete log: bin/lab logs services"
        )
    if process.returncode:
        raise LabError(
            f"{playbook} failed. Fix the cause and run the same command again: it continues where it stopped."
        )


@contextmanager
def _terminated_on_problems(process: subprocess.Popen[str], problems: dict[str, str]) -> Iterator[None]:
    """Terminate a playbook that waits for a host or a database that does not start; `problems` then has the causes, by name."""
    done = threading.Event()

    def poll() -> None:
        while not done.wait(1):
            if found := status().problems:
                problems.update(found)
                _terminate(process)
                return

    monitor = threading.Thread(target=poll, daemon=True)
    monitor.start()
    try:
        yield
    finally:
        done.set()
        monitor.join()


def _terminate(process: subprocess.Popen[str]) -> None:
    """Terminate a playbook and its child processes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def _process_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _ACCOUNT_VARIABLES} | environment()


def play(arguments: Sequence[str]) -> NoReturn:
    """Run ansible-playbook in the lab, in place of this process: a signal reaches it, and its exit status is this one's."""
    _require_up()
    _publish_app()
    sys.stdout.flush()
    program = str(REPOSITORY / ".venv/bin/ansible-playbook")
    os.execve(program, [program, *arguments], _process_environment())


def _require_up() -> None:
    if not is_up():
        raise LabError("The lab is not up. Run: bin/lab up")


def status() -> Status:
    """Return the lab's current hosts, databases and DNS records."""
    _require_up()
    return Status.read()


def find_host(name: str) -> HostStatus:
    """Return the host whose name, suffix of its name, id or address is `name`."""
    found = status().hosts
    for host in found:
        if name in (host.name, host.id, host.private, host.public) or host.name.endswith(f"-{name}"):
            return host
    known = ", ".join(host.name for host in found) or "none"
    raise LabError(f"There is no host '{name}'. Hosts: {known}.")


def ssh_command(host: HostStatus, terminal: bool = False) -> list[str]:
    """Return the command that logs in to a host; with `terminal`, a command on the host gets a terminal as well."""
    return ["ssh", *(["-t"] if terminal else []), "-F", str(SSH_CONFIG), host.private]


def visitor() -> Visitor:
    """Return a client of the site that resolves its name by the lab's DNS, or to the first host when Route 53 lacks the name."""
    domain = str(settings()["site_domain"])
    addresses = status().names.get(domain) or [find_host("web-1").public]
    return Visitor(domain, addresses[0], SITE_CA)


def _fetch_site() -> str:
    """Return the status line of the response to the path of the health check."""
    path = str(settings()["app_health_path"])
    try:
        response = visitor().get(path)
    except OSError as error:
        raise LabError(f"The site can't be reached over verified HTTPS: {error}. See bin/lab logs.") from None
    if response.status != 200:
        raise LabError(
            f"The site responded to {path} with {response.status} {response.reason} instead of 200. See bin/lab logs."
        )
    return f"{response.status} {response.reason}"


def down() -> None:
    """Stop and remove everything except the cache and the logs."""
    with locked(), step("Take the lab down", "down"):
        _clear()


def _clear() -> None:
    cgroups.kill()
    hosts.destroy_all()
    if shutil.which("nft") and shutil.which("ip"):
        network.take_down()
    if STATE.exists():
        shutil.rmtree(STATE)


def purge() -> None:
    """Stop the lab, and remove the cache and the logs as well."""
    with locked():
        with step("Take the lab down", "down"):
            _clear()
        if others := network.other_bridges():
            raise LabError(
                f"Another lab uses the images in {CACHE} ({', '.join(sorted(others))}), so they were not removed. Take it down first."
            )
        for directory in (CACHE, LOGS):
            if directory.exists():
                shutil.rmtree(directory)
