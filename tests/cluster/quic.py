"""First packets of QUIC handshakes by hand (RFC 9000 and 9001), as somebody sends them who never goes on: what no client
library lets one send.

AES is that of the OpenSSL inside Python's own `ssl`, whose hello is taken too; the rest is a few bytes.
"""

import _ssl
import ctypes
import hashlib
import hmac
import os
import socket
import ssl
import struct

VERSION = 1
INITIAL, RETRY = 0, 3
_SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")  # RFC 9001, 5.2
_CRYPTO = ctypes.CDLL(_ssl.__file__)  # finds the symbols of the library that it is linked with
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_aes_128_ecb"):
    getattr(_CRYPTO, _name).restype = ctypes.c_void_p


def _encrypt(cipher, key, nonce, plain, aad=b"", tag=0):
    context = ctypes.c_void_p(_CRYPTO.EVP_CIPHER_CTX_new())
    size, out = ctypes.c_int(), ctypes.create_string_buffer(len(plain) + 16)
    try:
        ok = _CRYPTO.EVP_EncryptInit_ex(context, ctypes.c_void_p(cipher()), None, key, nonce)
        if aad:
            ok &= _CRYPTO.EVP_EncryptUpdate(context, None, ctypes.byref(size), aad, len(aad))
        ok &= _CRYPTO.EVP_EncryptUpdate(context, out, ctypes.byref(size), plain, len(plain))
        sealed = out.raw[:size.value]
        if tag:
            ok &= _CRYPTO.EVP_EncryptFinal_ex(context, out, ctypes.byref(size))
            ok &= _CRYPTO.EVP_CIPHER_CTX_ctrl(context, 0x10, tag, out)
            sealed += out.raw[:tag]
        assert ok == 1, "OpenSSL refuses"
        return sealed
    finally:
        _CRYPTO.EVP_CIPHER_CTX_free(context)


def _expand(secret, label, size):
    """HKDF-Expand-Label of TLS 1.3, for at most one block."""
    name = b"tls13 " + label.encode()
    info = struct.pack(">HB", size, len(name)) + name + b"\0"
    return hmac.digest(secret, info + b"\x01", "sha256")[:size]


def _hello(source):
    """A ClientHello as Python's TLS writes it, with QUIC's transport parameters behind its extensions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options &= ~getattr(ssl, "OP_ENABLE_MIDDLEBOX_COMPAT", 1 << 20)
    context.set_alpn_protocols(["esker-peer/1"])
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="node-1.esker").do_handshake()
    except ssl.SSLWantReadError:
        pass
    body = sent.read()[9:]  # without the headers of the record and of the message
    at = 34 + 1 + body[34]  # version, random, session
    at += 2 + struct.unpack_from(">H", body, at)[0]
    at += 1 + body[at]
    # initial_source_connection_id, initial_max_data, initial_max_streams_uni
    parameters = bytes([0x0F, len(source)]) + source + bytes([0x04, 2, 0x44, 0x00, 0x09, 1, 3])
    extensions = body[at + 2:] + struct.pack(">HH", 0x39, len(parameters)) + parameters
    body = body[:at] + struct.pack(">H", len(extensions)) + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def initial(destination, source, token=b"", number=0):
    """A client's first datagram, of 1,200 bytes, protected by the keys that follow from `destination`."""
    hello = _hello(source)
    payload = b"\x06\x00" + struct.pack(">H", 0x4000 | len(hello)) + hello  # CRYPTO at 0
    head = bytes([0xC3]) + struct.pack(">IB", VERSION, len(destination)) + destination + bytes([len(source)]) + source
    head += struct.pack(">H", 0x4000 | len(token)) + token
    payload += bytes(1200 - len(head) - 2 - 4 - 16 - len(payload))  # PADDING
    head += struct.pack(">H", 0x4000 | (4 + len(payload) + 16)) + struct.pack(">I", number)
    secret = _expand(hmac.digest(_SALT, destination, hashlib.sha256), "client in", 32)
    key, iv, hp = _expand(secret, "quic key", 16), _expand(secret, "quic iv", 12), _expand(secret, "quic hp", 16)
    nonce = iv[:8] + struct.pack(">I", struct.unpack(">I", iv[8:])[0] ^ number)
    sealed = _encrypt(_CRYPTO.EVP_aes_128_gcm, key, nonce, payload, head, 16)
    mask = _encrypt(_CRYPTO.EVP_aes_128_ecb, hp, None, sealed[:16])
    at = len(head) - 4
    number = bytes(a ^ b for a, b in zip(head[at:], mask[1:5]))
    return bytes([head[0] ^ (mask[0] & 0x0F)]) + head[1:at] + number + sealed


def read(datagram):
    """(type of the first packet, to whom, from whom, what follows), of a packet with a long header."""
    if not datagram[0] & 0x80:
        return None, b"", b"", b""
    at = 6 + datagram[5]
    source = datagram[at + 1:at + 1 + datagram[at]]
    return (datagram[0] >> 4) & 3, datagram[6:at], source, datagram[at + 1 + len(source):]


class Flood:
    """Handshakes that begin and never go on, from one socket."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.connect((host, int(port)))
        self.sent = self.received = 0
        self.retries = []

    def begin(self, count=1):
        """So many new handshakes at once; what comes back is counted."""
        for datagram in [initial(os.urandom(8), os.urandom(8)) for _ in range(count)]:
            self._send(datagram)
        self.listen(0)

    def _send(self, datagram):
        try:
            self.sent += self.socket.send(datagram)
        except ConnectionRefusedError:  # the port was closed a moment ago
            pass

    def listen(self, seconds):
        """Reads what is there; returns the packets as (kind, to whom)."""
        found = []
        self.socket.settimeout(seconds or 1e-9)
        while True:
            try:
                datagram = self.socket.recv(65536)
            except (TimeoutError, BlockingIOError):
                return found
            except ConnectionRefusedError:
                continue
            self.received += len(datagram)
            kind, destination, source, rest = read(datagram)
            found.append((kind, destination))
            if kind == RETRY:
                self.retries.append((source, rest[:-16]))

    def go_on(self):
        """Shows the token of the last Retry, as an honest client does, and forgets it; returns what it calls itself."""
        source, token = self.retries.pop()
        own = os.urandom(8)
        self._send(initial(source, own, token, number=1))
        return own

    def close(self):
        self.socket.close()
