# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is there after kill -9."""
from harness.scale import make_random
from harness.world import unique


def test_an_acknowledged_change_survives_a_kill(own_world):
    rng, server = make_random(), own_world.server
    for _ in range(5):
        agent = own_world.agent(rng.randrange(1, 4))
        versions = own_world.admin.op("version_list", agent=agent)
        server.kill()
        server.start()
        assert own_world.admin.op("version_list", agent=agent) == versions
        assert own_world.admin.call("agent_get", agent=unique()).status == 404
