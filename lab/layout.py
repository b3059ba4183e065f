"""Where the lab's things are: addresses, ports, folders, names. `inventory/lab/group_vars/all.yml` names the same ones."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

CACHE = Path("/var/cache/outport-lab")
STATE = Path("/var/lib/outport-lab")
LOGS = Path("/var/log/outport-lab")
LOCK = Path("/run/outport-lab.lock")

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

BRIDGE = "outport-lab"
CGROUP = "outport-lab"
NFT_TABLE = "outport-lab"

# What AWS calls a VPC: every host, and the lab itself as its router.
PRIVATE = IPv4Network("10.213.0.0/16")
GATEWAY = IPv4Address("10.213.0.1")
# Elastic IPs: translated to a host's private address, as EC2 does.
PUBLIC = IPv4Network("10.214.0.0/24")
PUBLIC_GATEWAY = IPv4Address("10.214.0.1")
# Databases: the first one gets the address after this.
DATABASE_BASE = IPv4Address("10.213.254.10")

AWS_PORT = 4566
AWS_ENDPOINT = f"http://{GATEWAY}:{AWS_PORT}"
AWS_NAME = "aws.lab.test"
ACME_PORT = 14000
ACME_MANAGEMENT_PORT = 15000
METADATA_PORT = 8169
FILES_PORT = 8080
DNS_PORT = 53
GIT_PORT = 9418

ACCOUNT = "123456789012"
REGION = "eu-west-1"
USER = "admin"

SUITES = {"bookworm": "debian-12-amd64-*", "trixie": "debian-13-amd64-*"}
IMAGE_SUITES = {"ami-00000000000000012": "bookworm", "ami-00000000000000013": "trixie"}
