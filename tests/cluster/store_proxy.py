"""An HTTP proxy before the store: it notes every request, and makes each way a real store goes wrong.

A fault is a rule: which requests, what happens to them, how often. `FAULTS` names what can happen.
"""

import hashlib
import http.client
import random
import socket
import struct
import threading
import time

FAULTS = {
    "500": "an answer of InternalError, the request is not done",
    "503": "an answer of SlowDown, the request is not done",
    "timeout": "no answer at all; the request is not done",
    "reset": "the request is done, and the connection is reset instead of an answer",
    "slow": "the answer comes in drips",
    "truncated": "the answer ends in the middle of its body",
    "flip": "one byte of a read object is another one",
    "stale-list": "a listing from before the last changes",
    "lost-put": "a PUT is acknowledged and not done",
    "down": "the connection is closed before a request is read",
}


class Request:
    """One request as it came."""

    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body = method, headers, body
        self.path, _, self.query = target.partition("?")
        self.range = headers.get("range")

    @property
    def kind(self):
        """`put`, `list`, `get`, `head` or `delete`: the classes that a store bills."""
        if self.method == "GET" and ("list-type" in self.query or self.path.count("/") < 2):
            return "list"
        return {"PUT": "put", "POST": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}.get(self.method, "put")

    def is_segment(self):
        return self.path.endswith(".seg")


class StoreProxy:
    """Relays to `upstream` (host:port), with the faults that are switched on."""

    def __init__(self, upstream, seed=1):
        self.upstream = upstream.split(":")
        self.random = random.Random(seed)
        self.requests = []
        self.injected = {}
        self.rules = []
        self.lists = {}
        # Bucket settings (`lifecycle`, `publicAccessBlock`) that it keeps itself, as Amazon would: what MinIO refuses. Query → body.
        self.settings = None
        self.lock = threading.Lock()
        self.open = True
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # What a test says and asks.

    def fault(self, kind, when=lambda request: True, one_in=1):
        """From now on `kind` happens to one in so many of the requests for which `when` holds."""
        assert kind in FAULTS, kind
        with self.lock:
            self.rules.append((kind, when, one_in))

    def heal(self):
        with self.lock:
            self.rules.clear()

    def by_class(self, when=lambda request: True):
        """How many requests of each class."""
        counts = dict.fromkeys(("put", "list", "get", "head", "delete"), 0)
        with self.lock:
            for request in self.requests:
                if when(request):
                    counts[request.kind] += 1
        return counts

    def gets(self, suffix=""):
        """Paths of the GETs so far whose path ends with `suffix`."""
        with self.lock:
            return [r.path for r in self.requests if r.method == "GET" and r.path.endswith(suffix)]

    def segment_bytes(self):
        """Bytes of segment objects that were asked for, by their ranges."""
        total = 0
        with self.lock:
            for request in self.requests:
                if request.kind == "get" and request.is_segment() and request.range:
                    first, _, last = request.range.removeprefix("bytes=").partition("-")
                    total += int(last) - int(first) + 1 if first else int(last)
        return total

    def clear(self):
        with self.lock:
            self.requests.clear()

    def close(self):
        self.open = False
        self.listener.close()

    # How it works.

    def _accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _fault_of(self, request):
        with self.lock:
            for kind, when, one_in in self.rules:
                if kind != "down" and when(request) and self.random.randrange(one_in) == 0:
                    self.injected[kind] = self.injected.get(kind, 0) + 1
                    return kind
        return None

    def _is_down(self):
        with self.lock:
            return any(kind == "down" for kind, _, _ in self.rules)

    def _serve(self, client):
        server = None
        try:
            stream = client.makefile("rb")
            while request := self._read(stream):
                if self._is_down():
                    return
                with self.lock:
                    self.requests.append(request)
                fault = self._fault_of(request)
                if server is None:
                    server = socket.create_connection((self.upstream[0], int(self.upstream[1])))
                if not self._answer(client, server, request, fault):
                    return
        except (OSError, ValueError, http.client.HTTPException):
            pass
        finally:
            for each in (client, server):
                if each is not None:
                    each.close()

    @staticmethod
    def _read(stream):
        line = stream.readline()
        if not line:
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(stream.readline().split(b";")[0], 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
        else:
            body = stream.read(int(headers.get("content-length", 0)))
        return Request(method, target, headers, body)

    def _ask(self, server, request):
        """Status, reason, headers and body of the store's own answer."""
        target = request.path + (f"?{request.query}" if request.query else "")
        headers = {**request.headers, "content-length": str(len(request.body))}
        headers.pop("transfer-encoding", None)
        head = f"{request.method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        server.sendall(head.encode("latin-1") + b"\r\n" + request.body)
        answer = http.client.HTTPResponse(server, method=request.method)
        answer.begin()
        body = answer.read()
        kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection")]
        if request.method != "HEAD" and not any(k.lower() == "content-length" for k, _ in kept):
            kept.append(("Content-Length", str(len(body))))
        return answer.status, answer.reason, kept, body

    def _setting(self, request):
        """Status, reason, headers and body of an answer about a bucket's setting that is kept here."""
        if request.method == "PUT":
            self.settings[request.query] = request.body.decode()
            return 200, "OK", [("Content-Length", "0")], b""
        found = self.settings.get(request.query)
        body = (found or "<Error><Code>NoSuchLifecycleConfiguration</Code><Message>none</Message></Error>").encode()
        status, reason = (200, "OK") if found else (404, "Not Found")
        return status, reason, [("Content-Length", str(len(body))), ("Content-Type", "application/xml")], body

    def _answer(self, client, server, request, fault):
        """Sends an answer; false when the connection is not to be used any more."""
        if fault in ("500", "503"):
            reason, code = ("Internal Server Error", "InternalError") if fault == "500" else (
                "Service Unavailable", "SlowDown")
            body = f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
            self._send(client, int(fault), reason, [("Content-Length", str(len(body)))],
                       b"" if request.method == "HEAD" else body)
            return True
        if fault == "timeout":
            while self.open and self.rules:
                time.sleep(0.1)
            return False
        if fault == "lost-put" and request.method == "PUT":
            etag = hashlib.md5(request.body).hexdigest()
            self._send(client, 200, "OK", [("Content-Length", "0"), ("ETag", f'"{etag}"')], b"")
            return True
        if self.settings is not None and request.query in ("lifecycle", "publicAccessBlock"):
            status, reason, headers, body = self._setting(request)
        else:
            status, reason, headers, body = self._ask(server, request)
        if request.kind == "list":
            with self.lock:
                before = self.lists.get(request.query)
                if fault != "stale-list" or before is None:
                    self.lists[request.query] = (status, reason, headers, body)
                else:
                    status, reason, headers, body = before
        if fault == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault == "flip" and request.kind == "get" and status in (200, 206) and body:
            changed = bytearray(body)
            changed[self.random.randrange(len(changed))] ^= 0x20
            body = bytes(changed)
        if fault == "truncated" and body:
            self._send(client, status, reason, headers, body[:len(body) // 2])
            return False
        if fault == "slow":
            self._send(client, status, reason, headers, b"")
            for at in range(0, len(body), max(1, len(body) // 8)):
                time.sleep(0.1)
                client.sendall(body[at:at + max(1, len(body) // 8)])
            return True
        self._send(client, status, reason, headers, body)
        return True

    @staticmethod
    def _send(client, status, reason, headers, body):
        head = f"HTTP/1.1 {status} {reason}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
        client.sendall(head.encode("latin-1") + b"\r\n" + body)
