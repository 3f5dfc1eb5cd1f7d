# SPDX-License-Identifier: Apache-2.0
"""A store whose server is killed while clients write, and whose history must add up each time it is back."""
import random
import re
import signal
import sqlite3
import threading
from contextlib import closing

from harness.ledger import ACKNOWLEDGED, ENVIRONMENTS, REFUSED, UNCHANGED, History, Ledger, Writer, place
from harness.server import ROOT, Server, run_cli
from harness.world import World

WRITERS = 6


class Crashes:
    """One store, killed and started again; what its clients know; what its history must be."""

    def __init__(self, folder, rng, *arguments, trouble=(), **more):
        self.rng, self.ledger, self.kills, self.trouble = rng, Ledger(), 0, trouble
        self.server = Server(folder, *arguments, **more).start()
        self.history = History(self.ledger)
        self.agents = [World(self.server).make_environments().agent(3) for _ in range(4)]

    def write(self, end, seconds=20):
        """Clients write until the server has ended; `end` brings that about, or waits for it."""
        stop = threading.Event()
        writers = [Writer(self.ledger, f"{self.kills}-{number}", random.Random(self.rng.random()), self.agents, self.server.address, stop, self.trouble)
                   for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            end(seconds)
        finally:
            stop.set()
            for writer in writers:
                writer.join(30)
            failures = [writer.failure for writer in writers if writer.failure]
            if failures:
                raise failures[0]

    def killed(self):
        self.server.close_clients()
        assert self.server.process.wait_end() == -signal.SIGKILL, self.server.process.log()
        self.kills += 1

    def check(self):
        """The server runs again: what was unknown is asked again, then all must agree."""
        self.ledger.retry(self.server.address)
        self.history.follow(self.server.admin)
        self.history.check_acknowledged()
        self.history.check_served(self.server.admin)

    def check_snapshot_file(self, least=(0, 0)):
        """A start from the snapshot file alone: it stands at `least` or later, and answers every ref as history had it there. Leaves the
        server running with its store."""
        server, kept = self.server, self.server.folder / "kept"
        server.store.rename(kept)
        server.start()
        state = server.readiness()
        position = place(state["position"])
        assert state["status"] == "read_only" and position >= least, (state, least)
        served = {(agent, environment): self.served(agent, environment) for agent in self.agents for environment in ENVIRONMENTS}
        kept.rename(server.store)
        server.wait_open()
        self.check()
        before = self.history.served_at(position)
        assert served == {ref: before.get(ref, 0) for ref in served}, f"not what was served at {position}"
        return position

    def served(self, agent, environment):
        answer = self.server.admin.call("resolve", agent=agent, environment=environment)
        if answer.status == 404:
            return 0
        assert answer.json["config"]["system_prompt"] == f"{agent} says {answer.json['version']}", answer
        return answer.json["version"]

    def check_restored(self):
        """As check(), from the beginning: a restored store goes on from the backup's history."""
        self.history = History(self.ledger)
        self.check()

    def close(self):
        self.history.check_lists(self.server.admin)
        self.server.stop()
        before = derived(self.server.store)
        run_cli("rebuild", "--store", f"sqlite:{self.server.store}", home=self.server.folder).ok()
        assert derived(self.server.store) == before
        counts = self.ledger.counts
        print(f"{self.kills} kills; {len(self.ledger.of(ACKNOWLEDGED))} changes acknowledged, {len(self.ledger.of(UNCHANGED))} changed nothing, "
              f"{len(self.ledger.of(REFUSED))} refused; {counts['retried']} unknown and retried, of which {counts['had been applied']} had been applied; "
              f"{self.history.entries} audit entries; 0 lost, 0 twice")


def derived(store):
    """All rows of the derived tables."""
    with closing(sqlite3.connect(store)) as db:
        tables = [name for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%_now' ORDER BY name")]
        schema = "".join(path.read_text() for path in sorted((ROOT / "src/store/schema/derived").glob("*.sql")))
        assert tables == sorted(re.findall(r"CREATE TABLE (\w+_now)", schema))
        return {name: sorted(db.execute(f"SELECT * FROM {name}")) for name in tables}
