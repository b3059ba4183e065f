#!/usr/bin/python
"""Ansible module: make a release the one that serves, if it proves itself; otherwise leave the old one serving."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release_traffic import AccessLog, Traffic
from ansible.module_utils.release_units import UNITS, Health, Release, ReleaseError, listed, systemctl

DOCUMENTATION = r"""
module: release_switch
short_description: Switch the traffic to a release that proves itself
description:
  - Starts a release beside the one that serves, asks for its health on its own socket, and changes the link C(live) to it.
  - Then watches the real traffic for a while; when the new release does worse, the link is changed back.
  - Last it starts the app's other processes, and stops what served before. Each step may be cut off; the next run goes on.
options:
  name: {description: Name of the app; its units are NAME@RELEASE., type: str, required: true}
  release: {description: The release to serve., type: str, required: true}
  releases: {description: Folder of the releases., type: path, required: true}
  live: {description: Link to the release that serves., type: path, required: true}
  health_path: {description: Path to ask., type: str, required: true}
  health_host: {description: Name of the site., type: str, default: localhost}
  health_body: {description: Regular expression that the body matches; empty for any., type: str, default: ""}
  health_timeout: {description: How long a release may take to become healthy, in seconds., type: int, default: 60}
  settle_seconds: {description: How long a release stays well before it serves the first time., type: int, default: 6}
  watch_seconds: {description: How long the live traffic is watched., type: int, default: 5}
  drain_seconds: {description: How long the old release may take to accept what came before the switch., type: int, default: 30}
  watch_max_errors: {description: Failed answers that are too many, in percent above what was before., type: int, default: 5}
  watch_max_slowdown: {description: How many times slower than before the median answer may be., type: int, default: 4}
  access_log: {description: The proxy's log in JSON lines; empty for none., type: path}
  action: {description: What the history calls this., type: str, choices: [deploy, rollback], default: deploy}
  by: {description: Who does it., type: str, default: ""}
  schema: {description: Revision of the database that the release knows., type: str, default: ""}
author: [Outport]
"""

EXAMPLES = r"""
- name: Serve the release
  release_switch:
    name: shop
    release: 0123456789ab-c0ffee
    releases: /srv/shop/releases
    live: /srv/shop/live
    health_path: /healthz
"""

RETURN = r"""
from: {description: The release that served before; empty for none., type: str, returned: success}
phases: {description: Seconds that each step took., type: dict, returned: success}
traffic: {description: Requests that the proxy served meanwhile, failed ones and the slowest., type: dict, returned: success}
"""

# A release that starts and ends this often will not come up by itself.
_RESTARTS = 2
# Fewer requests tell nothing about a share or a median.
_FEWEST_ERRORS = 3
_FEWEST_REQUESTS = 20
_SLOWER_BY = 1.0
_BASELINE = 120
_PROCESS_SETTLES = 3
# An answer to a health check may take this long, seconds.
_PROBE = 4


class Switch:
    """One switch on this host."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.releases, self.live = Path(options["releases"]), Path(options["live"])
        self.previous = self.live.with_name("previous")
        self.release = Release(options["name"], options["release"])
        self.folder = self.releases / self.release.id
        self.health = Health(options["health_path"], options["health_host"], options["health_body"])
        self.serving = self.live.resolve().name if self.live.is_symlink() else ""
        # What the history calls the release before this one; a run that was cut off has switched already.
        self.replaced = self.serving
        self.phases: dict[str, float] = {}
        self.log = AccessLog(options["access_log"] or "")
        self.traffic = Traffic()
        self.began = time.time()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a step."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(time.monotonic() - began, 1)

    def processes(self, release: str) -> list[str]:
        """The units of a release's other processes on this host."""
        file = self.releases / release / "processes.json"
        commands = json.loads(file.read_text())["processes"] if file.exists() else {}
        return Release(self.release.name, release).processes(name for name in commands if name != "web")

    def lost_timers(self) -> list[str]:
        """The timers of processes that the release does not have."""
        file = self.folder / "processes.json"
        commands = json.loads(file.read_text())["processes"] if file.exists() else {}
        prefix = f"{self.release.name}-"
        return [unit for unit in listed(f"{prefix}*.timer") if unit[len(prefix) : -len(".timer")] not in commands]

    def others(self) -> list[str]:
        """The units of other releases that are loaded."""
        name = self.release.name
        units = listed(f"{name}@*.service", f"{name}@*.socket", f"{name}-*@*.service")
        return [unit for unit in units if unit.partition("@")[2].rpartition(".")[0] != self.release.id]

    def is_done(self) -> bool:
        """Whether the release serves, proved itself, and nothing else runs."""
        wanted = [self.release.service, *self.processes(self.release.id)]
        return (
            self.serving == self.release.id
            and (self.folder / ".proved").exists()
            and all(self.release.state(unit).active == "active" for unit in wanted)
            and not self.others()
            and not self.lost_timers()
        )

    def run(self) -> None:
        """Start, ask, switch, watch, start the processes, stop what served before."""
        old = self.replaced = self.serving if self.serving != self.release.id else self._running_beside()
        usual = self.log.before(self.began - _BASELINE)
        try:
            with self.phase("start"):
                self.release.start()
                self._become_healthy()
            with self.phase("settle"):
                self._settle()
        except ReleaseError as error:
            if self.serving == self.release.id:
                raise self._refused(error, "It is the live one") from None
            refused = self._refused(error, "It got no traffic")
            # Nobody waits for its answers.
            self.release.stop(at_once=True)
            raise refused from None
        before = self.previous.resolve().name if self.previous.is_symlink() else ""
        try:
            with self.phase("switch"):
                if old:
                    self._link(self.previous, old)
                self._link(self.live, self.release.id)
            with self.phase("watch"):
                self._watch(usual)
            with self.phase("processes"):
                self._start_processes()
        except ReleaseError as error:
            if not old:
                raise self._refused(error, "There is no other release to go back to") from None
            self._go_back(old, before)
            raise self._refused(error, f"It served for {time.time() - self.began:.0f} s and was taken back") from None
        (self.folder / ".proved").touch()
        (self.folder / "schema").write_text(self.options["schema"])
        with self.phase("drain"):
            self._retire()
        self.log.follow(self.traffic, self.began)
        self._remember("done")

    def _running_beside(self) -> str:
        """The release that a run which was cut off left running beside this one; empty for none."""
        kept = self.previous.resolve().name if self.previous.is_symlink() else ""
        return kept if kept and Release(self.release.name, kept).state().active == "active" else ""

    def _become_healthy(self) -> None:
        deadline = time.monotonic() + self.options["health_timeout"]
        found: str | None = "no answer"
        while found is not None:
            left = deadline - time.monotonic()
            state = self.release.state()
            if state.restarts >= _RESTARTS or state.active == "failed":
                raise ReleaseError(f"the release ended each time that it was started{state.ended}")
            if left <= 0:
                limit = self.options["health_timeout"]
                raise ReleaseError(f"expected {self.health.expected} within {limit} seconds, found {found}")
            found = self.health.ask(str(self.folder / "run/gunicorn.sock"), min(left, _PROBE))
            if found is not None:
                if found.startswith("no answer within"):
                    found = "no answer"
                time.sleep(min(max(left, 0), 0.3))

    def _settle(self) -> None:
        """Look at the release beside the one that serves: what dies soon after its start must not meet a visitor."""
        if not (self.folder / ".proved").exists():
            self._look(self.options["settle_seconds"], "was to prove itself", Traffic(), None)

    def _watch(self, usual: Traffic) -> None:
        """Look at the live release, and at what visitors get."""
        self._look(self.options["watch_seconds"], "served", self.traffic, usual)

    def _look(self, seconds: float, when: str, seen: Traffic, usual: Traffic | None) -> None:
        """Look at the release until the time is over; ReleaseError when it is not well, or serves worse than what was usual."""
        began = time.time()
        process, ill, answered = self.release.state().process, 0, 0
        while time.time() - began < seconds:
            time.sleep(0.5)
            if usual:
                self.log.follow(seen, began)
                self._compare(seen, usual)
            state = self.release.state()
            if state.active != "active" or state.process != process:
                raise ReleaseError(f"the release ended while it {when}{state.ended}")
            if dead := self.release.dead_workers():
                raise ReleaseError(
                    f"a worker of the release died while it {when}; gunicorn says '{dead[-1].rpartition('] ')[2].strip()}'"
                )
            found = self.health.ask(str(self.folder / "run/gunicorn.sock"), _PROBE)
            # A host with much to do may be late for us; as long as visitors get their answers, that is no illness.
            late = bool(found and found.startswith("no answer within") and seen.app_requests > answered)
            ill = ill + 1 if found and not late else 0
            answered = seen.app_requests
            if ill > 1:
                raise ReleaseError(f"expected {self.health.expected} all the time while it {when}, found {found}")
        if usual:
            self._compare_speed(seen, usual)

    def _compare(self, seen: Traffic, usual: Traffic) -> None:
        if (
            seen.app_failed >= _FEWEST_ERRORS
            and seen.error_share > usual.error_share + self.options["watch_max_errors"]
        ):
            raise ReleaseError(
                f"{seen.app_failed} of {seen.app_requests} answers to visitors were errors ({seen.error_share:.0f} %);"
                f" before it were {usual.error_share:.0f} %"
            )

    def _compare_speed(self, seen: Traffic, usual: Traffic) -> None:
        slow = max(usual.median * self.options["watch_max_slowdown"], usual.median + _SLOWER_BY)
        if min(seen.app_requests, usual.app_requests) >= _FEWEST_REQUESTS and seen.late_median > slow:
            raise ReleaseError(
                f"visitors waited {seen.late_median:.2f} s for the median answer; before it were {usual.median:.2f} s"
            )

    def _start_processes(self) -> None:
        """Stop the old release's processes and start the new one's: two generations never work at the same time."""
        wanted = self.processes(self.release.id)
        for unit in self.others():
            if not unit.startswith(f"{self.release.name}@"):
                systemctl("disable", "--now", unit)
        for unit in wanted:
            systemctl("enable", "--now", unit)
        if not wanted:
            return
        time.sleep(_PROCESS_SETTLES)
        for unit in wanted:
            state = self.release.state(unit)
            if state.active != "active" or state.restarts:
                raise ReleaseError(
                    f"{unit} does not stay up{state.ended}. Its last words:\n{self.release.last_words(unit)}"
                )

    def _go_back(self, old: str, before: str) -> None:
        """Give the traffic back to the release that served before, and end this one."""
        Release(self.release.name, old).start()
        self._link(self.live, old)
        if before and before != old:
            self._link(self.previous, before)
        elif self.previous.is_symlink():
            self.previous.unlink()
        for unit in self.processes(self.release.id):
            systemctl("disable", "--now", unit)
        for unit in self.processes(old):
            systemctl("enable", "--now", unit)
        self.release.stop()

    def _retire(self) -> None:
        """Stop every other release, and what no longer runs by the clock."""
        for timer in self.lost_timers():
            systemctl("disable", "--now", timer)
            for unit in (timer, timer.replace(".timer", ".service")):
                (UNITS / unit).unlink(missing_ok=True)
            systemctl("daemon-reload")
        others = {unit.partition("@")[2].rpartition(".")[0] for unit in self.others()}
        for other in sorted(others):
            release = Release(self.release.name, other)
            release.drain(str(self.releases / other / "run/gunicorn.sock"), self.options["drain_seconds"])
            release.stop()

    def _link(self, link: Path, release: str) -> None:
        """Point a link at a release in one step."""
        fresh = link.with_name(f".{link.name}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.relpath(self.releases / release, link.parent))
        fresh.replace(link)

    def _refused(self, error: ReleaseError, consequence: str) -> ReleaseError:
        serving = self.live.resolve().name if self.live.is_symlink() else "nothing"
        self._remember("refused", str(error).splitlines()[0])
        return ReleaseError(
            f"Release {self.release.id} does not serve: {error}.\n"
            f"{consequence}; {serving} serves.\n"
            f"Its last words:\n{self.release.last_words()}"
        )

    def _remember(self, outcome: str, reason: str = "") -> None:
        """Add a line to the history of this host."""
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "action": self.options["action"],
            "from": self.replaced,
            "to": self.release.id,
            "by": self.options["by"],
            "outcome": outcome,
            "reason": reason,
            "seconds": round(time.time() - self.began, 1),
        }
        with (self.releases.parent / "history.jsonl").open("a") as history:
            history.write(json.dumps(entry) + "\n")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "releases": {"type": "path", "required": True},
            "live": {"type": "path", "required": True},
            "health_path": {"type": "str", "required": True},
            "health_host": {"type": "str", "default": "localhost"},
            "health_body": {"type": "str", "default": ""},
            "health_timeout": {"type": "int", "default": 60},
            "settle_seconds": {"type": "int", "default": 6},
            "watch_seconds": {"type": "int", "default": 5},
            "drain_seconds": {"type": "int", "default": 30},
            "watch_max_errors": {"type": "int", "default": 5},
            "watch_max_slowdown": {"type": "int", "default": 4},
            "access_log": {"type": "path"},
            "action": {"type": "str", "choices": ["deploy", "rollback"], "default": "deploy"},
            "by": {"type": "str", "default": ""},
            "schema": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    releases = Path(module.params["releases"])
    if module.check_mode and not (releases / module.params["release"]).exists():
        module.exit_json(changed=True)
    # A run that was cut off may still be at work here.
    with (releases / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        switch = Switch(module.params)
        done = switch.is_done()
        if not done and not module.check_mode:
            try:
                switch.run()
            except ReleaseError as error:
                module.fail_json(msg=str(error), phases=switch.phases)
    module.exit_json(
        changed=not done, phases=switch.phases, traffic=switch.traffic.summary(), **{"from": switch.serving}
    )


if __name__ == "__main__":
    main()
