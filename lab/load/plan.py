"""The plan of a load."""

from dataclasses import dataclass

from lab.console import LabError

MAX_RATE = 1000
# Timeout of a response, seconds: longer than the proxy's timeout for the app.
RESPONSE_TIMEOUT = 40.0


@dataclass(frozen=True)
class Plan:
    """The plan: `rate` requests per second to `domain`, which resolves to all `addresses`, trusting the PEM file `ca`.

    It ends on request, but not before `at_least` requests, and fails after `longest` seconds. `new_share` (0 to 1) of the requests
    open a new connection. `run` is part of each message; each Load has its own.
    """

    domain: str
    addresses: tuple[str, ...]
    ca: str
    port: int = 443
    rate: float = 200
    at_least: int = 0
    longest: float = 180
    new_share: float = 0.1
    run: str = ""

    def message(self, number: int) -> dict[str, str]:
        """Return the unique body of the request with this number, if it is a message."""
        return {"name": "Load", "email": "load@lab.test", "body": f"Message {number} of {self.run}"}

    def __post_init__(self) -> None:
        """Reject an invalid plan."""
        if not self.addresses:
            raise LabError(f"The load has no address of {self.domain}.")
        if not 0 < self.rate <= MAX_RATE:
            raise LabError(
                f"The load needs a rate above 0 and of at most {MAX_RATE} requests per second; found {self.rate:g}."
            )
        if self.at_least > self.rate * self.longest:
            raise LabError(
                f"The load can't make {self.at_least} requests at {self.rate:g} per second within {self.longest:g} seconds."
            )
