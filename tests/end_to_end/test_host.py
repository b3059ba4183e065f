"""The state of a converged host, and of its AWS resources."""

import gzip
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from testinfra.host import Host

from lab import aws, operations
from lab.layout import BRIDGE
from lab.visitor import Visitor


def live_unit(web: Host) -> str:
    """The unit of the live release."""
    return f"listings@{web.check_output('basename $(readlink /srv/listings/live)')}.service"


def test_no_unit_has_failed(web: Host) -> None:
    assert web.check_output("systemctl list-units --failed --no-legend --plain") == ""


def test_the_app_runs_as_its_own_user(web: Host) -> None:
    main = web.check_output("systemctl show --property=MainPID --value %s", live_unit(web))
    users = web.check_output("ps --no-headers -o user= --pid %s --ppid %s", main, main).split()
    assert len(users) > 1
    assert set(users) == {"listings"}


def test_the_app_is_sandboxed(web: Host) -> None:
    """The exposure level by systemd-analyze, in tenths: at most 20; a unit without a sandbox has about 90."""
    verdict = web.run("systemd-analyze security --no-pager --threshold=20 %s", live_unit(web))
    assert verdict.rc == 0, verdict.stdout[-300:]


def test_only_the_proxy_reaches_the_app(web: Host) -> None:
    socket = web.file("/srv/listings/live/run/gunicorn.sock")
    assert (socket.user, socket.group, oct(socket.mode)) == ("listings", "www-data", "0o660")
    listening = web.check_output("ss --no-header --listening --tcp --numeric | awk '{print $4}'").split()
    assert {address.rsplit(":", 1)[1] for address in listening if not address.startswith("127.")} <= {
        "22",
        "80",
        "443",
        "5355",
    }


def test_no_password_is_on_the_host(secret: dict[str, Any], site: Visitor) -> None:
    """Not in a file, a process's environment or arguments, or the journal."""
    assert site.get("/api/v1/listings").status == 200

    files = "grep -rlFs -f - --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev /"
    processes = "grep -lFsa -f - /proc/[0-9]*/environ /proc/[0-9]*/cmdline"
    journal = "cat >/dev/shm/word; journalctl --no-pager --all | grep -F -f /dev/shm/word; rm /dev/shm/word"
    # A line each.
    passwords = f"{secret['password']}\n{aws.master_credentials()['password']}"
    for search in (files, processes, journal):
        assert found(search, passwords) == ""
    # Each search works: it finds an existing word.
    assert "/etc/outport-rds-backup.json" in found(files, "request_seconds")
    assert "/environ" in found(processes, "DATABASE_CREDENTIALS_FILE")
    assert "Started listings@" in found(journal, "Started listings@")


def found(command: str, word: str) -> str:
    """Return the output of a search as root on the first host; the word is on standard input, because as an argument it would find itself."""
    search = [*operations.ssh_command(operations.find_host("web-1")), f"sudo sh -c '{command}'"]
    return subprocess.run(search, input=word, capture_output=True, text=True, timeout=300, check=False).stdout


def test_the_credentials_on_disk_are_ciphertext(web: Host, secret: dict[str, Any]) -> None:
    file = web.file("/etc/listings/database.kms")
    assert (file.user, file.group, oct(file.mode)) == ("root", "listings", "0o640")
    for value in (secret["username"], secret["host"]):
        assert value not in file.content_string


def test_the_host_has_its_iam_role_and_no_access_keys(web: Host) -> None:
    token = web.check_output(
        "curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
    )
    where = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
    assert "listings" in web.check_output("curl -s -H 'X-aws-ec2-metadata-token: %s' %s", token, where)
    assert web.check_output("curl -s -o /dev/null -w '%%{http_code}' %s", where) == "401"
    assert web.run("ls /root/.aws /home/admin/.aws").rc != 0


def test_the_backup_is_complete_and_in_s3(web: Host) -> None:
    assert web.service("outport-rds-backup.timer").is_running
    assert web.run("systemctl start outport-rds-backup.service").rc == 0
    settings = operations.settings()
    bucket = f"{settings['app_name']}-{settings['environment_name']}-backups-123456789012"
    s3 = aws.client("s3")
    objects = s3.list_objects_v2(Bucket=bucket, Prefix="dumps/listings/")["Contents"]
    newest = max(entry["Key"] for entry in objects if entry["Key"].endswith(".sql.gz"))
    dump = gzip.decompress(s3.get_object(Bucket=bucket, Key=newest)["Body"].read()).decode()
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=newest.replace(".sql.gz", ".json"))["Body"].read())
    assert manifest["tables"]["category"]["rows"] == 8
    assert (manifest["revision"], manifest["bytes"] > 0) == ("0003", True)
    assert "CREATE TABLE `listing`" in dump
    assert "Saltbox" in dump
    assert "-- Dump completed" in dump


def test_the_certificate_renews_and_is_used(web: Host, site: Visitor) -> None:
    before = site.certificate()["serialNumber"]
    assert web.service("certbot.timer").is_running
    environment = web.check_output("systemctl show --property=Environment --value certbot.service")
    assert "REQUESTS_CA_BUNDLE=" in environment
    web.check_output("env %s certbot renew --force-renewal --no-random-sleep-on-renew", environment)
    # nginx replaces its workers shortly after the reload.
    deadline = time.monotonic() + 10
    while site.certificate()["serialNumber"] == before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert site.certificate()["serialNumber"] != before


def test_the_release_survives_a_reboot(web: Host) -> None:
    for kind in ("service", "socket"):
        assert web.check_output("systemctl is-enabled %s", live_unit(web).replace("service", kind)) == "enabled"


def test_a_port_that_joins_or_leaves_the_network_disturbs_no_host(site: Visitor) -> None:
    """The hosts keep the address of the bridge, their gateway, for up to a minute: another one would be an outage."""
    address = Path(f"/sys/class/net/{BRIDGE}/address")
    before = address.read_text()
    # The lowest address of all, which a bridge without one of its own takes.
    port = ["link", "add", "leaving", "address", "00:00:00:00:00:01", "type", "veth", "peer", "name", "leaving-end"]
    subprocess.run(["ip", *port], check=True)
    try:
        subprocess.run(["ip", "link", "set", "leaving", "master", BRIDGE, "up"], check=True)
        assert address.read_text() == before
        assert site.get("/healthz").status == 200
    finally:
        subprocess.run(["ip", "link", "delete", "leaving"], check=True)
    assert address.read_text() == before
    assert site.get("/healthz").status == 200
