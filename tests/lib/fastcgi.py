"""As much FastCGI as a test needs to be its own nginx, or none."""
import socket
import struct

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT = 1, 2, 3, 4, 5, 6
KEEP = 1


def record(kind, content=b"", request_id=1, padding=0, version=1):
    return struct.pack(">BBHHBB", version, kind, request_id, len(content), padding, 0) + content + b"\0" * padding


def pair(name, value):
    def length(n):
        return bytes([n]) if n < 128 else struct.pack(">I", n | 1 << 31)
    name, value = name.encode(), value.encode() if isinstance(value, str) else value
    return length(len(name)) + length(len(value)) + name + value


def begin(keep=True, role=1, request_id=1):
    return record(BEGIN, struct.pack(">HB5x", role, KEEP if keep else 0), request_id)


def params(method, uri, body=b"", **more):
    content = b"".join(pair(k, v) for k, v in {
        "REQUEST_METHOD": method, "REQUEST_URI": uri, "REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": str(len(body)),
        **more}.items())
    return record(PARAMS, content) + record(PARAMS)


def request(method, uri, body=b"", keep=True, **more):
    """The bytes of a whole request."""
    pieces = [body[i:i + 32768] for i in range(0, len(body), 32768)]
    return begin(keep) + params(method, uri, body, **more) + b"".join(record(STDIN, p) for p in pieces) + record(STDIN)


def read_exactly(s, n):
    out = b""
    while len(out) < n:
        data = s.recv(n - len(out))
        if not data:
            raise ConnectionError("closed")
        out += data
    return out


def answer(s):
    """What comes back until the request's end: status, headers and body."""
    out = b""
    while True:
        _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", read_exactly(s, 8))
        content = read_exactly(s, length + padding)[:length]
        if kind == STDOUT:
            out += content
        if kind == END:
            break
    head, _, body = out.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    return int(headers["Status"].split()[0]), headers, body


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)
