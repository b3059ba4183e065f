"""Builds the stub package of Amazon's CloudWatch agent, which may not be redistributed; its description says that it is a stub."""

import shutil
import tempfile
from pathlib import Path

from lab.commands import run

_HERE = Path(__file__).parent
_HOME = Path("opt/aws/amazon-cloudwatch-agent")
_CTL = "amazon-cloudwatch-agent-ctl"


def build(target: Path) -> None:
    """Write the .deb to `target`."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        targets = {
            "control": Path("DEBIAN/control"),
            "postinst": Path("DEBIAN/postinst"),
            _CTL: _HOME / "bin" / _CTL,
            "amazon-cloudwatch-agent.service": Path("etc/systemd/system/amazon-cloudwatch-agent.service"),
        }
        for source, path in targets.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(_HERE / source, tree / path)
        for program in ("DEBIAN/postinst", _HOME / "bin" / _CTL):
            (tree / program).chmod(0o755)
        (tree / "usr/bin").mkdir(parents=True)
        (tree / "usr/bin" / _CTL).symlink_to(f"/{_HOME / 'bin' / _CTL}")
        tree.chmod(0o755)
        run(["dpkg-deb", "--root-owner-group", "--build", tree, target])
