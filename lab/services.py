"""The lab's other servers: DNS, the certificate authority, and files over HTTP."""

import functools
import json
import os
import signal
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lab import certificates, cgroups
from lab.layout import (
    ACME_MANAGEMENT_PORT,
    ACME_PORT,
    AWS_NAME,
    CERTIFICATES,
    DNS_PORT,
    FILES_PORT,
    GATEWAY,
    LOGS,
    SITE_CA,
    STATE,
    WWW,
)

_NAMES = STATE / "names"


class Service:
    """A server program that is started, and restarted when it has exited."""

    def __init__(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._argv = argv
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> bool:
        """Start the program unless it runs; return whether it was started."""
        if self._process and self._process.poll() is None:
            return False
        self._process = cgroups.spawn(f"service-{self.name}", self._argv, LOGS / f"service-{self.name}.log", self._env)
        return True

    def reload(self) -> None:
        """Send SIGHUP."""
        if self._process:
            self._process.send_signal(signal.SIGHUP)


def dns() -> Service:
    """DNS server for the lab's names (see set_names); forwards all other queries to this machine's resolvers."""
    _NAMES.touch()
    here = ["--bind-interfaces", f"--listen-address={GATEWAY}", "--except-interface=lo", f"--port={DNS_PORT}"]
    ours = [
        f"--addn-hosts={_NAMES}",
        f"--address=/{AWS_NAME}/{GATEWAY}",
        "--local=/lab.test/rds.amazonaws.com/",
        "--local-ttl=1",
    ]
    plain = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--user=root",
        "--log-facility=-",
        "--pid-file=",
    ]
    return Service("dns", ["dnsmasq", *plain, *here, *ours])


def set_names(service: Service, names: Mapping[str, Sequence[str]]) -> None:
    """Replace the records of `service`: names to addresses."""
    text = "".join(f"{address} {name}\n" for name, addresses in sorted(names.items()) for address in addresses)
    if text != _NAMES.read_text():
        _NAMES.write_text(text)
        service.reload()


def acme() -> Service:
    """Pebble: a certificate authority that validates each domain over the lab's network, on the real ports."""
    certificate, key = CERTIFICATES / "acme.pem", CERTIFICATES / "acme.key"
    certificates.issue([str(GATEWAY), "acme.lab.test"], certificate, key)
    config = STATE / "pebble.json"
    config.write_text(
        json.dumps(
            {
                "pebble": {
                    "listenAddress": f"{GATEWAY}:{ACME_PORT}",
                    "managementListenAddress": f"{GATEWAY}:{ACME_MANAGEMENT_PORT}",
                    "certificate": str(certificate),
                    "privateKey": str(key),
                    "httpPort": 80,
                    "tlsPort": 443,
                    "ocspResponderURL": "",
                    "externalAccountBindingRequired": False,
                    "certificateValidityPeriod": 90 * 24 * 3600,
                }
            }
        )
    )
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    return Service("acme", ["pebble", "-config", config, "-dnsserver", f"{GATEWAY}:{DNS_PORT}"], quick)


def save_site_ca() -> bool:
    """Write the authority's root certificate, new at each start of Pebble, to SITE_CA. Returns False while Pebble does not respond."""
    trust = ssl.create_default_context(cafile=str(certificates.CA))
    try:
        with urllib.request.urlopen(
            f"https://{GATEWAY}:{ACME_MANAGEMENT_PORT}/roots/0", context=trust, timeout=5
        ) as response:
            SITE_CA.write_bytes(response.read())
    except OSError:
        return False
    return True


def serve_files() -> None:
    """Serve WWW over HTTP in its own thread: CA bundles, and the stub of the CloudWatch agent."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer((str(GATEWAY), FILES_PORT), functools.partial(Quiet, directory=str(WWW)))
    threading.Thread(target=server.serve_forever, name="files", daemon=True).start()
