"""The server's loop: it notices the work of its threads, closes connections itself, and is idle without events."""

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest

from tests.conftest import running_server
from tweeter.serve import EVERY, greeting

REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(server):
    return closing(socket.create_connection(("127.0.0.1", server.effective_port), timeout=10))


def answers(client, count=1):
    """Reads so many responses of the body `ok`."""
    data = b""
    while data.count(b"\r\n\r\nok") < count:
        part = client.recv(65536)
        assert part, "closed"
        data += part


def ok(environ, start):
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def test_many_connections_are_served_in_turns():
    with running_server(ok, connection_limit=300) as server, ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(200)]
        for _ in range(3):
            for client in clients:
                client.sendall(REQUEST % b"")
            for client in clients:
                answers(client)


@pytest.mark.parametrize(("account", "end"), [("demo demodemo", " · user demo · password demodemo"), ("", "")])
def test_the_greeting_has_the_address_and_the_account(account, end):
    with running_server(ok) as server:
        shown = greeting(server, {"tweeter.demo_account": account})
        assert shown == f"Tweeter runs on http://localhost:{server.effective_port}{end}"


def test_a_thread_leaves_closing_to_the_loop():
    """The loop may be about to use the descriptor."""
    seen = []

    def app(environ, start):
        [channel] = server.active_channels.values()
        channel.handle_close()
        seen.append(channel._fileno in server._map)
        return ok(environ, start)

    with running_server(app) as server:
        with connect(server) as client:
            client.sendall(REQUEST % b"")
            while client.recv(65536):
                pass
        assert seen == [True]
        with connect(server) as client:
            client.sendall(REQUEST % b"")
            assert client.recv(1000)


def test_reset_of_a_pipelined_request_does_not_block_others():
    half = REQUEST % b"" + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    reset = b"\x01\0\0\0\0\0\0\0"

    def clients():
        for _ in range(200):
            with connect(server) as client:
                client.sendall(half)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)

    with running_server(ok) as server:
        threads = [threading.Thread(target=clients) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with connect(server) as client:
            client.sendall(REQUEST % b"")
            answers(client)


def test_request_after_pipelined_ones_is_read_without_delay():
    """The thread of the first request continues after another thread started the second one."""

    def app(environ, start):
        if environ["PATH_INFO"] == "/2":
            time.sleep(0.1)
        return ok(environ, start)

    with running_server(app) as server:
        pull = server.pull_trigger
        server.pull_trigger = lambda: (pull(), time.sleep(0.02))  # the thread must wait for a CPU
        with connect(server) as other, connect(server) as client:
            timer = threading.Timer(0.06, lambda: other.sendall(REQUEST % b""))
            timer.start()
            client.sendall(REQUEST % b"1" + REQUEST % b"2")
            answers(client, 2)
            began = time.monotonic()
            client.sendall(REQUEST % b"3")
            answers(client)
            assert time.monotonic() - began < EVERY / 2
            timer.join()


def test_urgent_data_does_not_keep_the_loop_busy():
    with running_server(ok) as server, connect(server) as client:
        client.sendall(REQUEST % b"")
        answers(client)
        client.send(b"!", socket.MSG_OOB)
        looked, look = [], server._map._look
        server._map._look = lambda: (looked.append(1), look())
        time.sleep(0.5)
        assert len(looked) < 20


def test_a_channel_timeout_of_a_month():
    with running_server(ok, channel_timeout=30 * 24 * 3600) as server, connect(server) as client:
        client.sendall(REQUEST % b"")
        answers(client)


SERVER = """
import time
from tweeter.serve import make_server, run

def app(environ, start):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1.5)
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]

server = make_server(app, host="127.0.0.1", port=0, threads=2)
print(server.effective_port, flush=True)
run(server)
print("ended")
"""


def test_sigterm_lets_requests_finish_and_closes_idle_connections():
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    address = ("127.0.0.1", int(process.stdout.readline()))
    with process, ExitStack() as stack:
        idle, kept, busy = [
            stack.enter_context(closing(socket.create_connection(address, timeout=10))) for _ in range(3)
        ]
        for client in (idle, kept):
            client.sendall(REQUEST % b"")
            answers(client)
        busy.sendall(REQUEST % b"slow")
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        kept.sendall(REQUEST % b"")
        response = b""
        while part := kept.recv(65536):
            response += part
        assert b"Connection: close" in response
        assert response.endswith(b"\r\n\r\nok")
        answers(busy)
        assert idle.recv(1) == b""
        assert (process.stdout.read(), process.wait()) == ("ended\n", 0)
