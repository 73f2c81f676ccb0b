#!/usr/bin/env python3
"""`weft serve` is stopped while clients connect and ask all the time: who has connected and asked gets an answer."""

import os
import random
import select
import socket
import threading
import time
import unittest

import weft_program as weft

CLIENTS = 16
STOPS = 5 if weft.sanitizer() else 50
REQUEST = b"GET /hello/stop HTTP/1.1\r\nHost: test\r\n\r\n"
BODY = b"\r\n\r\nhello, stop\n"


class Clients:
    """Clients that ask until the server has gone: some on a new connection each time, the others on one that stays."""

    def __init__(self, address):
        self.address = address
        self.gone = threading.Event()
        self.answered = 0
        self.unanswered = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(1 if i % 2 else 1000,)) for i in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def join(self):
        self.gone.set()
        for thread in self._threads:
            thread.join()

    def _run(self, requests):
        while True:
            with socket.socket() as connection:
                connection.setblocking(False)
                if not self._connect(connection) or not self._ask_on(connection, requests):
                    return

    def _connect(self, connection):
        """Returns True when it has connected. Where the server has gone, nobody waits for a handshake's second try."""
        connection.connect_ex(self.address)
        while True:
            gone = self.gone.is_set()
            if select.select([], [connection], [], 0.01)[1]:
                return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            if gone:
                return False

    def _ask_on(self, connection, requests):
        for i in range(requests):
            response, end = self._ask(connection)
            with self._lock:
                if not response.endswith(BODY):
                    self.unanswered.append((i, end, response))
                    return False
                self.answered += 1
            if b"\r\nConnection: close\r\n" in response:
                return True
        return True

    @staticmethod
    def _ask(connection):
        """Returns the response, as far as it comes, and what ended it."""
        response = b""
        try:
            connection.sendall(REQUEST)
            while not response.endswith(BODY):
                if not select.select([connection], [], [], weft.PATIENCE)[0]:
                    return response, "silence"
                data = connection.recv(65536)
                if not data:
                    return response, "end of stream"
                response += data
        except OSError as error:
            return response, os.strerror(error.errno)
        return response, None


class Stop:
    """The subclass sets `poller`."""

    @classmethod
    def setUpClass(cls):
        if cls.poller.startswith("io_uring") and not weft.io_uring_works():
            raise unittest.SkipTest("io_uring is forbidden here")

    def test_no_client_goes_unanswered(self):
        for stop in range(STOPS):
            with weft.Server("--poller", self.poller, "--stop-timeout", "1m") as server:
                clients = Clients(server.address)
                try:
                    weft.wait_until(lambda: clients.answered >= 2 * CLIENTS, "every client asks")
                    time.sleep(random.random() / 100)
                    server.signal()
                    status = server.wait()
                finally:
                    clients.join()
                self.assertEqual(clients.unanswered, [], f"stop {stop}")
                self.assertEqual(status, 0, server.log())

    def test_without_help_from_the_kernel(self):
        """Where the listener takes no filter, only those who connect in the last moment may be lost."""
        wrapper = (weft.need("WEFT_DENY"), "drain")
        with weft.Server("--poller", self.poller, "--stop-timeout", "1m", wrapper=wrapper) as server:
            clients = Clients(server.address)
            try:
                weft.wait_until(lambda: clients.answered >= 2 * CLIENTS, "every client asks")
                start = time.monotonic()
                server.signal()
                status = server.wait()
                self.assertLess(time.monotonic() - start, 30)
            finally:
                clients.join()
            self.assertEqual([lost for lost in clients.unanswered if lost[0] > 0], [])
            self.assertEqual(status, 0, server.log())

    def test_half_a_head_does_not_hold_the_stop(self):
        with (weft.Server("--poller", self.poller, "--stop-timeout", "1m") as server,
              weft.Client(server.address) as half):
            half.send("GET /healthz HTTP/1.1\r\nHo")
            weft.wait_until(lambda: server.vars()["connections"]["active"] > 0, "it has connected")
            start = time.monotonic()
            server.signal()
            self.assertEqual(half.rest(), b"")
            self.assertEqual(server.wait(), 0)
            self.assertLess(time.monotonic() - start, 9, "the time for a head is 10 s")


class StopOnIoUring(Stop, unittest.TestCase):
    poller = "io_uring"


class StopOnPlainIoUring(Stop, unittest.TestCase):
    poller = "io_uring_plain"


class StopOnEpoll(Stop, unittest.TestCase):
    poller = "epoll"


if __name__ == "__main__":
    unittest.main()
