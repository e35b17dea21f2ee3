"""What tests of security need: an authority for certificates and keys of every form, an issuer of tokens, and raw SASL.

All of it by the `openssl` of the machine, so that our own code is not its own judge.
"""

import base64
import http.server
import json
import socket
import ssl
import struct
import subprocess
import threading
import time

from wire import Closed, Connection, frame, header, text


def openssl(*arguments, input=None, check=True, timeout=30):
    """Runs openssl; returns its completed process."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, input=input, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"openssl {arguments}: {done.stderr.decode(errors='replace')}")
    return done


class Authority:
    """An authority of its own, in a folder."""

    def __init__(self, folder, name="Test CA"):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.crt, self.key = folder, folder / "ca.crt", folder / "ca.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.crt, "-days", 30,
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, name, subject, hosts=(), key_type="rsa", days=30):
        """`name.crt` and `name.key` (PKCS#8); returns both paths."""
        crt, key, request = (self.folder / f"{name}.{ending}" for ending in ("crt", "key", "csr"))
        kind = ["-newkey", "rsa:2048"] if key_type == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("req", *kind, "-nodes", "-keyout", key, "-out", request, "-subj", subject)
        extensions = "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n"
        if hosts:
            extensions += "subjectAltName=" + ",".join(hosts) + "\n"
        config = self.folder / f"{name}.ext"
        config.write_text(extensions)
        openssl("x509", "-req", "-in", request, "-CA", self.crt, "-CAkey", self.key, "-CAcreateserial", "-out", crt,
                "-days", days, "-extfile", config)
        return crt, key


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs tokens with RS256."""

    def __init__(self, folder, key_id="k1", issuer="https://issuer.test"):
        folder.mkdir(parents=True, exist_ok=True)
        self.id, self.issuer, self.key = key_id, issuer, folder / f"token-{key_id}.pem"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        modulus = openssl("rsa", "-in", self.key, "-noout", "-modulus").stdout.decode().strip().split("=")[1]
        self.jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id, "n": b64(bytes.fromhex(modulus)),
                    "e": b64((65537).to_bytes(3, "big"))}

    def token(self, subject="alice", seconds=300, header=None, **claims):
        """A token; a claim that is None is left out."""
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT", "kid": self.id, **(header or {})}
        body = {"iss": self.issuer, "aud": "esker", "sub": subject, "iat": now, "exp": now + seconds, **claims}
        parts = [{key: value for key, value in part.items() if value is not None} for part in (head, body)]
        message = ".".join(b64(json.dumps(part).encode()) for part in parts)
        if head["alg"] == "none":
            return message + "."
        return message + "." + b64(openssl("dgst", "-sha256", "-sign", self.key, input=message.encode()).stdout)


class KeyServer:
    """An HTTPS server that gives a key set, which may change."""

    def __init__(self, certificate, key, keys):
        self.keys, self.asked, self.status = keys, 0, 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(outer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Sasl(Connection):
    """A connection that authenticates by hand; with a CA, inside TLS."""

    def __init__(self, address, ca=None, timeout=15):
        super().__init__(address, timeout)
        if ca:
            context = ssl.create_default_context(cafile=str(ca))
            self.socket = context.wrap_socket(self.socket, server_hostname=address.rsplit(":", 1)[0])

    def handshake(self, mechanism):
        """SaslHandshake v1: its error code."""
        return struct.unpack_from(">h", self.call(17, 1, text(mechanism)))[0]

    def authenticate(self, token):
        """SaslAuthenticate v1: (error code, message, bytes, session lifetime in ms)."""
        answer = self.call(36, 1, struct.pack(">i", len(token)) + token)
        error, length = struct.unpack_from(">hh", answer)
        at = 4 + max(length, 0)
        message = answer[4:at].decode()
        size = struct.unpack_from(">i", answer, at)[0]
        data = answer[at + 4:at + 4 + size]
        return error, message, data, struct.unpack_from(">q", answer, at + 4 + size)[0]

    def bearer(self, token, authzid=""):
        """OAUTHBEARER from the beginning: (error code, session lifetime); a refusal is heard to its end."""
        self.assert_handshake("OAUTHBEARER")
        gs2 = f"n,a={authzid}," if authzid else "n,,"
        error, _, data, lifetime = self.authenticate(f"{gs2}\x01auth=Bearer {token}\x01\x01".encode())
        if error == 0 and data:
            if json.loads(data) != {"status": "invalid_token"}:
                raise AssertionError(f"an odd refusal: {data}")
            error, _, _, lifetime = self.authenticate(b"\x01")
        return error, lifetime

    def plain(self, user, password, authzid=""):
        """PLAIN from the beginning: (error code, session lifetime)."""
        self.assert_handshake("PLAIN")
        error, _, _, lifetime = self.authenticate(f"{authzid}\0{user}\0{password}".encode())
        return error, lifetime

    def assert_handshake(self, mechanism):
        error = self.handshake(mechanism)
        if error:
            raise AssertionError(f"{mechanism} is answered {error}")

    def metadata_works(self):
        """Whether an ordinary request is answered."""
        try:
            self.correlation += 1
            self.send(frame(header(3, 4, self.correlation) + struct.pack(">i", 0) + b"\0"))
            return len(self.receive()) > 4
        except Closed:
            return False
