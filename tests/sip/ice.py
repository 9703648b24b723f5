"""The least of a page's media: it answers ICE's checks (STUN, RFC 8489, RFC 8445), and notes what else comes."""
import binascii
import hashlib
import hmac
import socket
import struct
import threading

COOKIE = 0x2112A442
REQUEST, SUCCESS = 0x0001, 0x0101
XOR_MAPPED_ADDRESS, MESSAGE_INTEGRITY, FINGERPRINT = 0x0020, 0x0008, 0x8028


def success(request, source, password):
    host, port = source
    address = struct.unpack("!I", socket.inet_aton(host))[0] ^ COOKIE
    body = struct.pack("!HHxBHI", XOR_MAPPED_ADDRESS, 8, 1, port ^ COOKIE >> 16, address)

    def message(more):  # whose length counts what is about to be added, too
        return struct.pack("!HH", SUCCESS, len(body) + more) + request[4:20] + body

    body += struct.pack("!HH", MESSAGE_INTEGRITY, 20) + hmac.digest(password.encode(), message(24), hashlib.sha1)
    body += struct.pack("!HHI", FINGERPRINT, 4, binascii.crc32(message(8)) ^ 0x5354554E)
    return message(0)


class IcePeer:
    def __init__(self, password):
        self.password = password
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port = self.socket.getsockname()[1]
        self.checks, self.others = 0, []
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ends.is_set():
            try:
                data, source = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            if data[:2] == struct.pack("!H", REQUEST):
                self.checks += 1
                self.socket.sendto(success(data, source, self.password), source)
            else:
                self.others.append(data)

    def close(self):
        self.ends.set()
        self.thread.join()
        self.socket.close()
