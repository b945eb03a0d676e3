"""A TCP proxy for fault injection: tests and benchmarks use it to make a store fail.

    with closing(Proxy(server.host, server.port)) as proxy:
        ...                  # the store is at proxy.address
        proxy.become("swallow")

Modelled on Toxiproxy, with only the needed features.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Literal

from tweeter.devtools.servers import HOST, free_port, release_port

Mode = Literal["pass", "refuse", "swallow", "hold", "cut"]
RECEIVED = 65_536  # bytes per read


class Proxy:
    """Listens on a port of its own in front of a server. The modes:

    pass      forwards all data in both directions
    refuse    refuses connections, and aborts existing ones
    swallow   accepts connections and data, and returns nothing: the server seems to hang
    hold      the server seems to hang, and receives all held data later
    cut       ends each connection in the middle of the server's next response
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self.host, self.port = HOST, free_port()
        self._mode: Mode = "pass"
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._served: set[asyncio.Task[None] | None] = set()
        self._released = asyncio.Event()  # clear while the mode is "hold"
        self._released.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {self.port}", daemon=True)
        self._thread.start()
        self._do(self._listen())

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def become(self, mode: Mode) -> None:
        """Sets the mode of all connections. Connections that swallowed data are out of sync, and end with that mode."""
        self._do(self._become(mode))

    def close(self) -> None:
        """Ends all connections and stops listening."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        release_port(self.port)

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, self.host, self.port)

    async def _become(self, mode: Mode) -> None:
        if mode == "refuse" or self._mode == "swallow":
            for writer in self._open:
                writer.transport.abort()
        if mode == "refuse" and self._listener is not None:
            self._listener.close()
            self._listener = None
        self._mode = mode
        if mode == "hold":
            self._released.clear()
        else:
            self._released.set()
        if mode != "refuse" and self._listener is None:
            await self._listen()
        await asyncio.sleep(0)  # lets aborted connections close

    async def _end(self) -> None:
        await self._become("refuse")
        await asyncio.gather(*filter(None, self._served))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self._served.add(task := asyncio.current_task())
        try:
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(*self._server)
                self._open.add(far_writer)
                try:
                    ways = self._pump(reader, far_writer), self._pump(far_reader, writer, answers=True)
                    await asyncio.gather(*ways, return_exceptions=True)
                finally:
                    self._open.discard(far_writer)
        finally:
            self._open.discard(writer)
            self._served.discard(task)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool = False) -> None:
        """Forwards one direction until it ends, which also ends the other."""
        with contextlib.suppress(OSError):
            while data := await reader.read(RECEIVED):
                await self._released.wait()
                if self._mode == "swallow":
                    continue
                if answers and self._mode == "cut":
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
