"""Outport beside the work by hand, on the same host under the same load: what `bin/bench` does."""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from socket import create_connection
from ssl import create_default_context
from types import FrameType

from lab import operations
from lab.commands import run
from lab.console import LabError
from lab.layout import GATEWAY, REPOSITORY, SITE_CA
from lab.load import Load, Plan, Result, plan_for_site
from lab.repositories import APP, HEADER, publish_change, remove_branch

_ROUNDS = 3
_RATE, _AT_LEAST = 100, 2500
_LONGEST = 600
_NAME = "outport-bench"
_FOLDER = f"/srv/{_NAME}"
_PORT = 8443


# The two ways


@dataclass(frozen=True)
class Way:
    """A way to bring a commit of the branch live: its name, the port that its site has, and the command (a list of words)."""

    name: str
    port: int
    command: Sequence[str | Path]


@dataclass
class Times:
    """What one way took: seconds of the whole command, seconds until the new version answered, and its load's result; one each a round."""

    whole: list[float] = field(default_factory=list)
    until_new: list[float] = field(default_factory=list)
    loads: list[Result] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """The numbers, for a report."""
        return {
            "seconds": [round(value, 1) for value in self.whole],
            "median_seconds": round(statistics.median(self.whole), 1),
            "median_seconds_until_new": round(statistics.median(self.until_new), 1),
            "failed": sum(result.failed for result in self.loads),
            "requests": sum(result.total for result in self.loads),
            "slowest_ms": max(result.slowest.ms for result in self.loads),
            "rounds": [result.summary() for result in self.loads],
        }


def outport() -> Way:
    """A deploy by the playbook."""
    playbook = "playbooks/deploy.yml"
    if not (REPOSITORY / playbook).exists():
        raise LabError(f"{playbook} is not in this clone, so there is nothing to compare. Update the clone.")
    return Way("Outport", 443, [REPOSITORY / "bin/lab", "play", playbook, "-e", f"ref={_NAME}"])


def by_hand() -> Way:
    """What a person types on the host: pull, install the requirements, restart."""
    typed = (
        f"cd {_FOLDER}/repository && sudo git pull --quiet && "
        f"sudo {_FOLDER}/venv/bin/pip install --quiet --disable-pip-version-check -r app/requirements.txt && "
        f"sudo systemctl restart {_NAME}-gunicorn"
    )
    return Way("by hand", _PORT, [*_ssh(), typed])


def _ssh() -> list[str]:
    return operations.ssh_command(operations.find_host("web-1"))


def _on_host(script: str, timeout: float) -> None:
    """Run a shell script as root on the host; LabError with its last words when it fails."""
    run([*_ssh(), "sudo sh -eu -s"], timeout=timeout, input_text=script)


# The same app a second time, as the design document sets it up by hand: its folder, its environment, gunicorn, nginx.


def _set_up_script(app: str, domain: str) -> str:
    return f"""
{_REMOVE}
mkdir {_FOLDER}
git clone --quiet --branch {_NAME} git://{GATEWAY}/app.git {_FOLDER}/repository
python3 -m venv {_FOLDER}/venv
{_FOLDER}/venv/bin/pip install --quiet --disable-pip-version-check -r {_FOLDER}/repository/app/requirements.txt
install -m 0600 /srv/{app}/live/environment {_FOLDER}/environment
cat >{_FOLDER}/nginx.conf <<'END'
user www-data;
worker_processes auto;
pid /run/{_NAME}-nginx.pid;
error_log /var/log/nginx/{_NAME}.log;
events {{ worker_connections 4096; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  server {{
    listen {_PORT} ssl http2;
    server_name {domain};
    ssl_certificate /etc/nginx/tls/{domain}.crt;
    ssl_certificate_key /etc/nginx/tls/{domain}.key;
    root {_FOLDER}/repository/app/client;
    index index.html;
    location / {{ try_files $uri @application; }}
    location @application {{
      proxy_pass http://127.0.0.1:8000;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
END
cat >/run/systemd/system/{_NAME}-gunicorn.service <<'END'
[Service]
User={app}
WorkingDirectory={_FOLDER}/repository/app
EnvironmentFile={_FOLDER}/environment
ExecStart={_FOLDER}/venv/bin/gunicorn --worker-class gthread --workers 5 --threads 4 --bind 127.0.0.1:8000 run:app
END
cat >/run/systemd/system/{_NAME}-nginx.service <<'END'
[Service]
ExecStart=/usr/sbin/nginx -c {_FOLDER}/nginx.conf -g 'daemon off;'
KillSignal=SIGQUIT
TimeoutStopSec=5
END
systemctl daemon-reload
systemctl start {_NAME}-gunicorn {_NAME}-nginx
"""


_REMOVE = f"""
# A set-up whose connection was cut off may still be at work.
exec 9</srv
flock -w 120 9
for unit in {_NAME}-nginx {_NAME}-gunicorn; do
  if systemctl --quiet is-active $unit; then
    systemctl stop $unit
  fi
done
rm -rf {_FOLDER} /run/systemd/system/{_NAME}-gunicorn.service /run/systemd/system/{_NAME}-nginx.service /var/log/nginx/{_NAME}.log
systemctl daemon-reload
"""


@contextmanager
def _prepared() -> Iterator[None]:
    """The branch, and the app set up by hand; both are gone afterwards, and the site serves what its settings say."""
    settings = operations.settings()
    began_with = _serving()
    try:
        _say("Setting the app up by hand, a second time, on the same host")
        publish_change(_NAME, "before")
        _on_host(_set_up_script(str(settings["app_name"]), str(settings["site_domain"])), 240)
        _wait_for(_PORT, "before", time.monotonic() + 30)
        yield
    finally:
        _say("Removing what was made, and putting back what the site served")
        try:
            _on_host(_REMOVE, 150)
        finally:
            remove_branch(APP, _NAME)
            if _serving() != began_with:
                # The settings' own release is built already: this is quick.
                _command([REPOSITORY / "bin/lab", "play", "playbooks/deploy.yml"])


def _serving() -> str | None:
    """The mark that the site's answers have, if any."""
    try:
        return _mark(443)
    except (OSError, HTTPException) as error:
        raise LabError(f"The site does not answer: {error}. Run: bin/lab up") from None


# Measuring


def _mark(port: int) -> str | None:
    """The value of `HEADER` in an answer of the app at a port of the site."""
    visitor = operations.visitor()
    client = HTTPSConnection(visitor.domain, timeout=10)
    plain = create_connection((operations.find_host("web-1").public, port), 10)
    client.sock = create_default_context(cafile=str(SITE_CA)).wrap_socket(plain, server_hostname=visitor.domain)
    try:
        client.request("GET", str(operations.settings()["app_health_path"]))
        return client.getresponse().getheader(HEADER)
    finally:
        client.close()


def _wait_for(port: int, mark: str, deadline: float, wanted: Callable[[], bool] = lambda: True) -> None:
    """Wait until the site at a port answers with a mark, or until that is no longer wanted; LabError when it is too late."""
    found: object = None
    while wanted():
        try:
            found = _mark(port)
        except (OSError, HTTPException) as error:
            # What is being replaced may not answer for a moment; the load counts how often.
            found = error
        if found == mark:
            return
        if time.monotonic() > deadline:
            raise LabError(f"The site at port {port} does not answer with the change '{mark}'; found: {found}.")
        time.sleep(0.1)


class _Watch:
    """Notes when the new version answered first, beside the command that brings it."""

    def __init__(self, port: int, mark: str) -> None:
        self.began = time.monotonic()
        self.seconds: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(port, mark), daemon=True)
        self._thread.start()

    def _watch(self, port: int, mark: str) -> None:
        _wait_for(port, mark, self.began + _LONGEST, lambda: not self._over.is_set())
        if not self._over.is_set():
            self.seconds = time.monotonic() - self.began

    def end(self) -> float:
        """Seconds until the new version answered; it may still be about to."""
        self._thread.join(timeout=15)
        self._over.set()
        if self.seconds is None:
            raise LabError("The command ended well, and the new version did not answer within 15 seconds.")
        return self.seconds


def _command(words: Sequence[str | Path]) -> None:
    """Run a command with all that it starts; LabError with its last words when it fails or takes longer than 4 minutes."""
    command = [str(word) for word in words]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        raise LabError(f"'{' '.join(command)}' did not end within 240 seconds.") from None
    finally:
        if process.returncode is None:
            # Also what it started: a playbook must not go on by itself.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)
    if process.returncode:
        raise LabError(f"'{' '.join(command)}' failed with exit code {process.returncode}. {output.strip()[-800:]}")


def _measure(way: Way, mark: str, plan: Plan, times: Times) -> None:
    """Bring a change live in one way under load, and note what it took."""
    with Load(replace(plan, port=way.port)) as load:
        watch = _Watch(way.port, mark)
        _command(way.command)
        times.whole.append(time.monotonic() - watch.began)
        times.until_new.append(watch.end())
    times.loads.append(load.result)
    _say(f"  {way.name}: {times.whole[-1]:.1f} s, {load.result.failed} of {load.result.total} requests failed")


def deploy() -> dict[str, dict[str, object]]:
    """Deploy a one-line change in both ways, in turn; the numbers of each way by its name."""
    ways = [outport(), by_hand()]
    times = {way.name: Times() for way in ways}
    until = time.monotonic() + _LONGEST
    plan = plan_for_site(_RATE, _AT_LEAST, longest=300)
    plan = replace(plan, addresses=(operations.find_host("web-1").public,))
    with _prepared():
        for number in range(1, _ROUNDS + 1):
            _say(f"Round {number} of {_ROUNDS}")
            mark = f"round-{number}-{os.getpid()}"
            publish_change(_NAME, mark)
            for way in ways:
                if time.monotonic() > until - 120:
                    raise LabError(f"It takes too long: {_ROUNDS} rounds were to be done within {_LONGEST} seconds.")
                _measure(way, mark, plan, times[way.name])
    return {name: found.summary() for name, found in times.items()}


# Words on the terminal


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def table(found: dict[str, dict[str, object]]) -> str:
    """The numbers for people."""
    rows = [["", "time (median)", "new version answers after", "failed requests", "slowest request"]]
    rows += [
        [
            name,
            f"{numbers['median_seconds']} s",
            f"{numbers['median_seconds_until_new']} s",
            f"{numbers['failed']} of {numbers['requests']}",
            f"{numbers['slowest_ms']:.0f} ms",
        ]
        for name, numbers in found.items()
    ]
    first, second = found.values()
    names = ("median_seconds", "median_seconds_until_new", "failed", "slowest_ms")
    rows.append([" / ".join(found), *(_ratio(first[name], second[name]) for name in names)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    note = (
        "A deploy's time includes the start of the new release beside the old one, and the watch of the live traffic."
    )
    return "\n".join([*lines, "", note])


def _ratio(first: object, second: object) -> str:
    if not isinstance(first, int | float) or not isinstance(second, int | float):
        raise TypeError(f"no numbers: {first!r}, {second!r}")
    return f"{first / second:.2f}" if second else "-"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run one comparison; 0 done, 1 something to mend, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="bin/bench", description="Compare Outport with the work by hand, in the running lab, on the same host."
    )
    parser.add_argument("what", choices=["deploy"], help="deploy: a change of one line, with unchanged dependencies")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers into a file, too")
    options = parser.parse_args()
    # What was made is removed, however this ends.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if not operations.is_up():
            raise LabError("The lab is not up. Run: bin/lab up")
        found = deploy()
    except LabError as error:
        print(f"bin/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bin/bench: interrupted; what it made is removed.", file=sys.stderr)
        return 130
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
