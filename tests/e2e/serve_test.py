#!/usr/bin/env python3
"""Tests the program `weft`: every route on every poller, its life and its end, and its command line."""

import contextlib
import ctypes
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

import weft_program as weft

KEYS = {"cmdline", "connections", "descriptors", "goroutines", "hogs", "idle_machines", "idle_procs", "machines",
        "name", "parks", "poller", "poller_reason", "polls", "procs", "requests", "rounds", "rss_bytes", "spawned",
        "stacks", "steals", "threads", "timers", "uptime_seconds", "version"}


class Routes:
    """The tests that each poller passes. The subclass sets `poller`."""

    @classmethod
    def setUpClass(cls):
        if cls.poller.startswith("io_uring") and not weft.io_uring_works():
            raise unittest.SkipTest("io_uring is forbidden here")
        cls.server = weft.Server("--poller", cls.poller, "--procs", "2")
        cls.address = cls.server.address

    @classmethod
    def tearDownClass(cls):
        cls.server.signal()
        status = cls.server.wait()
        log = cls.server.log()
        cls.server.end()
        assert status == 0, f"status {status}:\n{log}"

    def get(self, target):
        return weft.get(self.address, target)

    def test_landing_page_names_the_routes(self):
        page = self.get("/").body.decode()
        for route in ("/hello/{name}", "/echo", "/chunked", "/sleep/{ms}", "/healthz", "/readyz"):
            self.assertIn(route, page)

    def test_hello(self):
        response = self.get("/hello/gopher")
        self.assertEqual((response.status, response.body), (200, b"hello, gopher\n"))
        self.assertEqual(response.field("Content-Length"), "14")
        self.assertEqual(response.field("Content-Type"), "text/plain; charset=utf-8")
        self.assertIsNotNone(response.field("Date"))
        self.assertEqual(self.get("/hello/a%20b%2Fc").body, b"hello, a b/c\n")

    def test_head_has_the_fields_and_no_body(self):
        with weft.Client(self.address) as client:
            response = client.request("HEAD", "/hello/gopher")
            self.assertEqual(response.field("Content-Length"), "14")
            self.assertEqual(client.get("/healthz").body, b"ok\n")

    def test_probes(self):
        self.assertEqual(self.get("/healthz").body, b"ok\n")
        self.assertEqual(self.get("/readyz").body, b"ready\n")

    def test_echo_of_sized_bodies(self):
        every_byte = bytes(range(256))
        with weft.Client(self.address) as client:
            for body in (b"", b"x", every_byte, every_byte * 4096, b"\r\n0\r\n\r\n"):
                response = client.request("POST", "/echo", body, ["Content-Type: application/x-thing"])
                self.assertEqual(response.status, 200)
                self.assertEqual(response.body, body)
                self.assertEqual(response.field("Content-Type"), "application/x-thing")

    def test_echo_of_chunked_bodies(self):
        chunks = [b"a", b"bc" * 3000, bytes(range(256)), b"\r\n"]
        with weft.Client(self.address) as client:
            client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
            for chunk in chunks:
                client.send(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk))
                time.sleep(0.005)
            client.send("0\r\nTrailer: t\r\n\r\n")
            self.assertEqual(client.response().body, b"".join(chunks))
            self.assertEqual(client.get("/healthz").body, b"ok\n")

    def test_echo_byte_by_byte(self):
        request = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nslow!"
        with weft.Client(self.address) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request:
                client.send(bytes([byte]))
            self.assertEqual(client.response().body, b"slow!")

    def test_echo_asks_for_the_body(self):
        with weft.Client(self.address) as client:
            client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            interim = client.socket.recv(1000)
            self.assertTrue(interim.startswith(b"HTTP/1.1 100 "), interim)
            client.send("hi")
            self.assertEqual(client.response().body, b"hi")

    def test_echo_has_a_limit(self):
        with weft.Client(self.address) as client:
            client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 20000000\r\n\r\n")
            piece = b"x" * 100_000
            with contextlib.suppress(ConnectionError):  # the server need not read all of it
                for _ in range(200):
                    client.send(piece)
            self.assertEqual(client.response().status, 413)

    def test_chunks_leave_one_by_one(self):
        response = self.get("/chunked")
        self.assertEqual(response.chunks, [b"first ", b"second ", b"third"])

    def test_http_1_0_gets_no_chunks(self):
        with weft.Client(self.address) as client:
            client.send("GET /chunked HTTP/1.0\r\n\r\n")
            response = client.rest()
        head, body = response.split(b"\r\n\r\n", 1)
        self.assertNotIn(b"transfer-encoding", head.lower())
        self.assertEqual(body, b"first second third")

    def test_sleep(self):
        start = time.monotonic()
        self.assertEqual(self.get("/sleep/80").body, b"slept 80 ms\n")
        self.assertGreaterEqual(time.monotonic() - start, 0.08)
        self.assertEqual(self.get("/sleep/0").status, 200)
        for bad in ("-1", "x", "1x", "60001", "99999999999999999999", "1.5"):
            self.assertEqual(self.get("/sleep/" + bad).status, 400, bad)

    def test_sleepers_do_not_wait_for_each_other(self):
        start = time.monotonic()
        clients = [weft.Client(self.address) for _ in range(200)]
        with contextlib.ExitStack() as stack:
            for client in clients:
                stack.enter_context(client)
                client.send("GET /sleep/600 HTTP/1.1\r\nHost: test\r\n\r\n")
            for client in clients:
                self.assertEqual(client.response().status, 200)
        self.assertLess(time.monotonic() - start, 50)  # two requests at a time would take 60 s

    def test_wrong_paths_and_methods(self):
        self.assertEqual(self.get("/nope").status, 404)
        with weft.Client(self.address) as client:
            response = client.request("POST", "/healthz", b"")
            self.assertEqual((response.status, response.field("Allow")), (405, "GET, HEAD"))
            self.assertEqual(client.get("/echo").status, 405)

    def test_pipelined_requests_are_answered_in_order(self):
        with weft.Client(self.address) as client:
            client.send("".join(f"GET /hello/{n} HTTP/1.1\r\nHost: test\r\n\r\n" for n in range(20)))
            for n in range(20):
                self.assertEqual(client.response().body, f"hello, {n}\n".encode())

    def test_other_clients(self):
        base = "http://%s:%d" % self.address
        with urllib.request.urlopen(base + "/hello/urllib", timeout=weft.PATIENCE) as response:
            self.assertEqual(response.read(), b"hello, urllib\n")
        connection = http.client.HTTPConnection(*self.address, timeout=weft.PATIENCE)
        for n in range(3):
            connection.request("POST", "/echo", iter([b"a", b"b", str(n).encode()]), encode_chunked=True,
                               headers={"Transfer-Encoding": "chunked"})
            self.assertEqual(connection.getresponse().read(), b"ab%d" % n)
        connection.close()
        if shutil.which("curl"):
            curl = subprocess.run(["curl", "-sS", "--max-time", "20", "--data-binary", "@" + __file__, base + "/echo"],
                                  stdout=subprocess.PIPE, check=True)
            with open(__file__, "rb") as file:
                self.assertEqual(curl.stdout, file.read())

    def test_log_says_what_was_started(self):
        lines = [line.split(" ", 3)[3] for line in self.server.lines()]
        self.assertEqual(sum(line.startswith("listening ") for line in lines), 2)
        self.assertEqual(sum(line.startswith("procs count=2") for line in lines), 1)
        poller = [line for line in lines if line.startswith("poller ")]
        self.assertEqual(len(poller), 1)
        self.assertTrue(poller[0].startswith(f"poller name={self.poller} reason="), poller)
        self.assertRegex(self.server.lines()[0],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info \[g\d+\] starting name=weft version=\S+")

    def test_debug_vars(self):
        with weft.Client(self.address) as client:
            client.get("/healthz")
            response = weft.get(self.server.debug_address, "/debug/vars")
            self.assertEqual(response.field("Content-Type"), "application/json; charset=utf-8")
            shown = json.loads(response.body)
        self.assertEqual(set(shown), KEYS)
        self.assertEqual(shown["poller"], self.poller)
        self.assertEqual(shown["procs"], 2)
        self.assertEqual(shown["cmdline"][1], "serve")
        self.assertGreaterEqual(shown["connections"]["total"], 1)
        self.assertGreaterEqual(shown["connections"]["active"] + shown["connections"]["idle"], 1)
        self.assertGreaterEqual(shown["requests"], 1)
        self.assertGreater(shown["rss_bytes"], 1_000_000)
        self.assertLessEqual(shown["threads"], 2 + 8)
        self.assertGreater(shown["uptime_seconds"], 0)
        lines = response.body.decode().splitlines()
        self.assertEqual((lines[0], lines[-1]), ("{", "}"))
        self.assertEqual(lines[1:-1], sorted(lines[1:-1]))

    def test_debug_goroutines(self):
        with weft.Client(self.address) as client:
            client.get("/healthz")
            response = weft.get(self.server.debug_address, "/debug/goroutines")
        lines = response.body.decode().splitlines()
        self.assertEqual(lines[0], f"goroutines: total {len(lines) - 1}")
        for line in lines[1:]:
            self.assertRegex(line, r'^goroutine \d+ parent=\d+ '
                                   r'state=(running|runnable|waiting reason="[^"]+" since=\d+\.\d{3}s)'
                                   r'( creator="[^"]+:\d+" function="[^"]+")?$')
            self.assertEqual("creator=" in line, not line.startswith("goroutine 1 "))
        self.assertTrue(lines[1].startswith("goroutine 1 parent=0 "))

    def test_debug_pages_are_only_read(self):
        with weft.Client(self.server.debug_address) as client:
            self.assertIn(b"/debug/goroutines", client.get("/debug/").body)
            self.assertEqual(client.request("POST", "/debug/vars", b"").status, 405)
            self.assertEqual(client.get("/debug/nope").status, 404)
        self.assertEqual(self.get("/debug/vars").status, 404)


class RoutesOnIoUring(Routes, unittest.TestCase):
    poller = "io_uring"


class RoutesOnPlainIoUring(Routes, unittest.TestCase):
    poller = "io_uring_plain"


class RoutesOnEpoll(Routes, unittest.TestCase):
    poller = "epoll"


class Ends:
    """How the server ends. The subclass sets `poller`. A stop has a minute, so no test meets that limit by chance."""

    @classmethod
    def setUpClass(cls):
        if cls.poller == "io_uring" and not weft.io_uring_works():
            raise unittest.SkipTest("io_uring is forbidden here")

    LONG_REQUEST = "GET /sleep/60000 HTTP/1.1\r\nHost: test\r\n\r\n"
    HALF_A_REQUEST = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nto and "

    def serve(self, *arguments):
        if "--stop-timeout" not in arguments:
            arguments += ("--stop-timeout", "1m")
        return weft.Server("--poller", self.poller, *arguments)

    @contextlib.contextmanager
    def request_in_flight(self, server, request):
        """A client whose request is being handled."""
        before = server.vars()["requests"]
        with weft.Client(server.address) as client:
            client.send(request)
            weft.wait_until(lambda: server.vars()["requests"] > before, "the request is in flight")
            yield client

    def test_requests_in_flight_are_finished(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.serve() as server, self.request_in_flight(server, self.HALF_A_REQUEST) as client:
                idle = weft.Client(server.address)
                idle.get("/healthz")
                server.signal(number)
                weft.wait_until(lambda: weft.refused(server.address), "new connections are refused")
                self.assertIsNone(server.process.poll())
                self.assertEqual(idle.rest(), b"")
                client.send("fro")
                response = client.response()
                self.assertEqual((response.status, response.body), (200, b"to and fro"))
                self.assertEqual(response.field("Connection"), "close")
                self.assertEqual(server.wait(), 0)
                idle.socket.close()
                self.assertIn(f'stopping reason="signal {number.name} received"', server.log())
                self.assertIn("stopped status=0", server.log())

    def test_the_signal_may_hit_any_thread(self):
        libc = ctypes.CDLL(None, use_errno=True)
        tgkill = {"x86_64": 234, "aarch64": 131}[os.uname().machine]
        with self.serve("--procs", "3") as server:
            threads = sorted(int(tid) for tid in os.listdir(f"/proc/{server.pid}/task"))
            self.assertEqual(libc.syscall(tgkill, server.pid, threads[-1], int(signal.SIGTERM)), 0)
            self.assertEqual(server.wait(), 0)

    def test_a_second_signal_forces_the_end(self):
        with self.serve() as server, self.request_in_flight(server, self.LONG_REQUEST):
            server.signal()
            server.wait_for_line("stopping reason=")
            start = time.monotonic()
            server.signal()
            self.assertEqual(server.wait(), 128 + signal.SIGTERM)
            self.assertLess(time.monotonic() - start, 30)
            self.assertEqual(server.lines()[-1], "weft: second signal: exit at once")

    def test_the_stop_timeout_forces_the_end(self):
        with (self.serve("--stop-timeout", "200ms") as server,
              self.request_in_flight(server, self.LONG_REQUEST) as client):
            start = time.monotonic()
            server.signal()
            self.assertEqual(client.rest(), b"")
            self.assertEqual(server.wait(), 1)
            self.assertLess(time.monotonic() - start, 30)
            self.assertIn("stop timeout passed timeout=0.200s", server.log())
            self.assertRegex(server.log(), r"closing by force server=http address=\S+ active=1 idle=0")
            self.assertRegex(server.log(), r'still there goroutine=\d+ parent=\d+ state="chan receive" since=')

    def test_readiness_fails_before_the_end(self):
        with self.serve("--drain-delay", "5m") as server:
            self.assertEqual(weft.get(server.address, "/readyz").status, 200)
            server.signal()
            server.wait_for_line("stopping reason=")
            self.assertEqual(weft.get(server.address, "/readyz").status, 503)
            self.assertEqual(weft.get(server.address, "/healthz").status, 200)
            server.signal()
            self.assertEqual(server.wait(), 128 + signal.SIGTERM)

    def test_it_ends_after_the_drain_delay(self):
        with self.serve("--drain-delay", "500ms") as server:
            start = time.monotonic()
            server.signal()
            self.assertEqual(server.wait(), 0)
            self.assertGreaterEqual(time.monotonic() - start, 0.5)

    def test_it_ends_at_once_with_nothing_to_do(self):
        with self.serve() as server:
            start = time.monotonic()
            server.signal()
            self.assertEqual(server.wait(), 0)
            self.assertLess(time.monotonic() - start, 30)

    def test_a_client_that_leaves_hurts_nobody(self):
        with self.serve() as server:
            for _ in range(20):
                client = weft.Client(server.address)
                client.send("GET /chunked HTTP/1.1\r\nHost: test\r\n\r\n" * 50)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.socket.close()
            self.assertEqual(weft.get(server.address, "/healthz").status, 200)
            server.signal()
            self.assertEqual(server.wait(), 0)


class EndsOnIoUring(Ends, unittest.TestCase):
    poller = "io_uring"


class EndsOnEpoll(Ends, unittest.TestCase):
    poller = "epoll"


class CommandLine(unittest.TestCase):
    def fails(self, status, text, *arguments, environment=None):
        """Asserts that the program ends with that status and one line on stderr that contains `text`."""
        result = weft.run(*arguments, environment=environment)
        self.assertEqual(result.returncode, status, (arguments, result.stderr))
        self.assertEqual(result.stdout, "", arguments)
        self.assertEqual(result.stderr.count("\n"), 1, (arguments, result.stderr))
        self.assertTrue(result.stderr.startswith("weft: "), (arguments, result.stderr))
        self.assertIn(text, result.stderr, arguments)

    def test_version_and_help(self):
        result = weft.run("--version")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^weft \d+\.\d+\.\d+\n$")
        for arguments in (["--help"], ["-h"], ["serve", "--help"], ["check", "--help"]):
            result = weft.run(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("Usage: weft", result.stdout)

    def test_mistakes(self):
        for arguments, text in (
            ([], "no command given"),
            ([""], 'there is no command ""'),
            (["launch"], 'there is no command "launch"'),
            (["--launch"], "--launch"),
            (["serve", "--launch"], "--launch"),
            (["serve", "extra"], "extra"),
            (["serve", "--procs", "0"], "--procs"),
            (["serve", "--procs", "many"], "--procs"),
            (["serve", "--procs"], "--procs"),
            (["serve", "--poller", "kqueue"], "kqueue"),
            (["serve", "--log-level", "loud"], "loud"),
            (["serve", "--stop-timeout", "10"], '--stop-timeout: "10" is no duration'),
            (["serve", "--drain-delay", "1h"], "--drain-delay"),
            (["check"], "URL"),
            (["check", "http://127.0.0.1:1", "more"], "more"),
            (["check", "https://127.0.0.1/"], "only http:// URLs"),
            (["check", "127.0.0.1"], "only http:// URLs"),
            (["check", "http://"], "no host"),
            (["check", "http://[::1"], "address"),
        ):
            self.fails(2, text, *arguments)

    def test_addresses_that_do_not_work(self):
        self.fails(1, "missing port", "serve", "--address", "localhost")
        self.fails(1, "invalid port", "serve", "--address", ":http")
        self.fails(1, "cannot assign requested address", "serve", "--address", "192.0.2.1:80")

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            text = f"weft: listen tcp {address}: bind: address already in use\n"
            for poller in ("auto", "epoll"):
                self.fails(1, text, "serve", "--address", address, "--debug-address", "127.0.0.1:0", "--poller", poller)
                self.fails(1, text, "serve", "--address", "127.0.0.1:0", "--debug-address", address, "--poller", poller)

    def test_an_unknown_poller_in_the_environment(self):
        environment = weft.clean_environment(WEFT_POLLER="kqueue")
        self.fails(1, "unknown poller", "serve", "--address", "127.0.0.1:0", environment=environment)

    def test_the_flag_beats_the_environment(self):
        with weft.Server("--poller", "epoll", environment=weft.clean_environment(WEFT_POLLER="kqueue")) as server:
            self.assertIn("poller name=epoll ", server.log())

    def test_the_environment_counts_without_the_flag(self):
        with weft.Server(environment=weft.clean_environment(WEFT_POLLER="epoll", WEFT_PROCS="3")) as server:
            self.assertIn("poller name=epoll reason=\"WEFT_POLLER=epoll\"", server.log())
            self.assertIn("procs count=3", server.log())

    def test_the_debug_server_is_for_this_machine(self):
        # The port may be taken on the machine that runs this test; the text then names the address all the same.
        result = weft.run("serve", "--help")
        self.assertIn("127.0.0.1:8001", result.stdout)
        process = subprocess.Popen([weft.WEFT, "serve", "--address", "127.0.0.1:0"], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, env=weft.clean_environment())
        with process:
            line = next(line for line in process.stderr if "8001" in line)
            process.kill()
        self.assertRegex(line, r"( server=debug address=127\.0\.0\.1:8001$)|(^weft: listen tcp 127\.0\.0\.1:8001: )")

    def test_the_debug_server_may_be_for_every_machine(self):
        with weft.Server("--debug-address", ":0") as server:
            self.assertRegex(server.log(), r" server=debug address=\[::\]:\d+\n")

    def test_without_a_debug_server(self):
        with weft.Server("--debug-address", "") as server:
            self.assertEqual(weft.get(server.address, "/healthz").status, 200)
            self.assertEqual(server.log().count("listening "), 1)

    def test_the_soft_limit_of_descriptors_is_raised(self):
        def lower_soft_limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

        with weft.Server(preexec=lower_soft_limit) as server, contextlib.ExitStack() as stack:
            for client in [stack.enter_context(weft.Client(server.address)) for _ in range(200)]:
                self.assertEqual(client.get("/healthz").status, 200)

    def test_quiet(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = free.getsockname()
        command = [weft.WEFT, "serve", "--address", "%s:%d" % address, "--debug-address", "", "--log-level", "warn"]
        process = subprocess.Popen(command, env=weft.clean_environment(), stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        try:
            weft.wait_until(lambda: process.poll() is not None or not weft.refused(address), "it serves")
            process.terminate()
            self.assertEqual(process.communicate(timeout=weft.PATIENCE)[1], b"")
            self.assertEqual(process.returncode, 0)
        finally:
            process.kill()
            process.wait(weft.PATIENCE)


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = weft.Server()
        cls.base = "http://%s:%d" % cls.server.address

    @classmethod
    def tearDownClass(cls):
        cls.server.end()

    def check(self, url, timeout="1m"):
        result = weft.run("check", url, "--timeout", timeout)
        self.assertEqual(result.stdout, "")
        return result.returncode, result.stderr

    def reply_with(self, reply, listener=None, requests=None):
        """Starts a server that answers its first client's request with `reply` and hangs up. Returns its URL."""
        listener = listener or socket.create_server(("127.0.0.1", 0))

        def serve():
            with listener, listener.accept()[0] as client:
                request = client.recv(65536)
                if requests is not None:
                    requests.append(request)
                client.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, weft.PATIENCE)
        return "http://127.0.0.1:%d/" % listener.getsockname()[1]

    def test_success_says_nothing(self):
        self.assertEqual(self.check(self.base + "/healthz"), (0, ""))
        self.assertEqual(self.check(self.base), (0, ""))
        self.assertEqual(self.check(self.base + "/hello/a%20b?q=1#fragment"), (0, ""))
        for reply in (b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200\r\n\r\n",
                      b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\n\r\n"):
            self.assertEqual(self.check(self.reply_with(reply)), (0, ""), reply)

    def test_the_zone_of_an_address_is_not_sent(self):
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError as error:
            self.skipTest(f"no IPv6: {error}")
        port = listener.getsockname()[1]
        requests = []
        self.reply_with(b"HTTP/1.1 200 OK\r\n\r\n", listener, requests)
        self.assertEqual(self.check(f"http://[::1%lo]:{port}/"), (0, ""))
        self.assertIn(f"\r\nHost: [::1]:{port}\r\n", requests[0].decode())

    def test_other_answers_fail(self):
        url = self.base + "/nope"
        self.assertEqual(self.check(url), (1, f"weft: check {url}: 404 Not Found\n"))
        for reply, text in (
            (b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", "301 Moved"),
            (b"HTTP/1.1 503 Busy\r\n\r\n", "503 Busy"),
            (b"SSH-2.0-OpenSSH\r\n", "not HTTP/1.1"),
            (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP/1.1"),
            (b"", "hung up"),
            (b"HTTP/1.1 20", "hung up"),
        ):
            url = self.reply_with(reply)
            status, line = self.check(url)
            self.assertEqual(status, 1, reply)
            self.assertTrue(line.startswith(f"weft: check {url}: ") and line.count("\n") == 1, line)
            self.assertIn(text, line)

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        self.assertEqual(self.check(url),
                         (1, f"weft: check {url}: dial tcp 127.0.0.1:{port}: connect: connection refused\n"))

    def test_it_does_not_wait_for_ever(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            start = time.monotonic()
            status, line = self.check("http://127.0.0.1:%d/" % silent.getsockname()[1], timeout="300ms")
            self.assertEqual(status, 1)
            self.assertIn("i/o timeout", line)
            self.assertLess(time.monotonic() - start, 30)


if __name__ == "__main__":
    unittest.main()
