#!/usr/bin/env python3
"""Where a seccomp profile forbids a part of io_uring, weft serves by what is left and says why in one line."""

import os
import unittest

import weft_program as weft

DENY = weft.need("WEFT_DENY")

TEXTS = {"EPERM": "operation not permitted", "ENOSYS": "function not implemented"}


def denying(call, error):
    return (DENY, f"{call}={error}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Forbidden(unittest.TestCase):
    def expect_service(self, poller, call, error, arguments=()):
        """Serves under the filter, on `poller`. Returns the one line of the log that tells of the poller."""
        with weft.Server(*arguments, wrapper=denying(call, error)) as server:
            with weft.Client(server.address) as client:
                self.assertEqual(client.get("/hello/seccomp").body, b"hello, seccomp\n")
                self.assertEqual(client.request("POST", "/echo", b"body").body, b"body")
            self.assertIn(f'"poller": "{poller}"'.encode(), weft.get(server.debug_address, "/debug/vars").body)
            server.signal()
            self.assertEqual(server.wait(), 0)
            told = [line for line in server.lines() if "io_uring" in line]
            self.assertEqual(len(told), 1, server.log())
            self.assertIn(f"poller name={poller} ", told[0])
            return told[0]

    def expect_refusal(self, call, error, arguments, environment):
        result = weft.run("serve", "--address", "127.0.0.1:0", "--debug-address", "", *arguments,
                          environment=weft.clean_environment(**environment), wrapper=denying(call, error))
        self.assertEqual(result.returncode, 1, (call, error, arguments, result.stderr))
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("weft: "), result.stderr)
        for part in ("can't be had (use epoll or auto)", f"{call}: {TEXTS[error]}"):
            self.assertIn(part, result.stderr)

    def test_it_serves_on_epoll_without_setup_or_enter_and_says_why_once(self):
        for call in ("io_uring_setup", "io_uring_enter"):
            for error in TEXTS:
                for arguments in ([], ["--poller", "auto"]):
                    with self.subTest(call=call, error=error, arguments=arguments):
                        line = self.expect_service("epoll", call, error, arguments)
                        self.assertIn(f"{call}: {TEXTS[error]}", line)

    def test_it_serves_on_a_plain_ring_without_register(self):
        for error in TEXTS:
            for arguments in ([], ["--poller", "auto"], ["--poller", "io_uring"], ["--poller", "io_uring_plain"]):
                with self.subTest(error=error, arguments=arguments):
                    line = self.expect_service("io_uring_plain", "io_uring_register", error, arguments)
                    if "io_uring_plain" not in arguments:
                        self.assertIn(f"io_uring_register: buffer ring: {TEXTS[error]}", line)

    def test_io_uring_on_demand_fails_with_one_line(self):
        for call in ("io_uring_setup", "io_uring_enter"):
            for error in TEXTS:
                for wish in ("io_uring", "io_uring_plain"):
                    for arguments, environment in ((["--poller", wish], {}), ([], {"WEFT_POLLER": wish})):
                        with self.subTest(call=call, error=error, arguments=arguments, environment=environment):
                            self.expect_refusal(call, error, arguments, environment)

    def test_an_idle_server_rests(self):
        for call in ("io_uring_setup", "io_uring_enter", "io_uring_register"):
            with self.subTest(call=call), weft.Server(wrapper=denying(call, "EPERM")) as server:
                before = cpu_seconds(server.pid)
                with weft.Client(server.address) as client:
                    client.socket.settimeout(1)
                    with self.assertRaises(TimeoutError):
                        client.rest()
                self.assertLess(cpu_seconds(server.pid) - before, 0.5)


if __name__ == "__main__":
    unittest.main()
