"""What the services share."""

from itsdangerous import Signer


def sign(text, key):
    """Sign a text."""
    return Signer(key).sign(text).decode()
