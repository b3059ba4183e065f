"""EC2: Elastic IPs, key pairs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from moto.ec2 import utils
from moto.ec2.exceptions import InvalidKeyPairFormatError
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.ec2.models.key_pairs import KeyPairBackend

from lab.layout import PUBLIC
from lab.moto_gaps.patches import gap, wrap

FIRST_PUBLIC = 10
# Serializes the search for a free address.
_address_lock = threading.RLock()


@gap
def use_the_tag_type_of_elastic_ips() -> None:
    """moto tags an Elastic IP as `vpc-elastic-ip`, AWS as `elastic-ip`: ec2_eip would change the tags each time."""
    utils.EC2_PREFIX_TO_RESOURCE["eipalloc"] = "elastic-ip"


def free_public_address() -> str:
    """Return the lowest free public address of the lab."""
    taken: set[str | None] = set()
    for regions in ec2_backends.values():
        for backend in regions.values():
            taken |= {address.public_ip for address in backend.addresses}
            taken |= {interface.public_ip for interface in backend.enis.values()}
    for address in list(PUBLIC.hosts())[FIRST_PUBLIC - 1 :]:
        if str(address) not in taken:
            return str(address)
    raise RuntimeError(f"All public addresses of the lab ({PUBLIC}) are in use")


@gap
def allocate_reachable_addresses() -> None:
    """moto invents public addresses; those of the lab's hosts must be reachable."""

    @wrap(ElasticAddressBackend, "allocate_address")
    def allocate(
        original: Callable[..., Any], self: Any, domain: str, address: str | None = None, tags: Any = None
    ) -> Any:
        with _address_lock:
            return original(self, domain, address=address or free_public_address(), tags=tags)

    @wrap(NetworkInterface, "check_auto_public_ip")
    def assign(original: Callable[..., Any], self: Any) -> None:
        with _address_lock:
            elastic = elastic_address(self)
            if elastic:
                self.public_ip = elastic
                return
            original(self)
            if self.public_ip:
                self.public_ip = None
                self.public_ip = free_public_address()

    @wrap(NetworkInterface, "stop")
    def stop(original: Callable[..., Any], self: Any) -> None:
        if not elastic_address(self):
            original(self)


def elastic_address(interface: Any) -> str | None:
    """Return the Elastic IP of a network interface, which it keeps when its instance stops and starts; moto replaces it."""
    for address in interface.ec2_backend.addresses:
        if interface in (address.eni, *(address.instance.nics.values() if address.instance else ())):
            return address.public_ip
    return None


@gap
def free_addresses_of_terminated_instances() -> None:
    """AWS disassociates an Elastic IP when its instance is terminated; moto does not."""

    @wrap(Instance, "terminate")
    def terminate(original: Callable[..., Any], self: Any) -> Any:
        for address in self.ec2_backend.addresses:
            if address.instance is self:
                self.ec2_backend.disassociate_address(address=address.public_ip)
        return original(self)


@gap
def import_keys_of_two_types_only() -> None:
    """A key pair is RSA or ED25519; moto takes every public key."""

    @wrap(KeyPairBackend, "import_key_pair")
    def import_key(original: Callable[..., Any], self: Any, key_name: str, material: bytes, tags: Any) -> Any:
        if material.split()[0] not in (b"ssh-rsa", b"ssh-ed25519"):
            raise InvalidKeyPairFormatError
        return original(self, key_name, material, tags)
