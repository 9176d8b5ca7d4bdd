"""What Python guests find: CPython's own modules for sockets, as its usual tool builds them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from engine_guests import SLOTS, no_imports
from program_python_guest import build_program_guest

from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool
from lath_host.engine.sockets.network import Network
from lath_host.engine.surroundings import Surroundings
from lath_host.outbound.resolver import ComponentLookups, Resolver
from lath_host.outbound.socket_rules import SocketRules
from lath_host.testing import CACHE_DIR

Run = Callable[[str], Awaitable[str]]

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("python-sockets")]


@pytest.fixture(scope="module")
def python_engine() -> Iterator[Engine]:
    engine = Engine(cache_dir=CACHE_DIR, threads=2, instances_max=SLOTS)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def python_script(python_engine: Engine) -> CompiledComponent:
    return asyncio.run(python_engine.compile(build_program_guest()))


def echo(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(65_536):
            connection.sendall(data)


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that echoes, in threads: beside the loop that the guests' sockets are on."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            talks.append(threading.Thread(target=echo, args=(connection,)))
            talks[-1].start()

    talks: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=serve)
        accepting.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for thread in (accepting, *talks):
        thread.join()


@pytest.fixture
async def run(python_engine: Engine, python_script: CompiledComponent, echo_port: int) -> AsyncIterator[Run]:
    """Runs lines of Python in a guest that may reach the server, by name and by address."""
    rules = SocketRules([f"localhost:{echo_port}", f"127.0.0.1:{echo_port}"])
    network = Network("script", rules, python_engine.sockets, ComponentLookups(Resolver()))
    async with InstancePool(
        python_engine, python_script, Limits(), no_imports, name="script",
        surroundings=Surroundings(sockets=network),
    ) as pool:  # fmt: skip

        async def run(lines: str) -> str:
            said = await pool.call(
                "demo:app/script@0.1.0", "run", [echo_port, lines],
                context=CallContext(), timeout_ms=60_000,
            )  # fmt: skip
            return str(said)

        yield run
    assert python_engine.sockets.open == 0


async def test_a_connection_by_name_and_its_end(run: Run) -> None:
    said = await run("""
with socket.create_connection(("localhost", port), timeout=20) as there:
    there.sendall(b"hello")
    print(there.recv(100), there.getpeername() == ("127.0.0.1", port), there.getsockname()[0])
    there.shutdown(socket.SHUT_WR)
    print(there.recv(100))
""")
    assert said == "b'hello' True 127.0.0.1\nb''\n"


async def test_large_amounts_go_both_ways(run: Run) -> None:
    said = await run("""
with socket.create_connection(("127.0.0.1", port), timeout=20) as there:
    came = b""
    for number in range(20):
        there.sendall(bytes([number]) * 50_000)
        while len(came) < 50_000 * (number + 1):
            came += there.recv(65_536)
    print(came == b"".join(bytes([number]) * 50_000 for number in range(20)))
""")
    assert said == "True\n"


async def test_a_time_out_ends_a_wait(run: Run) -> None:
    said = await run("""
there = socket.create_connection(("127.0.0.1", port), timeout=0.05)
try:
    there.recv(1)
except TimeoutError as error:
    print(error)
""")
    assert said == "timed out\n"


async def test_sockets_that_do_not_block_are_polled(run: Run) -> None:
    said = await run("""
there = socket.create_connection(("127.0.0.1", port))
there.setblocking(False)
try:
    there.recv(1)
except BlockingIOError:
    print("nothing yet")
print(select.select([there], [], [], 0.05)[0])
print(select.select([there], [there], [], 10)[1] == [there])
there.send(b"x")
print(select.select([there], [], [], 10)[0] == [there], there.recv(10))
poll = select.poll()
poll.register(there, select.POLLIN)
print(poll.poll(50))
there.send(b"y")
print(len(poll.poll(10_000)), there.recv(10))
""")
    assert said == "nothing yet\n[]\nTrue\nTrue b'x'\n[]\n1 b'y'\n"


async def test_asyncio_has_many_connections_at_once(run: Run) -> None:
    said = await run("""
async def ask(word):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(word.encode())
    answer = await reader.readexactly(len(word))
    writer.close()
    await writer.wait_closed()
    return answer.decode()

async def main():
    async with asyncio.timeout(20):
        print(*await asyncio.gather(*(ask(word) for word in ("one", "three", "fifteen"))))

asyncio.run(main())
""")
    assert said == "one three fifteen\n"


async def test_what_is_denied_is_a_permission_error(run: Run) -> None:
    said = await run("""
for what in (
    lambda: socket.create_connection(("127.0.0.1", port - 1)),
    lambda: socket.create_connection(("db.internal", port)),
    lambda: socket.create_server(("127.0.0.1", port - 1)),
    lambda: socket.create_server(("0.0.0.0", 0)),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port - 1)),
):
    try:
        what()
    except PermissionError:
        print("denied")
""")
    assert said == "denied\n" * 5


async def test_a_guest_talks_to_itself(run: Run) -> None:
    said = await run("""
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()) as near:
        far, address = server.accept()
        with far:
            print(address == near.getsockname(), near.getpeername() == server.getsockname())
            near.sendall(b"hello")
            print(far.recv(10))
""")
    assert said == "True True\nb'hello'\n"
