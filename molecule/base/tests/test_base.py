"""A host after the role base."""

from testinfra.host import Host


def test_security_updates_are_automatic(host: Host) -> None:
    assert host.service("unattended-upgrades").is_enabled
    assert host.service("apt-daily-upgrade.timer").is_running
    settings = host.check_output(
        "apt-config dump APT::Periodic::Unattended-Upgrade Unattended-Upgrade::Automatic-Reboot"
    )
    assert 'APT::Periodic::Unattended-Upgrade "1"' in settings
    assert 'Automatic-Reboot "true"' in host.check_output("apt-config dump Unattended-Upgrade::Automatic-Reboot")


def test_time_is_synchronized_with_the_configured_server(host: Host) -> None:
    assert host.package("chrony").is_installed
    assert "server 169.254.169.123 prefer" in host.file("/etc/chrony/sources.d/outport.sources").content_string


def test_ssh_accepts_only_keys_and_not_root(host: Host) -> None:
    effective = host.check_output("sshd -T").splitlines()
    for line in (
        "passwordauthentication no",
        "permitrootlogin no",
        "kbdinteractiveauthentication no",
        "maxauthtries 3",
    ):
        assert line in effective


def test_operators_can_log_in_and_use_sudo(host: Host) -> None:
    assert "sudo" in host.user("operator").groups
    assert "operator@lab.test" in host.file("/home/operator/.ssh/authorized_keys").content_string
    assert host.check_output("sudo -u operator sudo -n id -u") == "0"
