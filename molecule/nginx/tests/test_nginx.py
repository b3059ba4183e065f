"""The proxy, from outside."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

HTTPS = "curl --http1.1 --silent --show-error --insecure --max-time 10 --resolve site.lab.test:443:127.0.0.1"
HTTP = "curl --silent --show-error --max-time 10 --resolve site.lab.test:80:127.0.0.1"


def test_plain_http_is_redirected_to_https(host: Host) -> None:
    response = host.check_output(f"{HTTP} --head http://site.lab.test/listings?page=2")
    assert "301" in response.splitlines()[0]
    assert "Location: https://site.lab.test/listings?page=2" in response


def test_another_name_is_redirected_to_the_sites(host: Host) -> None:
    alias = "a-rather-long-name-of-47-characters.example.org"
    for scheme, port in (("http", 80), ("https", 443)):
        command = f"curl --http1.1 --silent --insecure --max-time 10 --head --resolve {alias}:{port}:127.0.0.1"
        response = host.check_output(f"{command} '{scheme}://{alias}/listings?page=2'")
        assert "301" in response.splitlines()[0]
        assert "Location: https://site.lab.test/listings?page=2" in response


def test_a_trusted_proxy_tells_the_address_and_the_scheme(host: Host) -> None:
    """127.0.0.2 is one, 127.0.0.1 is not; both forward over plain HTTP."""
    forwarded = "-H 'X-Forwarded-For: 192.0.2.1, 198.51.100.7' -H 'X-Forwarded-Proto: https'"
    seen = json.loads(host.check_output(f"{HTTP} --interface 127.0.0.2 {forwarded} http://site.lab.test/api"))[
        "headers"
    ]
    # What the visitor claimed before that proxy is not believed.
    assert (seen["X-Forwarded-For"], seen["X-Forwarded-Proto"]) == ("198.51.100.7", "https")
    assert "301" in host.check_output(f"{HTTP} --head {forwarded} http://site.lab.test/api").splitlines()[0]
    plain = forwarded.replace("https", "http")
    response = host.check_output(f"{HTTP} --head --interface 127.0.0.2 {plain} http://site.lab.test/api")
    assert "Location: https://site.lab.test/api" in response


def test_challenges_are_served_over_plain_http(host: Host) -> None:
    host.check_output("echo token-content > /var/www/acme/.well-known/acme-challenge/token")
    assert host.check_output(f"{HTTP} http://site.lab.test/.well-known/acme-challenge/token") == "token-content"


def test_static_files_take_precedence(host: Host) -> None:
    assert host.check_output(f"{HTTPS} https://site.lab.test/") == "a static page"


def test_a_directory_without_a_slash_is_redirected(host: Host) -> None:
    response = host.check_output(f"{HTTPS} --head 'https://site.lab.test/guide?page=2'")
    assert "301" in response.splitlines()[0]
    assert "Location: /guide/?page=2" in response
    assert host.check_output(f"{HTTPS} https://site.lab.test/guide/") == "a guide"
    # One without a page is the application's.
    assert json.loads(host.check_output(f"{HTTPS} https://site.lab.test/empty"))["path"] == "/empty"


def test_files_have_the_type_that_browsers_need(host: Host) -> None:
    for name, kind in {
        "site.webmanifest": "application/manifest+json",
        "module.mjs": "text/javascript",
        "code.wasm": "application/wasm",
        "font.woff2": "font/woff2",
        "photo.avif": "image/avif",
        "photo.webp": "image/webp",
    }.items():
        assert (
            f"Content-Type: {kind}\r" in host.check_output(f"{HTTPS} --head https://site.lab.test/types/{name}") + "\r"
        )


def test_large_headers_and_long_urls_pass(host: Host) -> None:
    long = "x" * 5000
    response = json.loads(
        host.check_output(f"{HTTPS} -H 'Cookie: a={long}' 'https://site.lab.test/api?q={long}&header={long}'")
    )
    assert response["path"].count("x") == 10_000
    assert response["headers"]["Cookie"] == f"a={long}"


def test_browsers_revalidate_static_files(host: Host) -> None:
    head = dict(
        line.lower().split(": ", 1)
        for line in host.check_output(f"{HTTPS} --head https://site.lab.test/").splitlines()
        if ": " in line
    )
    assert head["cache-control"] == "no-cache"
    again = host.check_output(f"{HTTPS} --head -H 'If-None-Match: {head['etag']}' https://site.lab.test/")
    assert "304" in again.splitlines()[0]


def test_other_requests_are_proxied_to_the_application(host: Host) -> None:
    response = json.loads(host.check_output(f"{HTTPS} -H 'X-Forwarded-For: 1.2.3.4' 'https://site.lab.test/api/x?y=1'"))
    assert response["path"] == "/api/x?y=1"
    assert response["headers"]["Host"] == "site.lab.test"
    assert response["headers"]["X-Forwarded-Proto"] == "https"
    # Forged headers of a client are not forwarded.
    assert response["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert len(response["headers"]["X-Request-ID"]) == 32


def test_a_websocket_is_forwarded(host: Host) -> None:
    upgrade = "-H 'Connection: Upgrade' -H 'Upgrade: websocket'"
    seen = json.loads(host.check_output(f"{HTTPS} {upgrade} https://site.lab.test/api"))["headers"]
    assert (seen["Upgrade"], seen["Connection"]) == ("websocket", "upgrade")
    assert "Upgrade" not in json.loads(host.check_output(f"{HTTPS} https://site.lab.test/api"))["headers"]


def test_pages_have_the_security_headers(host: Host) -> None:
    response = host.check_output(f"{HTTPS} --head https://site.lab.test/").lower()
    for header in (
        "strict-transport-security: max-age=63072000",
        "content-security-policy: object-src 'none'; base-uri 'self'; frame-ancestors 'self'\r",
        "nosniff",
    ):
        assert header in response
    assert "server: nginx\r" in response


def test_requests_for_other_names_are_rejected(host: Host) -> None:
    other = "--max-time 10 --resolve other.lab.test:443:127.0.0.1 --resolve other.lab.test:80:127.0.0.1"
    # 35: the TLS handshake is rejected; 52: the connection is closed without a response.
    assert host.run(f"curl --silent --insecure {other} https://other.lab.test/").rc == 35
    assert host.run(f"curl --silent {other} http://other.lab.test/").rc == 52


def test_old_tls_versions_are_rejected(host: Host) -> None:
    assert host.run(f"{HTTPS} --tls-max 1.1 https://site.lab.test/").rc == 35
    assert host.run(f"{HTTPS} --tls-max 1.2 https://site.lab.test/").rc == 0


def test_an_invalid_configuration_is_not_loaded(host: Host) -> None:
    """A reload with an invalid file fails, and the site stays up."""
    host.check_output("cp /etc/nginx/nginx.conf /tmp/good.conf && echo 'nonsense' >> /etc/nginx/nginx.conf")
    try:
        assert host.run("nginx -t").rc != 0
        host.run("systemctl reload nginx")
        assert host.check_output(f"{HTTPS} https://site.lab.test/") == "a static page"
    finally:
        host.check_output("cp /tmp/good.conf /etc/nginx/nginx.conf && systemctl reload nginx")


@pytest.fixture
def maintenance() -> Iterator[Callable[[bool], None]]:
    """Switches the maintenance mode, which is off at the end."""

    def switch(on: bool) -> None:
        options = json.dumps({"nginx_maintenance": on, "nginx_maintenance_token": "T0ken"})
        playbook = Path(__file__).parents[1] / "maintenance.yml"
        command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], str(playbook)]
        subprocess.run([*command, "--extra-vars", options], capture_output=True, check=True, timeout=120)

    yield switch
    switch(False)


def test_maintenance_mode_closes_the_site_except_for_the_bypass(
    host: Host, maintenance: Callable[[bool], None]
) -> None:
    maintenance(True)
    # As after a reboot.
    host.check_output("systemctl restart nginx")
    for request in ("https://site.lab.test/", "https://site.lab.test/api", "--data x=1 https://site.lab.test/api"):
        response = host.check_output(f"{HTTPS} --include {request}")
        assert response.startswith("HTTP/1.1 503 ")
        assert "Retry-After: 300\r" in response
        assert "Content-Type: text/html; charset=utf-8\r" in response
        assert "<h1>Back soon</h1>" in response
    assert "503" in host.check_output(f"{HTTPS} --head https://site.lab.test/.maintenance/other").splitlines()[0]
    host.check_output("echo token-content > /var/www/acme/.well-known/acme-challenge/token")
    assert host.check_output(f"{HTTP} http://site.lab.test/.well-known/acme-challenge/token") == "token-content"
    assert json.loads(host.check_output(f"{HTTPS} https://site.lab.test/healthz"))["path"] == "/healthz"
    browser = f"{HTTPS} --cookie /tmp/cookies --cookie-jar /tmp/cookies"
    bypass = host.check_output(f"{browser} --include https://site.lab.test/.maintenance/T0ken")
    assert "302" in bypass.splitlines()[0]
    assert "Location: /\r" in bypass
    assert host.check_output(f"{browser} https://site.lab.test/") == "a static page"
    maintenance(False)
    assert host.check_output(f"{HTTPS} https://site.lab.test/") == "a static page"


def test_an_application_that_does_not_respond_gets_a_page(host: Host) -> None:
    host.check_output("systemctl stop application")
    try:
        response = host.check_output(f"{HTTPS} --include https://site.lab.test/api")
    finally:
        host.check_output("systemctl start application")
    assert response.startswith("HTTP/1.1 502 ")
    assert "<h1>Not available</h1>" in response
