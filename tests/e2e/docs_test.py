#!/usr/bin/env python3
"""Every C++ block in README.md and docs/ is a region of an example that is compiled and run here.

A block stands below a line `<!-- examples/FILE.cc [REGION] -->`. It repeats what stands between the two
`// [REGION]` lines of that file.
"""
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import unittest

SOURCE = pathlib.Path(os.environ["WEFT_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "loadtest"))

from harness import free_port

BIN = pathlib.Path(os.environ["WEFT_BUILD_DIR"]) / "bin"
PATIENCE = 60.0  # for what is to happen soon, however slow the machine
BLOCK = re.compile(r"(?:<!-- (\S+) \[(\w+)\] -->\n)?```cpp\n(.*?)```", re.S)


def region(path, name):
    text = (SOURCE / path).read_text()
    parts = text.split(f"// [{name}]\n")
    assert len(parts) == 3, f"{path} has no region [{name}]"
    return parts[1]


def connect(port):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class Docs(unittest.TestCase):
    def test_blocks_are_cut_from_examples(self):
        blocks = 0
        for page in [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]:
            for path, name, code in BLOCK.findall(page.read_text()):
                self.assertTrue(path, f"{page.name}: a C++ block does not say where it comes from:\n{code}")
                self.assertEqual(code, region(path, name), f"{page.name}: differs from {path} [{name}]")
                blocks += 1
        self.assertGreater(blocks, 0)


class Examples(unittest.TestCase):
    def test_fan_out(self):
        done = subprocess.run([BIN / "example_fan_out"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, "338350\n"), done.stderr)

    def test_blocking(self):
        done = subprocess.run([BIN / "example_blocking"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, "found\nfound\n"), done.stderr)

    def test_own_thread(self):
        done = subprocess.run([BIN / "example_own_thread"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, "5050\n"), done.stderr)

    def test_bubble(self):
        done = subprocess.run([BIN / "example_bubble"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout),
                         (0, "worked after 6 attempts and 31 s\nnot yet, told\n"), done.stderr)

    def test_errgroup(self):
        done = subprocess.run([BIN / "example_errgroup"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout),
                         (0, "user 7: found, orders: found\nerror: no user -1\n"), done.stderr)

    def test_task_group(self):
        done = subprocess.run([BIN / "example_task_group"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, "100 lines\n"), done.stderr)

    def test_concurrency(self):
        done = subprocess.run([BIN / "example_concurrency"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout),
                         (0, "squares: 14\noffered: 1 0\nchannel 1: 7\nticked: yes, the alarm was stopped: yes\n"
                             "apples: 1\nsum: 2470\n"), done.stderr)

    def test_middleware(self):
        done = subprocess.run([BIN / "example_middleware"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout),
                         (0, "401 who are you?\n200 order 7\n21 bytes\n"), done.stderr)

    def test_pollable(self):
        done = subprocess.run([BIN / "example_pollable"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, "expired once\n"), done.stderr)

    def test_echo_tcp(self):
        port = free_port()
        server = subprocess.Popen([BIN / "example_echo_tcp", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL)
        try:
            with connect(port) as c:
                c.sendall(b"to and fro")
                self.assertEqual(c.recv(100), b"to and fro")
        finally:
            server.kill()
            server.wait()

    def test_hello_service(self):
        port, debug = free_port(), free_port()
        server = subprocess.Popen([BIN / "example_hello_service", f"127.0.0.1:{port}", f"127.0.0.1:{debug}"],
                                  stderr=subprocess.DEVNULL)
        try:
            with connect(port) as c:
                c.sendall(b"GET /hello/weft HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                reply = b""
                while chunk := c.recv(4096):
                    reply += chunk
            self.assertTrue(reply.startswith(b"HTTP/1.1 200 OK\r\n"), reply)
            self.assertTrue(reply.endswith(b"hello, weft\n"), reply)
            server.terminate()
            self.assertEqual(server.wait(timeout=PATIENCE), 0)
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
