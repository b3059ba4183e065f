"""The layout of a lab: addresses, ports, directories, names. `inventory/lab/group_vars/all.yml` has those of lab 1.

The environment variable OUTPORT_LAB (1 to 9) chooses the lab: each has its own addresses, directories and processes.
"""

import os
from ipaddress import IPv4Network
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

VARIABLE = "OUTPORT_LAB"
NUMBERS = range(1, 10)
_chosen = os.environ.get(VARIABLE) or "1"
if _chosen not in map(str, NUMBERS):
    raise SystemExit(
        f"bin/lab: {VARIABLE} is the number of a lab, {NUMBERS[0]} to {NUMBERS[-1]}; found '{_chosen}'. Unset it to use lab 1."
    )
NUMBER = int(_chosen)
_SUFFIX = "" if NUMBER == 1 else f"-{NUMBER}"

# All labs share the images.
CACHE = Path("/var/cache/outport-lab")
STATE = Path(f"/var/lib/outport-lab{_SUFFIX}")
LOGS = Path(f"/var/log/outport-lab{_SUFFIX}")
LOCK = Path(f"/run/outport-lab{_SUFFIX}.lock")

WWW = STATE / "www"
CERTIFICATES = STATE / "certificates"
SITE_CA = CERTIFICATES / "site-ca.pem"
SSH_KEY = STATE / "ssh" / "id_ed25519"
SSH_CONFIG = STATE / "ssh" / "config"
READY = STATE / "ready"
KNOWN_HOSTS = STATE / "known_hosts"
HOSTS = STATE / "hosts"
DATABASES = STATE / "databases"
OVERRIDES = STATE / "overrides"

FIRST_BRIDGE = "outport-lab"
BRIDGE = CGROUP = NFT_TABLE = f"{FIRST_BRIDGE}{_SUFFIX}"

# The VPC: every host, and the lab itself as the router.
PRIVATE = IPv4Network(f"10.{211 + 2 * NUMBER}.0.0/16")
GATEWAY = PRIVATE[1]
# Elastic IPs, translated to the host's private address as EC2 does.
PUBLIC = IPv4Network(f"10.{212 + 2 * NUMBER}.0.0/24")
PUBLIC_GATEWAY = PUBLIC[1]
# Databases: the first one gets the next address.
DATABASE_BASE = PRIVATE[254 * 256 + 10]

AWS_PORT = 4566
AWS_ENDPOINT = f"http://{GATEWAY}:{AWS_PORT}"
AWS_NAME = "aws.lab.test"
ACME_PORT = 14000
ACME_MANAGEMENT_PORT = 15000
METADATA_PORT = 8169
FILES_PORT = 8080
DNS_PORT = 53
GIT_PORT = 8443
GIT_URL = f"https://{GATEWAY}:{GIT_PORT}"

ACCOUNT = "123456789012"
# Access key of the account's root user, which the lab itself uses.
ROOT_KEY = "AKIAOUTPORTLABROOT00"
USER = "admin"

SUITES = {"bookworm": "debian-12-amd64", "trixie": "debian-13-amd64"}
IMAGE_SUITES = {"ami-00000000000000012": "bookworm", "ami-00000000000000013": "trixie"}
