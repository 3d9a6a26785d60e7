"""The readers of the serving rows, in a process of their own and near to the sockets: they must not be
what is measured. Takes [how, port, path, cookie, readers, seconds] as JSON and prints its figures as JSON.
"""

import json
import socket
import sys
import threading
import time

SMALL = 64 * 1024
END = b"\r\n\r\n"


class Reader:
    """One kept-alive connection."""

    def __init__(self, port: int, path: str, cookie: str, buffer: int = 1 << 20) -> None:
        self.asking = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Accept-Encoding: br\r\nCookie: {cookie}\r\n\r\n"
        ).encode()
        self.socket = socket.socket()
        if buffer == SMALL:  # or the kernel takes it all at once, and nobody is slow
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = bytearray(buffer)
        self.left = 0

    def ask(self) -> int:
        """Sends a request and reads the answer's head; how many bytes of body follow."""
        self.socket.sendall(self.asking)
        head = b""
        while END not in head:
            head += self.socket.recv(SMALL)
        head, _, begun = head.partition(END)
        assert head.startswith(b"HTTP/1.1 200"), head
        [length] = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        self.left = length - len(begun)
        return length

    def take(self) -> None:
        count = self.socket.recv_into(self.buffer)
        assert count, "the server broke off"
        self.left -= count


def throughput(port: int, path: str, cookie: str, readers: int, seconds: float) -> dict[str, float]:
    """MB/s of so many readers that ask again and again, after one round that is not counted."""
    got = [0] * readers
    start = threading.Barrier(readers)
    spans: list[float] = []

    def run(number: int) -> None:
        reader = Reader(port, path, cookie)
        reader.ask()
        while reader.left:
            reader.take()
        start.wait()
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            got[number] += reader.ask()
            while reader.left:
                reader.take()
        spans.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spans) == readers
    return {"MB/s": sum(got) / 1e6 / max(spans)}


def slowly(port: int, path: str, cookie: str, readers: int, seconds: float) -> dict[str, float]:
    """So many readers that all take a part at a time, so that none is done before `seconds` are over."""
    all_readers = [Reader(port, path, cookie, SMALL) for _ in range(readers)]
    threads = [threading.Thread(target=reader.ask) for reader in all_readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = sum(1 for reader in all_readers if reader.left)
    time.sleep(seconds / 2)
    begun = time.perf_counter()
    while unfinished := [reader for reader in all_readers if reader.left]:
        for reader in unfinished:
            reader.take()
        spent = time.perf_counter() - begun
        if spent < seconds / 2:
            time.sleep(EVERY)
    return {"readers": len(all_readers), "together": together}


EVERY = 0.02  # seconds between two parts

if __name__ == "__main__":
    how, *given = json.loads(sys.argv[1])
    print(json.dumps({"throughput": throughput, "slowly": slowly}[how](*given)))
