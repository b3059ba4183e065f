"""The switch: start a release next to the live one, check it, change the link, monitor it, and go back if it does worse."""

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
from ansible.module_utils.release.health import Health
from ansible.module_utils.release.layout import UNITS, App, release_of
from ansible.module_utils.release.service import WebService
from ansible.module_utils.release.systemd import listed, state_of, systemctl
from ansible.module_utils.release.traffic import AccessLog, Traffic

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

    def __init__(self, options: dict[str, Any], phases: dict[str, float]) -> None:
        self.options = options
        self.app = App(options["name"], Path(options["root"]))
        self.release = self.app.release(options["release"])
        self.web = WebService(self.app, self.release.id)
        self.health = Health(options["health_path"], options["health_host"], options["health_body"])
        self.serving = self.app.named_by(self.app.live)
        # What the history calls the release before this one; a run that was cut off has switched already.
        self.replaced = self.serving
        # Seconds that each step took.
        self.phases = phases
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
        return self.app.processes_here(self._commands(release), release)

    def lost_timers(self) -> list[str]:
        """The timers of processes that the release does not have."""
        commands = self._commands(self.release.id)
        return [unit for unit in listed(self.app.timer_pattern) if self.app.of_timer(unit) not in commands]

    def _commands(self, release: str) -> list[str]:
        """The names of a release's processes besides the web service."""
        file = self.app.release(release).processes
        return [name for name in json.loads(file.read_text())["processes"] if name != "web"] if file.exists() else []

    def others(self) -> list[str]:
        """The units of other releases that are loaded."""
        units = listed(*self.app.service_patterns, self.app.process_pattern)
        return [unit for unit in units if release_of(unit) != self.release.id]

    def is_done(self) -> bool:
        """Whether the release serves, proved itself, and nothing else runs."""
        wanted = [self.web.service, *self.processes(self.release.id)]
        return (
            self.serving == self.release.id
            and self.release.proved.exists()
            and all(state_of(unit).active == "active" for unit in wanted)
            and not self.others()
            and not self.lost_timers()
        )

    def run(self) -> None:
        """Start, ask, switch, watch, start the processes, stop what served before."""
        old = self.replaced = self.serving if self.serving != self.release.id else self._running_beside()
        usual = self.log.before(self.began - _BASELINE)
        try:
            with self.phase("start"):
                self.web.start()
                self._become_healthy()
            with self.phase("settle"):
                self._settle()
        except ReleaseError as error:
            if self.serving == self.release.id:
                raise self._refused(error, "It is the live one") from None
            refused = self._refused(error, "It got no traffic")
            # Nobody waits for its answers.
            self.web.stop(at_once=True)
            raise refused from None
        before = self.app.named_by(self.app.previous)
        try:
            with self.phase("switch"):
                if old:
                    self._link(self.app.previous, old)
                self._link(self.app.live, self.release.id)
            with self.phase("watch"):
                self._watch(usual)
            with self.phase("processes"):
                self._start_processes()
        except ReleaseError as error:
            if not old:
                raise self._refused(error, "There is no other release to go back to") from None
            self._go_back(old, before)
            raise self._refused(error, f"It served for {time.time() - self.began:.0f} s and was taken back") from None
        self.release.proved.touch()
        self.release.schema.write_text(self.options["schema"])
        with self.phase("drain"):
            self._retire()
        self.log.follow(self.traffic, self.began)
        self._remember("done")

    def _running_beside(self) -> str:
        """The release that a run which was cut off left running beside this one; empty for none."""
        kept = self.app.named_by(self.app.previous)
        return kept if kept and WebService(self.app, kept).state().active == "active" else ""

    def _become_healthy(self) -> None:
        deadline = time.monotonic() + self.options["health_timeout"]
        found: str | None = "no answer"
        while found is not None:
            left = deadline - time.monotonic()
            state = self.web.state()
            if state.restarts >= _RESTARTS or state.active == "failed":
                raise ReleaseError(f"the release ended each time that it was started{state.ended}")
            if left <= 0:
                limit = self.options["health_timeout"]
                raise ReleaseError(f"expected {self.health.expected} within {limit} seconds, found {found}")
            found = self.health.ask(str(self.release.socket), min(left, _PROBE))
            if found is not None:
                if found.startswith("no answer within"):
                    found = "no answer"
                time.sleep(min(max(left, 0), 0.3))

    def _settle(self) -> None:
        """Look at the release beside the one that serves: what dies soon after its start must not meet a visitor."""
        if not self.release.proved.exists():
            self._look(self.options["settle_seconds"], "was to prove itself", Traffic(), None)

    def _watch(self, usual: Traffic) -> None:
        """Look at the live release, and at what visitors get."""
        self._look(self.options["watch_seconds"], "served", self.traffic, usual)

    def _look(self, seconds: float, when: str, seen: Traffic, usual: Traffic | None) -> None:
        """Look at the release until the time is over; ReleaseError when it is not well, or serves worse than what was usual."""
        began = time.time()
        process, ill, answered = self.web.state().process, 0, 0
        while time.time() - began < seconds:
            time.sleep(0.5)
            if usual:
                self.log.follow(seen, began)
                self._compare(seen, usual)
            state = self.web.state()
            if state.active != "active" or state.process != process:
                raise ReleaseError(f"the release ended while it {when}{state.ended}")
            if dead := self.web.dead_workers():
                raise ReleaseError(
                    f"a worker of the release died while it {when}; gunicorn says '{dead[-1].rpartition('] ')[2].strip()}'"
                )
            found = self.health.ask(str(self.release.socket), _PROBE)
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
        wanted, began = self.processes(self.release.id), time.time()
        for unit in self.others():
            if not unit.startswith(f"{self.app.name}@"):
                systemctl("disable", "--now", unit)
        for unit in wanted:
            systemctl("enable", "--now", unit)
        if not wanted:
            return
        time.sleep(_PROCESS_SETTLES)
        for unit in wanted:
            state = state_of(unit)
            if state.active != "active" or state.restarts:
                log = journal.excerpt(journal.lines_of(unit, began))
                raise ReleaseError(f"{unit} does not stay up{state.ended}. Its last words:\n{log}")

    def _go_back(self, old: str, before: str) -> None:
        """Give the traffic back to the release that served before, and end this one."""
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

    def _retire(self) -> None:
        """Stop every other release, and what no longer runs by the clock."""
        for timer in self.lost_timers():
            systemctl("disable", "--now", timer)
            for unit in (timer, timer.replace(".timer", ".service")):
                (UNITS / unit).unlink(missing_ok=True)
            systemctl("daemon-reload")
        for other in sorted({release_of(unit) for unit in self.others()}):
            web = WebService(self.app, other)
            web.drain(self.options["drain_seconds"])
            web.stop()

    def _link(self, link: Path, release: str) -> None:
        """Point a link at a release in one step."""
        fresh = link.with_name(f".{link.name}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.relpath(self.app.release(release).folder, link.parent))
        fresh.replace(link)

    def _refused(self, error: ReleaseError, consequence: str) -> ReleaseError:
        serving = self.app.named_by(self.app.live) or "nothing"
        self._remember("refused", str(error).splitlines()[0])
        return ReleaseError(
            f"Release {self.release.id} does not serve: {error}.\n"
            f"{consequence}; {serving} serves.\n"
            f"Its last words:\n{journal.excerpt(self.web.log())}"
        )

    def _remember(self, outcome: str, reason: str = "") -> None:
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
