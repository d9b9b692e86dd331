"""Requests over HTTP, to a real server on loopback in the vendor's place."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neural_computer.recording.agents import anthropic, openai, transport
from neural_computer.recording.agents.transport import LoggedTransport, ReplayTransport, TransportError

KEY = "sk-271828"


class Vendor(BaseHTTPRequestHandler):
    """Responds with the server's next (code, text); keeps the requests."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        code, text = self.server.responses.pop(0)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def vendor(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    server.requests, server.responses = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("ANTHROPIC", "OPENAI"):
        monkeypatch.setenv(f"{name}_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv(f"{name}_API_KEY", f"{KEY}\n")  # as `echo` leaves it
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.001)
    yield server
    server.shutdown()
    server.server_close()


def test_the_key_is_in_the_headers_and_in_no_file(vendor, tmp_path):
    for send, path, header in (
        (anthropic.HTTP, "/v1/messages", ("x-api-key", KEY)),
        (openai.HTTP, "/responses", ("authorization", f"Bearer {KEY}")),
    ):
        vendor.responses.append((200, '{"id": 1}'))
        request = {"input": [{"image_url": "data:image/png;base64,AAAA"}], "model": "m"}
        assert LoggedTransport(send, tmp_path / "talk.jsonl")(request) == {"id": 1}
        where, headers, body = vendor.requests[-1]
        assert where == path and headers[header[0]] == header[1] and body == request
    assert KEY not in (text := (tmp_path / "talk.jsonl").read_text()) and "AAAA" not in text
    assert ReplayTransport(tmp_path / "talk.jsonl")(request) == {"id": 1}


def test_a_request_is_sent_again_where_that_can_help_and_only_there(vendor):
    vendor.responses += [(529, "busy"), (500, "broken"), (200, '{"id": 2}')]
    assert anthropic.HTTP({}) == {"id": 2} and len(vendor.requests) == 3
    vendor.responses += [(401, f"who is {KEY}")]
    with pytest.raises(TransportError, match=r"/v1/messages: HTTP 401: who is \(the key\)") as error:
        anthropic.HTTP({})
    assert KEY not in str(error.value) and len(vendor.requests) == 4
    vendor.responses += [(429, "slower")] * transport.TRIES
    with pytest.raises(TransportError, match="HTTP 429: slower"):
        openai.HTTP({})
    vendor.responses += [(200, "no json")] * transport.TRIES
    with pytest.raises(TransportError, match="/responses: Expecting value"):
        openai.HTTP({})
