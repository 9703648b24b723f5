"""The socket of nobody's: it takes what strangers send in the place of the system and answers with as little as they need to
go on. What the honest suffer while strangers write to it, they suffer of the machine."""
import asyncio
import contextlib
import re
import resource
import signal
import socket

BACKLOG, DESCRIPTORS = 4096, 100000
BODY = b'{"id":1,"url":"/call/1"}'
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
KEPT = ("via", "from", "to", "call-id", "cseq")


class Http(asyncio.Protocol):
    """Answers each request that has come in whole."""

    def __init__(self):
        self.transport, self.buffer, self.left = None, bytearray(), 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"\r\nContent-Length: (\d+)", self.buffer[:end])
            whole = end + 4 + (int(length.group(1)) if length else 0)
            if len(self.buffer) < whole:
                return
            del self.buffer[:whole]
            self.transport.write(ANSWER)


class Sip(asyncio.DatagramProtocol):
    """200 to everything."""

    def __init__(self):
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        lines = data.split(b"\r\n\r\n", 1)[0].decode("utf-8", "replace").split("\r\n")[1:]
        lines = [line for line in lines if line.split(":", 1)[0].lower() in KEPT]
        self.transport.sendto("\r\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]).encode(), addr)


def serve(pipe):
    """A process, until it is ended. It says where it is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ValueError, OSError):  # only root may have more; then some strangers are not let in
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))

    async def run():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # it says of each connection that there is no descriptor for it
        servers = [await loop.create_server(Http, "127.0.0.1", 0, backlog=BACKLOG) for _ in range(2)]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        udp.bind(("127.0.0.1", 0))
        await loop.create_datagram_endpoint(Sip, sock=udp)
        pipe.send((servers[0].sockets[0].getsockname(), udp.getsockname(), servers[1].sockets[0].getsockname()))
        await asyncio.Event().wait()

    asyncio.run(run())
