# SPDX-License-Identifier: Apache-2.0
"""Fixtures. A server is shared by the tests of one file; a test that harms its server makes its own."""
import pytest

from harness.server import Server
from harness.world import World


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("serin")).start()
    World(server).make_environments()
    yield server
    server.end()


@pytest.fixture(scope="module")
def world(server):
    return World(server)


@pytest.fixture(autouse=True)
def server_lives(request):
    """A test that brings the shared server down fails, and the next one gets it running again."""
    yield
    if "server" not in request.fixturenames:
        return
    server = request.getfixturevalue("server")
    if not server.running:
        code, log = server.process.wait_end(), server.process.log()
        server.close_clients()
        server.start()
        pytest.fail(f"the server ended with {code}:\n{log[-6000:]}")


@pytest.fixture
def admin(server):
    return server.admin


@pytest.fixture
def make_server(tmp_path):
    """Makes servers of the test's own; those that still run are ended, and looked at, after it."""
    made = []

    def make(*arguments, folder="serin", start=True, **more):
        server = Server(tmp_path / folder, *arguments, **more)
        made.append(server)
        return server.start() if start else server

    yield make
    for server in made:
        server.end()


@pytest.fixture
def own_world(make_server):
    return World(make_server()).make_environments()
