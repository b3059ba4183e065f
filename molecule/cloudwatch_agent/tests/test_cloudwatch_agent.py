"""A host after the role cloudwatch_agent. The package is the lab's stub, so only its configuration is tested."""

import json

from testinfra.host import Host

from lab.layout import AWS_ENDPOINT

HOME = "/opt/aws/amazon-cloudwatch-agent"


def test_the_agent_runs_as_its_own_user_and_can_read_the_logs(host: Host) -> None:
    assert host.service("amazon-cloudwatch-agent").is_running
    assert host.service("amazon-cloudwatch-agent").is_enabled
    assert "adm" in host.user("cwagent").groups
    owner = host.check_output("ps -o user= -p $(systemctl show -P MainPID amazon-cloudwatch-agent)")
    assert owner.strip() == "cwagent"


def test_the_agent_loaded_the_configuration(host: Host) -> None:
    loaded = json.loads(host.file(f"{HOME}/etc/amazon-cloudwatch-agent.d/file_outport.json").content_string)
    groups = {entry["log_group_name"] for entry in loaded["logs"]["logs_collected"]["files"]["collect_list"]}
    assert groups == {"/outport/scenario/nginx-access", "/outport/scenario/nginx-error"}
    assert loaded["metrics"]["namespace"] == "Outport/scenario"
    assert loaded["metrics"]["endpoint_override"] == AWS_ENDPOINT


def test_the_package_is_marked_as_a_stub(host: Host) -> None:
    assert "NOT Amazon's agent" in host.check_output(
        "dpkg-query --show --showformat='${Description}' amazon-cloudwatch-agent"
    )
