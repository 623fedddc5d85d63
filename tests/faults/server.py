"""A tracking server that is not well."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAYS = ("401", "403", "500", "503", "garbage", "hangs up")


@contextmanager
def server_that(way: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server on loopback that answers every request in one way, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(self.path)
            if way == "hangs up":
                self.close_connection = True
                return
            body = b"{<not JSON" if way == "garbage" else b'{"error_code": "INTERNAL_ERROR", "message": "no"}'
            self.send_response(200 if way == "garbage" else int(way))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
