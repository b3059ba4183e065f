"""The two ways to deploy a change: Outport's deploy, and manual steps on a second installation of the same app."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import operations
from lab.commands import run
from lab.console import LabError
from lab.layout import GIT_URL, REPOSITORY

NAME = "outport-bench"
_DIRECTORY = f"/srv/{NAME}"
PORT = 8443


@dataclass(frozen=True)
class Way:
    """A way to deploy a commit of the branch: its name, the port of its site, and the command (a list of words)."""

    name: str
    port: int
    command: Sequence[str | Path]


def outport() -> Way:
    """A deploy with the playbook."""
    playbook = "playbooks/deploy.yml"
    if not (REPOSITORY / playbook).exists():
        raise LabError(f"{playbook} is not in this clone, so there is nothing to compare. Update the clone.")
    return Way("Outport", 443, [REPOSITORY / "bin/lab", "play", playbook, "-e", f"ref={NAME}"])


def manual() -> Way:
    """The manual steps on the host: pull, install the requirements, restart."""
    commands = (
        f"cd {_DIRECTORY}/repository && sudo git pull --quiet && "
        f"sudo {_DIRECTORY}/venv/bin/pip install --quiet --disable-pip-version-check -r app/requirements.txt && "
        f"sudo systemctl restart {NAME}-gunicorn"
    )
    return Way("manual", PORT, [*_ssh(), commands])


def _ssh() -> list[str]:
    return operations.ssh_command(operations.find_host("web-1"))


def on_host(script: str, timeout: float) -> None:
    """Run a shell script as root on the host. Raises LabError with its last log lines when it fails."""
    run([*_ssh(), "sudo sh -eu -s"], timeout=timeout, input_text=script)


# A second, manual installation of the same app, as in the design document: its directory, its environment, gunicorn, nginx.


def install_script(app: str, domain: str) -> str:
    return f"""
{REMOVE}
mkdir {_DIRECTORY}
git clone --quiet --branch {NAME} {GIT_URL}/app.git {_DIRECTORY}/repository
python3 -m venv {_DIRECTORY}/venv
{_DIRECTORY}/venv/bin/pip install --quiet --disable-pip-version-check -r {_DIRECTORY}/repository/app/requirements.txt
install -m 0600 /srv/{app}/live/environment {_DIRECTORY}/environment
cat >{_DIRECTORY}/nginx.conf <<'END'
user www-data;
worker_processes auto;
pid /run/{NAME}-nginx.pid;
error_log /var/log/nginx/{NAME}.log;
events {{ worker_connections 4096; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  server {{
    listen {PORT} ssl http2;
    server_name {domain};
    ssl_certificate /etc/nginx/tls/{domain}.crt;
    ssl_certificate_key /etc/nginx/tls/{domain}.key;
    root {_DIRECTORY}/repository/app/client;
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
cat >/run/systemd/system/{NAME}-gunicorn.service <<'END'
[Service]
User={app}
WorkingDirectory={_DIRECTORY}/repository/app
EnvironmentFile={_DIRECTORY}/environment
ExecStart={_DIRECTORY}/venv/bin/gunicorn --worker-class gthread --workers 5 --threads 4 --bind 127.0.0.1:8000 run:app
END
cat >/run/systemd/system/{NAME}-nginx.service <<'END'
[Service]
ExecStart=/usr/sbin/nginx -c {_DIRECTORY}/nginx.conf -g 'daemon off;'
KillSignal=SIGQUIT
TimeoutStopSec=5
END
systemctl daemon-reload
systemctl start {NAME}-gunicorn {NAME}-nginx
"""


REMOVE = f"""
# An installation whose connection was lost may still be running.
exec 9</srv
flock -w 120 9
for unit in {NAME}-nginx {NAME}-gunicorn; do
  if systemctl --quiet is-active $unit; then
    systemctl stop $unit
  fi
done
rm -rf {_DIRECTORY} /run/systemd/system/{NAME}-gunicorn.service /run/systemd/system/{NAME}-nginx.service /var/log/nginx/{NAME}.log
systemctl daemon-reload
"""
