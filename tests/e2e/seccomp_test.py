#!/usr/bin/env python3
"""Where a seccomp profile forbids io_uring, weft serves on epoll and says why in one line."""

import unittest

import weft_program as weft

WRAPPER = (weft.need("WEFT_DENY"), "io_uring")


class Forbidden(unittest.TestCase):
    def test_it_serves_on_epoll_and_says_why_once(self):
        for arguments in ([], ["--poller", "auto"]):
            with weft.Server(*arguments, wrapper=WRAPPER) as server:
                with weft.Client(server.address) as client:
                    self.assertEqual(client.get("/hello/seccomp").body, b"hello, seccomp\n")
                    self.assertEqual(client.request("POST", "/echo", b"body").body, b"body")
                self.assertIn(b'"poller": "epoll"', weft.get(server.debug_address, "/debug/vars").body)
                server.signal()
                self.assertEqual(server.wait(), 0)
                told = [line for line in server.lines() if "io_uring" in line]
                self.assertEqual(len(told), 1, server.log())
                self.assertIn("poller name=epoll", told[0])
                self.assertIn("operation not permitted", told[0])

    def test_io_uring_on_demand_fails_with_one_line(self):
        for arguments, environment in ((["--poller", "io_uring"], {}), ([], {"WEFT_POLLER": "io_uring"}),
                                       (["--poller", "io_uring_plain"], {}), ([], {"WEFT_POLLER": "io_uring_plain"})):
            result = weft.run("serve", "--address", "127.0.0.1:0", "--debug-address", "", *arguments,
                              environment=weft.clean_environment(**environment), wrapper=WRAPPER)
            self.assertEqual(result.returncode, 1, (arguments, result.stderr))
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
            self.assertTrue(result.stderr.startswith("weft: "), result.stderr)
            self.assertIn("io_uring", result.stderr)
            self.assertIn("operation not permitted", result.stderr)


if __name__ == "__main__":
    unittest.main()
