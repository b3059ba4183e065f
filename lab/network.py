"""The lab's network: the hosts' bridge, its uplink, and NAT between public and private addresses."""

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from lab.commands import run
from lab.console import LabError
from lab.layout import (
    ACME_MANAGEMENT_PORT,
    ACME_PORT,
    AWS_PORT,
    BRIDGE,
    DNS_PORT,
    FILES_PORT,
    FIRST_BRIDGE,
    GATEWAY,
    GIT_PORT,
    METADATA_PORT,
    NFT_TABLE,
    PRIVATE,
    PUBLIC,
    PUBLIC_GATEWAY,
    VARIABLE,
)

# Without one, a bridge has the lowest of its ports: it changes when a host or the browser leaves, and the others send to the former one for a minute.
_BRIDGE_MAC = "02:00:00:00:00:01"
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# Shared by all labs; the last one to stop restores it.
_FORWARD_BEFORE = Path("/run/outport-lab.ip_forward")


def check_free() -> None:
    """Raise LabError when another interface of this machine has an address or a route inside the lab's ranges."""
    found = [(route["dst"], route.get("dev")) for route in json.loads(run(["ip", "-json", "-4", "route", "show"]))]
    for link in json.loads(run(["ip", "-json", "-4", "address", "show"])):
        found += [(f"{entry['local']}/{entry['prefixlen']}", link["ifname"]) for entry in link["addr_info"]]
    for destination, device in found:
        if device in (BRIDGE, None) or destination == "default":
            continue
        network = IPv4Interface(destination).network
        for ours in (PRIVATE, PUBLIC):
            if network.subnet_of(ours):
                raise LabError(
                    f"The lab uses the addresses {ours}, but this machine already reaches {destination} through '{device}'. "
                    f"Use another lab, which has other addresses ({VARIABLE}=2 bin/lab up), or stop that one: ip link set {device} down"
                )


def check_firewall() -> None:
    """Raise LabError when a firewall of this machine drops the hosts' packets and has no rule for the lab's bridge."""
    rules = json.loads(run(["nft", "--json", "list", "ruleset"]))["nftables"]
    if any(BRIDGE in json.dumps(entry["rule"]) for entry in rules if "rule" in entry):
        return
    for entry in rules:
        chain = entry.get("chain", {})
        if chain.get("hook") in ("forward", "input") and chain.get("policy") == "drop":
            raise LabError(
                f"A firewall of this machine drops packets that no rule accepts (table {chain['table']}, chain {chain['name']}), so the lab's "
                f"hosts would reach nothing. Allow the lab's bridge: 'nft insert rule {chain['family']} {chain['table']} {chain['name']} "
                f"iifname {BRIDGE} accept', for a chain of hook forward also with oifname; or stop the firewall while the lab is up."
            )


def check_ports() -> None:
    """Raise LabError when another program of this machine uses a port that the lab's services need on the bridge."""
    tcp = (AWS_PORT, ACME_PORT, ACME_MANAGEMENT_PORT, METADATA_PORT, FILES_PORT, DNS_PORT, GIT_PORT)
    for kind, ports in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, (DNS_PORT,))):
        for port in ports:
            with socket.socket(socket.AF_INET, kind) as probe:
                if kind == socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((str(GATEWAY), port))
                except OSError:
                    raise LabError(
                        f"Port {port} is used by a program that listens on all addresses; 'ss -lntup sport = :{port}' shows it. "
                        "Stop it while the lab is up."
                    ) from None


def bring_up() -> None:
    """Create the bridge, its addresses and its firewall table. Safe to repeat."""
    if BRIDGE not in _bridges():
        run(["ip", "link", "add", BRIDGE, "address", _BRIDGE_MAC, "type", "bridge"])
    for interface in (f"{GATEWAY}/{PRIVATE.prefixlen}", f"{PUBLIC_GATEWAY}/{PUBLIC.prefixlen}"):
        run(["ip", "address", "replace", interface, "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    with suppress(FileExistsError), _FORWARD_BEFORE.open("x") as before:
        before.write(_FORWARD.read_text())
    _FORWARD.write_text("1")
    translate({})


def translate(public_to_private: Mapping[str, str]) -> None:
    """Replace the NAT map of public to private addresses, atomically."""
    pairs = ", ".join(f"{public} : {private}" for public, private in sorted(public_to_private.items()))
    elements = f"elements = {{ {pairs} }}" if pairs else ""
    run(
        ["nft", "-f", "-"],
        input_text=f"""
table ip {NFT_TABLE}
delete table ip {NFT_TABLE}
table ip {NFT_TABLE} {{
  map elastic {{ type ipv4_addr : ipv4_addr; {elements} }}
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    iifname "{BRIDGE}" ip daddr 169.254.169.254 tcp dport 80 dnat to {GATEWAY}:{METADATA_PORT}
    dnat to ip daddr map @elastic
  }}
  chain output {{
    type nat hook output priority -100;
    dnat to ip daddr map @elastic
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {PRIVATE} ip daddr {PRIVATE} ct status dnat masquerade
    ip saddr {PRIVATE} ip daddr != {PRIVATE} masquerade
  }}
}}
""",
    )


def other_bridges() -> set[str]:
    """Return the bridges of other labs on this machine."""
    return _bridges() - {BRIDGE}


def _bridges() -> set[str]:
    links = json.loads(run(["ip", "-json", "link", "show", "type", "bridge"]))
    return {link["ifname"] for link in links if link.get("ifname", "").startswith(FIRST_BRIDGE)}


def add_address(address: IPv4Address) -> None:
    """Add an address to the bridge for a service that is not a host."""
    run(["ip", "address", "replace", f"{address}/32", "dev", BRIDGE])


def remove_address(address: IPv4Address) -> None:
    """Remove an address from the bridge."""
    run(["ip", "address", "del", f"{address}/32", "dev", BRIDGE])


def take_down() -> None:
    """Remove the bridge and the table, and restore forwarding as it was. Safe to repeat."""
    tables = json.loads(run(["nft", "-j", "list", "tables"]))["nftables"]
    if any(entry.get("table", {}).get("name") == NFT_TABLE for entry in tables):
        run(["nft", "delete", "table", "ip", NFT_TABLE])
    if BRIDGE in _bridges():
        run(["ip", "link", "delete", BRIDGE])
    if _FORWARD_BEFORE.exists() and not _bridges():
        _FORWARD.write_text(_FORWARD_BEFORE.read_text())
        _FORWARD_BEFORE.unlink()
