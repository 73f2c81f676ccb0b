#!/usr/bin/env python3
"""10,000 connections that do nothing cost memory and nothing else: few threads, no CPU time."""

import contextlib
import os
import resource
import sys
import time
import unittest

import weft_program as weft

PROCS = 2
MARGIN = 200  # descriptors in addition to the connections
# Sanitizers hold far more memory for each goroutine, and TSan knows at most 8,000 of them.
CONNECTIONS = 1_000 if weft.sanitizer() else 10_000
REQUEST = b"GET /hello/idle HTTP/1.1\r\nHost: test\r\n\r\n"


def status(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field + ":"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Idle:
    @classmethod
    def setUpClass(cls):
        if cls.poller == "io_uring" and not weft.io_uring_works():
            raise unittest.SkipTest("io_uring is forbidden here")

    def test_idle_connections(self):
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(weft.Server("--poller", self.poller, "--procs", str(PROCS)))
            weft.get(server.address, "/healthz")
            before = status(server.pid, "VmRSS")
            clients = []
            for _ in range(CONNECTIONS // 100):
                batch = [stack.enter_context(weft.Client(server.address)) for _ in range(100)]
                for client in batch:
                    client.send(REQUEST)
                for client in batch:
                    self.assertEqual(client.response().status, 200)
                clients += batch
            weft.wait_until(lambda: server.vars()["connections"]["idle"] == CONNECTIONS, "all connections are idle")
            self.assertEqual(server.vars()["connections"]["active"], 0)

            time.sleep(0.5)
            threads = status(server.pid, "Threads")
            held = status(server.pid, "VmRSS") - before
            start = cpu_seconds(server.pid)
            time.sleep(3)
            cpu = cpu_seconds(server.pid) - start
            print(f"{self.poller}: {CONNECTIONS} idle connections, {threads} threads, {cpu:.2f} s of CPU in 3 s, "
                  f"{held / CONNECTIONS:.2f} KiB RSS each", flush=True)
            if not weft.sanitizer():
                self.assertLessEqual(threads, PROCS + 8)
                self.assertLessEqual(cpu, 0.1)

            # The connections still work.
            for client in clients[:: max(1, CONNECTIONS // 100)]:
                client.send(REQUEST)
                self.assertEqual(client.response().body, b"hello, idle\n")
            server.signal()
            self.assertEqual(server.wait(), 0, server.log())
            self.assertEqual(clients[0].rest(), b"")


class IdleOnIoUring(Idle, unittest.TestCase):
    poller = "io_uring"


class IdleOnEpoll(Idle, unittest.TestCase):
    poller = "epoll"


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = CONNECTIONS + MARGIN
    if hard != resource.RLIM_INFINITY and hard < need:
        print(f"skipped: {need} descriptors are needed and ulimit -Hn is {hard}")
        sys.exit(77)
    if soft != resource.RLIM_INFINITY and soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    unittest.main()


if __name__ == "__main__":
    main()
