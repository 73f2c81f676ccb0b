#!/usr/bin/env python3
"""The load tests run and judge as they say, and a server that does wrong is detected. Nothing here is timed."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import weft_program as weft

SOURCE = weft.need("WEFT_SOURCE_DIR")
RUN = os.path.join(SOURCE, "loadtest", "run")
sys.path.insert(0, os.path.join(SOURCE, "loadtest"))

import harness
from scenario import Promise

# Takes the place of weft: an HTTP server that goes wrong in one way. `fault` names it in the line before these.
PRETENDER = r'''import os, signal, socketserver, sys, threading, time

flags = dict(zip(sys.argv[2::2], sys.argv[3::2]))
host, port = flags["--address"].split(":")
stopping = threading.Event()
replies = 0

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        global replies
        while True:
            method, path = (self.rfile.readline().split() + [b"", b""])[:2]
            fields = dict(line.lower().split(b": ", 1) for line in iter(lambda: self.rfile.readline().strip(), b""))
            if not method or (stopping.is_set() and fault == "mute"):
                return
            body = self.rfile.read(int(fields.get(b"content-length", 0)))
            if method == b"GET":
                body = b"hello, you\n"
            replies += 1
            if fault == "short" and replies > 10:
                body = body[:-1]
            kind = b"text/plain; charset=utf-8" if method == b"GET" else b"application/octet-stream"
            close = fields.get(b"connection") == b"close"
            if stopping.is_set() and fault == "torn":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                return
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind +
                             b"\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: " + str(len(body)).encode() +
                             b"\r\nConnection: close" * (close and fault != "unsaid") + b"\r\n\r\n" + body)
            if fault == "fat":
                kept.append(bytearray(os.urandom(4096)) * 256)
            if close:
                return

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

def stop():
    stopping.wait()
    time.sleep(0.5)
    os._exit(0)

kept = []
server = Server((host, int(port)), Handler)
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
threading.Thread(target=stop, daemon=True).start()
server.serve_forever()
'''


def run(*arguments):
    return subprocess.run([sys.executable, RUN, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=600, check=False)


class Promises(unittest.TestCase):
    FIGURES = {"weft-epoll": {"cpu": 3.0, "p50": 2.0, "zero": 0.0}, "nginx": {"cpu": 2.0, "zero": 0.0}}

    def value(self, *arguments, **more):
        return Promise("", *arguments, **more).value(self.FIGURES, "weft-epoll")

    def test_values(self):
        self.assertEqual(self.value("cpu", 1), 3.0)
        self.assertEqual(self.value("cpu", 1, base="nginx"), 1.5)
        self.assertEqual(self.value("cpu", 1, by="p50"), 1.5)
        self.assertEqual(self.value("zero", 0), 0.0)
        self.assertIsNone(self.value("cpu", 1, base="go"))
        self.assertIsNone(self.value("zero", 1, base="nginx"))
        self.assertIsNone(self.value("cpu", 1, by="p99"))

    def test_limits(self):
        self.assertTrue(Promise("", "cpu", 1.5).met(1.5))
        self.assertFalse(Promise("", "cpu", 1.5).met(1.51))
        self.assertTrue(Promise("", "rate", 1.7, at_least=True).met(1.7))
        self.assertFalse(Promise("", "rate", 1.7, at_least=True).met(1.69))


class Ports(unittest.TestCase):
    def test_no_client_is_given_a_server_s_port(self):
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as f:
            first = int(f.read().split()[0])
        if first < harness.FIRST_PORT + 1000:
            self.skipTest("clients here may have any port")
        for _ in range(20):
            self.assertLess(harness.free_port(), first)


class Scenarios(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.json = os.path.join(self.folder, "samples.json")

    def document(self):
        with open(self.json, encoding="utf-8") as f:
            return json.load(f)

    def pretender(self, fault):
        path = os.path.join(self.folder, fault)
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"#!{sys.executable}\nfault = {fault!r}\n" + PRETENDER)
        os.chmod(path, 0o755)
        return path

    def run_pretender(self, fault, scenario, *arguments):
        return run(scenario, "--weft", self.pretender(fault), "--servers", "weft-epoll", "--json", self.json,
                   "--procs", "1", "--rounds", "1", "--warmup", "0", "--settle", "0", *arguments)

    def check_scenario(self, name, expected, *arguments):
        servers = ["weft-io_uring", "weft-epoll"] if weft.io_uring_works() else ["weft-epoll"]
        done = run(name, "--quick", "--weft", weft.WEFT, "--servers", ",".join(servers), "--json", self.json,
                   *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotRegex(done.stdout, r": met|missed")
        for text in expected:
            self.assertIn(text, done.stdout)
        tables = self.document()["tables"]
        for table in tables:
            self.assertEqual([sample["server"] for sample in table["samples"]], servers)
        return tables

    def test_hello(self):
        tables = self.check_scenario("hello", ["| CPU/request ≤ 1 × nginx |", "--quick: these figures say nothing"])
        self.assertEqual([(t["connections"], t["procs"]) for t in tables], [(128, 2)])

    def test_pipeline(self):
        self.check_scenario("pipeline", ["| CPU/request ≤ 1.4 × bare_epoll |"])

    def test_many(self):
        tables = self.check_scenario("many", ["| p99 ≤ 1.5 × nginx |", "| memory (PSS), MiB |"],
                                     "--connections", "64,128")
        self.assertEqual([(t["connections"], t["procs"]) for t in tables], [(64, 1), (128, 1), (64, 2), (128, 2)])
        for sample in tables[0]["samples"]:
            self.assertGreater(sample["pss_before_kib"], 0)
            self.assertGreater(sample["pss_during_kib"], 0)
            self.assertEqual(sample["memory_left"], sample["pss_after_kib"] / sample["pss_before_kib"])

    def test_churn(self):
        tables = self.check_scenario("churn", ["| CPU/request ≤ 0.9 × nginx |"])
        self.assertEqual([t["procs"] for t in tables], [1, 2])

    def test_echo(self):
        tables = self.check_scenario("echo", ["| CPU/request ≤ 0.6 × go |"])
        for size in tables[0]["reply_bytes"].values():
            self.assertGreater(size, 4096)

    def test_idle(self):
        self.check_scenario("idle", ["| an idle connection ≤ 5,120 bytes |"], "--connections", "300")

    def test_drain(self):
        self.check_scenario("drain", ["| clean ends |"])

    def test_stop(self):
        tables = self.check_scenario("stop", ["| unanswered, in all stops ≤ 0 |"])
        for sample in tables[0]["samples"]:
            self.assertGreater(sample["replies_before"], 0)

    def test_clients_without_an_answer_are_counted(self):
        done = self.run_pretender("mute", "stop")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\| unanswered, in all stops ≤ 0 \| [0-9,]+ *: \*\*missed\*\* \|")
        self.assertGreater(self.document()["tables"][0]["figures"]["weft-epoll"]["unanswered"], 0)

    def test_answered_clients_are_not(self):
        done = self.run_pretender("none", "stop")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        figures = self.document()["tables"][0]["figures"]["weft-epoll"]
        self.assertGreater(figures["replies_after"], 0)
        self.assertLessEqual(figures["unanswered"], 16)  # the pretender ends without a look at the last ones

    def test_who_fails_meets_nothing(self):
        done = self.run_pretender("torn", "stop")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\*\*FAILED\*\* weft-epoll: .* torn: a reply ended after 17 bytes")
        self.assertIn("| unanswered, in all stops ≤ 0 | **FAILED** |", done.stdout)

    def test_memory_that_stays(self):
        done = self.run_pretender("fat", "many", "--connections", "8", "--duration", "1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\| memory after / before ≤ 1.1 \| [0-9.,]+: \*\*missed\*\* \|")

    def test_replies_cut_short_under_load(self):
        for scenario in ("hello", "churn", "echo"):
            with self.subTest(scenario):
                done = self.run_pretender("short", scenario, "--connections", "2", "--duration", "1")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex(done.stdout, r"\*\*FAILED\*\* weft-epoll: [0-9]+ bytes for [0-9]+ requests, but a "
                                              r"reply has [0-9]+")

    def test_a_close_that_is_not_announced(self):
        done = self.run_pretender("unsaid", "churn")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("a wrong reply: Connection '', not close", done.stdout)

    def test_who_cannot_do_it_is_left_out(self):
        done = run("echo", "--servers", "bare_epoll")
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("echo: left out, because it lacks what this asks for: bare_epoll", done.stderr)
        self.assertIn("echo: no server is left to test", done.stderr)

    def test_wrong_usage(self):
        for arguments, complaint in (
            (["hallo"], "unknown scenario hallo: one of hello, "),
            (["--procs", "two"], "--procs: two: must be numbers with commas between them"),
            (["--procs", "1,0"], "--procs: 1,0: each must be 1 to 256"),
            (["--connections", "70000"], "--connections: 70000: each must be 1 to 60000"),
            (["--rounds", "0"], "--rounds 0: must be 1 to 1000"),
            (["--servers", "apache"], "unknown server apache"),
            (["--weft", "/nowhere"], "no program at /nowhere"),
        ):
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(complaint, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
