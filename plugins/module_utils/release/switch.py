"""The switch: start a release next to the live one, check it, change the link, monitor the traffic, and roll back if it gets worse."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.release import history, journal
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.explain import advice
from ansible.module_utils.release.health import Health
from ansible.module_utils.release.layout import UNITS, App, release_of
from ansible.module_utils.release.service import WebService
from ansible.module_utils.release.systemd import listed, state_of, systemctl
from ansible.module_utils.release.traffic import AccessLog, Traffic

# A release that has exited this often will not start.
_RESTARTS = 2
# Fewer requests are not significant for a rate or a median.
_FEWEST_ERRORS = 3
_FEWEST_REQUESTS = 20
_SLOWER_BY = 1.0
# A release is slow when it is in this many periods of monitoring in a row.
_SLOW_PERIODS = 3
_BASELINE = 120
_PROCESS_DELAY = 3
# Timeout of a health check, seconds.
_PROBE_TIMEOUT = 4


class Switch:
    """One switch on this host."""

    def __init__(self, options: dict[str, Any], phases: dict[str, float]) -> None:
        self.options = options
        self.app = App(options["name"], Path(options["root"]))
        self.release = self.app.release(options["release"])
        self.web = WebService(self.app, self.release.id)
        self.health = Health(options["health_path"], options["health_host"], options["health_body"])
        self.live = self.app.named_by(self.app.live)
        # The release before this one, for the history; an interrupted run may have switched already.
        self.replaced = self.live
        # Duration of each phase, seconds.
        self.phases = phases
        self.log = AccessLog(options["access_log"] or "")
        self.traffic = Traffic()
        self.began = time.time()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(time.monotonic() - began, 1)

    def processes(self, release: str) -> list[str]:
        """Return the units of a release's other processes on this host."""
        return self.app.processes_here(self._commands(release), release)

    def lost_timers(self) -> list[str]:
        """Return the timers of processes that the release does not have."""
        commands = self._commands(self.release.id)
        return [unit for unit in listed(self.app.timer_pattern) if self.app.of_timer(unit) not in commands]

    def _commands(self, release: str) -> list[str]:
        """Return the names of a release's processes other than the web service."""
        file = self.app.release(release).processes
        return [name for name in json.loads(file.read_text())["processes"] if name != "web"] if file.exists() else []

    def others(self) -> list[str]:
        """Return the loaded units of other releases, except those that systemd is stopping: a socket stops after its service."""
        units = [
            unit
            for unit in listed(*self.app.service_patterns, self.app.process_pattern)
            if release_of(unit) != self.release.id
        ]
        ending = {unit for unit in units if state_of(unit).active == "deactivating"}
        return [unit for unit in units if unit.replace(".socket", ".service") not in ending]

    def is_done(self) -> bool:
        """Return whether the release is live and verified, and no other one runs."""
        states = map(state_of, [self.web.service, *self.processes(self.release.id)])
        return (
            self.live == self.release.id
            and self.release.proved.exists()
            and all(state.active == "active" or state.elsewhere for state in states)
            and not self.others()
            and not self.lost_timers()
        )

    def run(self) -> None:
        """Start, check, switch, monitor, start the other processes, and stop the previous release."""
        old = self.replaced = self.live if self.live != self.release.id else self._interrupted()
        baseline = self.log.since(self.began - _BASELINE)
        try:
            with self.phase("start"):
                self.web.start()
                self._become_healthy()
            with self.phase("ready"):
                self._check_readiness()
        except ReleaseError as error:
            if self.live == self.release.id:
                raise self._refused(error, "It is the live one") from None
            refused = self._refused(error, "It got no traffic")
            # It has no requests to complete.
            self.web.stop(at_once=True)
            raise refused from None
        before = self.app.named_by(self.app.previous)
        try:
            with self.phase("switch"):
                if old:
                    self._link(self.app.previous, old)
                self._link(self.app.live, self.release.id)
            with self.phase("monitor"):
                self._monitor_traffic(baseline)
            with self.phase("processes"):
                self._start_processes()
        except ReleaseError as error:
            if not old:
                raise self._refused(error, "There is no other release to roll back to") from None
            self._roll_back(old, before)
            raise self._refused(error, f"It was rolled back after {time.time() - self.began:.0f} s") from None
        self.release.proved.touch()
        self.release.schema.write_text(self.options["schema"])
        with self.phase("drain"):
            self._stop_others()
        self.log.follow(self.traffic, self.began)
        self._record("done")

    def _interrupted(self) -> str:
        """Return the release that an interrupted run left running next to this one; empty for none."""
        kept = self.app.named_by(self.app.previous)
        return kept if kept and WebService(self.app, kept).state().active == "active" else ""

    def _become_healthy(self) -> None:
        deadline = time.monotonic() + self.options["health_timeout"]
        found: str | None = "no response"
        while found is not None:
            left = deadline - time.monotonic()
            state = self.web.state()
            if state.restarts >= _RESTARTS or state.active == "failed":
                raise ReleaseError(f"the release exited each time that it was started{state.ended}")
            if left <= 0:
                limit = self.options["health_timeout"]
                raise ReleaseError(f"expected {self.health.expected} within {limit} seconds, found {found}")
            found = self.health.probe(str(self.release.socket), min(left, _PROBE_TIMEOUT))
            if found is not None:
                if self.health.is_final(found):
                    raise ReleaseError(f"expected {self.health.expected}, found {found}; app_health_path sets the path")
                if found.startswith("no response within"):
                    found = "no response"
                time.sleep(min(max(left, 0), 0.3))

    def _check_readiness(self) -> None:
        """Check the release before it takes traffic: one that crashes soon after its start must not get requests."""
        if not self.release.proved.exists():
            self._monitor(self.options["readiness_delay"], "during its readiness delay", Traffic(), None)

    def _monitor_traffic(self, baseline: Traffic) -> None:
        """Monitor the live release and its traffic; a slow one gets more time: it may be cold, or the host busy with something else."""
        slow = ""
        for _ in range(_SLOW_PERIODS):
            known = len(self.traffic.seconds)
            self._monitor(self.options["monitor_seconds"], "while it was live", self.traffic, baseline)
            slow = self._slowness(Traffic(seconds=self.traffic.seconds[known:]), baseline)
            if not slow:
                return
        raise ReleaseError(slow)

    def _monitor(self, seconds: float, when: str, seen: Traffic, baseline: Traffic | None) -> None:
        """Check the release for some seconds. Raises ReleaseError when it is unhealthy, or its traffic is worse than the baseline."""
        began = time.time()
        process, failures, responses = self.web.state().process, 0, 0
        while time.time() - began < seconds:
            time.sleep(0.5)
            if baseline:
                self.log.follow(seen, began)
                self._compare_errors(seen, baseline)
            self._check_processes(process, when)
            found = self.health.probe(str(self.release.socket), _PROBE_TIMEOUT)
            # On a busy host a health check may time out; while requests get responses, the release is healthy.
            late = bool(found and found.startswith("no response within") and seen.app_requests > responses)
            failures = failures + 1 if found and not late else 0
            responses = seen.app_requests
            if failures > 1:
                raise ReleaseError(f"expected {self.health.expected} {when}, found {found}")
        # Its socket holds a health check until systemd has started it again, which may take until the end.
        self._check_processes(process, when)

    def _check_processes(self, process: int, when: str) -> None:
        """Raise ReleaseError when the main process is another one than `process`, or a worker has died."""
        state = self.web.state()
        if state.active != "active" or state.process != process:
            raise ReleaseError(f"the release exited {when}{state.ended}")
        if dead := self.web.dead_workers():
            logged = dead[-1].rpartition("] ")[2].strip()
            raise ReleaseError(f"a worker of the release died {when}; gunicorn logged '{logged}'")

    def _compare_errors(self, seen: Traffic, baseline: Traffic) -> None:
        if (
            seen.app_failed >= _FEWEST_ERRORS
            and seen.error_rate > baseline.error_rate + self.options["monitor_max_errors"]
        ):
            raise ReleaseError(
                f"{seen.app_failed} of {seen.app_requests} responses were errors ({seen.error_rate:.0f} %);"
                f" the baseline is {baseline.error_rate:.0f} %"
            )

    def _slowness(self, seen: Traffic, baseline: Traffic) -> str:
        """Return how much slower the responses are than the baseline; empty when they are not, or too few."""
        slow = max(baseline.median * self.options["monitor_max_slowdown"], baseline.median + _SLOWER_BY)
        if min(len(seen.seconds), len(baseline.seconds)) < _FEWEST_REQUESTS or seen.late_median <= slow:
            return ""
        return f"the median response time was {seen.late_median:.2f} s; the baseline is {baseline.median:.2f} s"

    def _start_processes(self) -> None:
        """Stop the old release's processes and start the new one's: those of two releases never run at the same time."""
        wanted, began = self.processes(self.release.id), time.time()
        for unit in self.others():
            if not unit.startswith(f"{self.app.name}@"):
                systemctl("disable", "--now", unit)
        for unit in wanted:
            systemctl("enable", "--now", unit)
        if not wanted:
            return
        time.sleep(_PROCESS_DELAY)
        for unit in wanted:
            state = state_of(unit)
            if not state.elsewhere and (state.active != "active" or state.restarts):
                log = journal.excerpt(journal.lines_of(unit, began))
                raise ReleaseError(f"{unit} does not stay up{state.ended}. Its last log lines:\n{log}")

    def _roll_back(self, old: str, before: str) -> None:
        """Switch the traffic back to the release that was live before, and stop this one."""
        WebService(self.app, old).start()
        self._link(self.app.live, old)
        if before and before != old:
            self._link(self.app.previous, before)
        elif self.app.previous.is_symlink():
            self.app.previous.unlink()
        for unit in self.processes(self.release.id):
            systemctl("disable", "--now", unit)
        for unit in self.processes(old):
            systemctl("enable", "--now", unit)
        self.web.stop()

    def _stop_others(self) -> None:
        """Drain and stop every other release, and remove timers that this one lacks."""
        for timer in self.lost_timers():
            systemctl("disable", "--now", timer)
            for unit in (timer, timer.replace(".timer", ".service")):
                (UNITS / unit).unlink(missing_ok=True)
            systemctl("daemon-reload")
        for other in sorted({release_of(unit) for unit in self.others()}):
            web = WebService(self.app, other)
            web.drain(self.options["drain_seconds"])
            # A long request must not hold up the deploy, nor the next one.
            web.stop(wait=False)

    def _link(self, link: Path, release: str) -> None:
        """Point a link at a release atomically."""
        fresh = link.with_name(f".{link.name}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.relpath(self.app.release(release).directory, link.parent))
        fresh.replace(link)

    def _refused(self, error: ReleaseError, consequence: str) -> ReleaseError:
        live = self.app.named_by(self.app.live)
        self._record("refused", str(error).splitlines()[0])
        lines = self.web.log()
        return ReleaseError(
            f"Release {self.release.id} was refused: {error}.\n"
            f"{consequence}; {f'release {live} is' if live else 'no release is'} live.\n"
            f"Its last log lines:\n{journal.excerpt(lines)}",
            advice([*lines, str(error)], self.release.app),
        )

    def _record(self, outcome: str, reason: str = "") -> None:
        """Add a line to the history of this host."""
        history.append(
            self.app,
            action=self.options["action"],
            by=self.options["by"],
            outcome=outcome,
            reason=reason,
            seconds=round(time.time() - self.began, 1),
            **{"from": self.replaced, "to": self.release.id},
        )
