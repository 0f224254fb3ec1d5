"""A real dashboard on a real port, served by a thread."""

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from recloser import BreakerRegistry
from recloser.dashboard import Dashboard


@contextmanager
def served(registry: BreakerRegistry, port: int = 0) -> Generator[str]:
    """Serves a registry's dashboard during a block; gives its URL."""
    config = uvicorn.Config(
        Dashboard(registry, interval_seconds=0.05),
        lifespan="off",
        ws="none",
        log_level="critical",
        timeout_graceful_shutdown=0,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server has not started"
                time.sleep(0.001)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
