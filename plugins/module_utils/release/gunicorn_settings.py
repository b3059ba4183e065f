"""The app's own gunicorn.conf.py: which of its settings have no effect, because the release mechanism sets them."""

from __future__ import annotations

import ast

# Those of roles/gunicorn/vars/main.yml: the socket, the limits that a switch relies on, the process's user, TLS and the proxy.
OWNED = frozenset(
    [
        "bind",
        "certfile",
        "chdir",
        "control_socket_disable",
        "daemon",
        "forwarded_allow_ips",
        "graceful_timeout",
        "group",
        "keyfile",
        "pidfile",
        "proxy_protocol",
        "reload",
        "timeout",
        "umask",
        "user",
        "worker_tmp_dir",
        "wsgi_app",
    ]
)


def overridden(text: str) -> list[str]:
    """Return the settings in a gunicorn.conf.py that have no effect, sorted; none when it is not valid Python, which gunicorn reports."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return []
    targets = [target for node in body for target in _targets(node)]
    return sorted({target.id for target in targets if isinstance(target, ast.Name)} & OWNED)


def _targets(node: ast.stmt) -> list[ast.expr]:
    """Return what a statement assigns to."""
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []
