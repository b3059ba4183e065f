"""The command `bin/lab`."""

import argparse
import os
import subprocess
import sys

from lab import operations, site_check
from lab.console import LabError
from lab.layout import LOGS, SUITES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bin/lab", description="An EC2 in a box: try all of Outport on this machine, without an AWS account."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser(
        "up",
        help="start the lab and deploy the site",
        description="Start the lab and deploy the site. Safe to run again.",
    )
    up.add_argument(
        "--hosts", type=int, metavar="N", help=f"number of web hosts, 1 to {operations.max_hosts()} (default 1)"
    )
    up.add_argument("--suite", choices=SUITES, help="Debian release of the hosts (default trixie)")
    up.add_argument(
        "--env",
        default="",
        metavar="NAME",
        help="environment to run, a directory in inventory/ (default lab, the example app)",
    )
    up.add_argument("--until", choices=["services", "provision", "site"], default="site", help="stop after this stage")

    commands.add_parser(
        "status",
        help="list hosts, databases and DNS records, and request the site",
        description="List hosts, databases and DNS records, and request the site.",
    )
    commands.add_parser(
        "env", help="print the exports for a shell", description='Print the exports for a shell: eval "$(bin/lab env)"'
    )

    ssh = commands.add_parser("ssh", help="log in to a host", description="Log in to a host, or run a command there.")
    ssh.add_argument("host", metavar="HOST", help="name (web-1), instance id or address")
    ssh.add_argument("remote", nargs=argparse.REMAINDER, metavar="COMMAND", help="command to run there")

    logs = commands.add_parser("logs", help="show the logs", description="List the lab's logs, or show the end of one.")
    logs.add_argument("name", nargs="?", metavar="NAME", help="name of the log, from the list")
    logs.add_argument("--lines", type=int, default=100, metavar="N", help="number of lines (default 100)")

    play = commands.add_parser(
        "play",
        help="run a playbook in the lab",
        description="Run a playbook in the lab, with ansible-playbook's options.",
    )
    play.add_argument("arguments", nargs=argparse.REMAINDER, metavar="PLAYBOOK [OPTION...]")

    commands.add_parser(
        "down",
        help="stop and remove everything except the cache",
        description="Stop and remove hosts and services; keep the cache.",
    )
    commands.add_parser(
        "purge",
        help="down, and also remove the cache",
        description="Stop and remove everything, the cache and the logs too.",
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            maximum = operations.max_hosts()
            if options.hosts is not None and not 1 <= options.hosts <= maximum:
                raise LabError(f"--hosts must be 1 to {maximum}; found {options.hosts}.")
            wanted: dict[str, object] = {}
            if options.hosts:
                wanted["web_count"] = options.hosts
            if options.suite:
                wanted |= operations.image_of(options.suite)
            operations.up(options.env, wanted, options.until)
        case "status":
            _print_status()
        case "env":
            print("\n".join(operations.export_lines()))
        case "ssh":
            # Password prompts hide their input only on a terminal.
            command = operations.ssh_command(operations.find_host(options.host), terminal=sys.stdin.isatty())
            return subprocess.run([*command, *options.remote], check=False).returncode
        case "logs":
            _print_logs(options.name, options.lines)
        case "play":
            if not options.arguments:
                raise LabError("The playbook is missing. Example: bin/lab play site.yml --check --diff")
            operations.play(options.arguments)
        case "down":
            operations.down()
        case "purge":
            operations.purge()
    return 0


def _print_status() -> None:
    found = operations.status()
    for host in found.hosts:
        print(f"host      {host.name}  {host.state}  {host.suite}  {host.private}  {host.public}  {host.id}")
    for database in found.databases:
        print(f"database  {database.id}  {database.address}  {database.endpoint}")
    for name, addresses in found.names.items():
        print(f"name      {name}  {' '.join(addresses)}")
    print(f"site      {_describe_site()}")
    for name, cause in found.problems.items():
        print(f"problem   {name} does not start: {cause}")


def _describe_site() -> str:
    try:
        visitor = operations.visitor()
    except (LabError, OSError) as error:
        return f"no response: {error}"
    return f"https://{visitor.domain}/  {site_check.describe(visitor)}"


def _print_logs(name: str | None, lines: int) -> None:
    logs = {path.stem: path for path in sorted(LOGS.glob("*.log"))} if LOGS.exists() else {}
    if name is None:
        for stem, path in logs.items():
            print(f"{stem}  {path}")
    elif name in logs:
        print("\n".join(logs[name].read_text(errors="replace").splitlines()[-lines:]))
    else:
        raise LabError(f"There is no log '{name}'. Logs: {', '.join(logs) or 'none yet'}.")


def main() -> int:
    """Run one command and return its exit status: 0 success, 1 an error (on standard error), 2 a usage error."""
    options = _parser().parse_args()
    if options.command in ("up", "down", "purge", "play") and os.geteuid() != 0:
        print(f"bin/lab: '{options.command}' needs root. Run: sudo bin/lab {options.command}", file=sys.stderr)
        return 1
    try:
        status = _run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader, such as head, has seen enough; Python would report it once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except LabError as error:
        print(f"bin/lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nbin/lab: interrupted. Run the same command again to continue, or bin/lab down to remove everything.",
            file=sys.stderr,
        )
        return 130
