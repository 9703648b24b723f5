"""A TLS connection that one thread reads while others write."""
import select
import socket
import ssl
import threading


class TlsSocket:
    """`ca`: the certificate that the server must show, or be signed by; None: any will do."""

    def __init__(self, server, ca=None, source=None, minimum=None, maximum=None):
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if not ca:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if minimum:
            context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
            context.set_ciphers("ALL:@SECLEVEL=0")
        plain = socket.create_connection(server, 10, source_address=source)
        self.sock = context.wrap_socket(plain, server_hostname=server[0])
        self.sock.setblocking(False)
        self.lock = threading.Lock()  # OpenSSL's object is one thread's at a time

    def getsockname(self):
        return self.sock.getsockname()

    def certificate(self):
        """The server's, as DER."""
        return self.sock.getpeercert(binary_form=True)

    def sendall(self, raw):
        while raw:
            with self.lock:
                try:
                    raw = raw[self.sock.send(raw):]
                    continue
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    pass
            select.select([], [self.sock], [], 1)

    def recv(self, size):
        while True:
            with self.lock:
                try:
                    return self.sock.recv(size)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
            try:
                select.select([self.sock], [], [], 1)
            except ValueError as e:  # closed meanwhile
                raise OSError("closed") from e

    def shutdown(self, how):
        self.sock.shutdown(how)

    def close(self):
        self.sock.close()
