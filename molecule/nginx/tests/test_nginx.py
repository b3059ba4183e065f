"""The proxy, from outside."""

import json

from testinfra.host import Host

HTTPS = "curl --silent --show-error --insecure --max-time 10 --resolve site.lab.test:443:127.0.0.1"
HTTP = "curl --silent --show-error --max-time 10 --resolve site.lab.test:80:127.0.0.1"


def test_plain_http_is_redirected_to_https(host: Host) -> None:
    answer = host.check_output(f"{HTTP} --head http://site.lab.test/listings?page=2")
    assert "301" in answer.splitlines()[0]
    assert "Location: https://site.lab.test/listings?page=2" in answer


def test_challenges_are_served_over_plain_http(host: Host) -> None:
    host.check_output("echo token-content > /var/www/acme/.well-known/acme-challenge/token")
    assert host.check_output(f"{HTTP} http://site.lab.test/.well-known/acme-challenge/token") == "token-content"


def test_static_files_come_first(host: Host) -> None:
    assert host.check_output(f"{HTTPS} https://site.lab.test/") == "a static page"


def test_browsers_revalidate_static_files(host: Host) -> None:
    head = dict(
        line.lower().split(": ", 1)
        for line in host.check_output(f"{HTTPS} --head https://site.lab.test/").splitlines()
        if ": " in line
    )
    assert head["cache-control"] == "no-cache"
    again = host.check_output(f"{HTTPS} --head -H 'If-None-Match: {head['etag']}' https://site.lab.test/")
    assert "304" in again.splitlines()[0]


def test_everything_else_goes_to_the_application(host: Host) -> None:
    answer = json.loads(host.check_output(f"{HTTPS} -H 'X-Forwarded-For: 1.2.3.4' 'https://site.lab.test/api/x?y=1'"))
    assert answer["path"] == "/api/x?y=1"
    assert answer["headers"]["Host"] == "site.lab.test"
    assert answer["headers"]["X-Forwarded-Proto"] == "https"
    # Forged headers of a client are not passed on.
    assert answer["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert len(answer["headers"]["X-Request-ID"]) == 32


def test_pages_carry_the_security_headers(host: Host) -> None:
    answer = host.check_output(f"{HTTPS} --head https://site.lab.test/").lower()
    for header in (
        "strict-transport-security: max-age=63072000",
        "content-security-policy: default-src 'none'",
        "nosniff",
    ):
        assert header in answer
    assert "server: nginx\r" in answer


def test_another_name_gets_no_response(host: Host) -> None:
    other = "--max-time 10 --resolve other.lab.test:443:127.0.0.1 --resolve other.lab.test:80:127.0.0.1"
    # 35: the TLS handshake is refused; 52: the connection is closed without a response.
    assert host.run(f"curl --silent --insecure {other} https://other.lab.test/").rc == 35
    assert host.run(f"curl --silent {other} http://other.lab.test/").rc == 52


def test_old_tls_is_refused(host: Host) -> None:
    assert host.run(f"{HTTPS} --tls-max 1.1 https://site.lab.test/").rc == 35
    assert host.run(f"{HTTPS} --tls-max 1.2 https://site.lab.test/").rc == 0


def test_a_broken_configuration_is_not_served(host: Host) -> None:
    """A reload with a broken file fails, and the site stays up."""
    host.check_output("cp /etc/nginx/nginx.conf /tmp/good.conf && echo 'nonsense' >> /etc/nginx/nginx.conf")
    try:
        assert host.run("nginx -t").rc != 0
        host.run("systemctl reload nginx")
        assert host.check_output(f"{HTTPS} https://site.lab.test/") == "a static page"
    finally:
        host.check_output("cp /tmp/good.conf /etc/nginx/nginx.conf && systemctl reload nginx")
