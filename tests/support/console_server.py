"""Serves pages of the console on loopback, under the headers that they have to work under."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from kern.client.console.static_files import STATIC_HEADERS, static_files
from kern.client.web.headers import SECURITY_HEADERS

_PAGE_HEADERS = {"Content-Type": "text/html; charset=utf-8", **SECURITY_HEADERS}


@dataclass
class ConsoleServer:
    """A server of pages that stay as they are; what is posted to it is kept.

    Attributes:
        url: Its address.
        pages: The pages by their paths.
        answers: What a POST of a path is answered with: a status and a page.
        posted: What was posted, with its path, in order.
        events: The body of the live feed.
    """

    pages: Mapping[str, str]
    answers: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    posted: list[tuple[str, dict[str, list[str]]]] = field(
        default_factory=list[tuple[str, dict[str, list[str]]]]
    )
    missing: list[str] = field(default_factory=list[str])
    url: str = ""


def _handler(site: ConsoleServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            file = static_files().get(path)
            if file is not None:
                headers = {"Content-Type": file.content_type, **STATIC_HEADERS}
                self._answer(200, file.content, headers)
            elif path == "/desk/feed":
                # One comment; the browser connects again by itself.
                feed = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
                self._answer(200, b"retry: 100000\n\n", feed)
            elif path in site.pages:
                self._answer(200, site.pages[path].encode(), _PAGE_HEADERS)
            else:
                if path != "/favicon.ico":
                    site.missing.append(path)
                self._answer(404, b"", _PAGE_HEADERS)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            path = urlsplit(self.path).path
            site.posted.append((path, parse_qs(body, keep_blank_values=True)))
            status, page = site.answers.get(path, (200, "<h1>Stored</h1>"))
            self._answer(status, page.encode(), _PAGE_HEADERS)

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    return Handler


@contextmanager
def serving(pages: Mapping[str, str]) -> Generator[ConsoleServer]:
    """Serve pages by their paths."""
    site = ConsoleServer(pages)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
