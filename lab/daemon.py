"""The lab's daemon: serves the AWS API and the metadata, keeps the other servers running, and reconciles hosts and databases."""

import time
import traceback

from lab import cloud, git_server, services
from lab.layout import READY
from lab.metadata import MetadataServer
from lab.reconciler import Reconciler

_PAUSE = 0.3


def main() -> None:
    """Run until killed."""
    dns, acme = services.dns(), services.acme()
    for service in (dns, acme):
        service.ensure()
    cloud.serve()
    services.serve_files()
    git_server.serve()
    reconciler = Reconciler(dns)
    MetadataServer(reconciler.metadata).start()
    while not services.save_site_ca():
        time.sleep(_PAUSE)
    READY.touch()
    stale_ca = False
    while True:
        try:
            reconciler.reconcile()
            dns.ensure()
            stale_ca = acme.ensure() or stale_ca
            if stale_ca:
                stale_ca = not services.save_site_ca()
        except Exception:
            # One failure, such as a full disk, must not stop every host: it is logged and retried.
            traceback.print_exc()
            time.sleep(5)
        time.sleep(_PAUSE)


if __name__ == "__main__":
    main()
