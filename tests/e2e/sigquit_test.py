"""At SIGQUIT `weft serve` dumps every goroutine and ends with status 2; SIGTERM still drains."""

import re
import signal

from weft_program import PATIENCE, Server


def dumps_at_sigquit():
    with Server() as server:
        server.process.send_signal(signal.SIGQUIT)
        status = server.process.wait(PATIENCE)
        log = server.log()
    assert status == 2, f"status {status} instead of 2:\n{log}"
    at = log.find("SIGQUIT: quit\n")
    assert at >= 0, log
    headers = re.findall(r"^goroutine \d+ \[([^\]]+)\]:$", log[at:], re.M)
    assert "IO wait" in headers and len(headers) >= 3, f"headers {headers}:\n{log}"
    # The acceptors wait in a function that has a name.
    assert re.search(r"^weft::net::\S+\(\.\.\.\)$", log[at:], re.M), log
    assert re.search(r"^created by \S.* in goroutine \d+$", log[at:], re.M), log


def drains_at_sigterm():
    with Server() as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0, server.log()
        assert "SIGQUIT" not in server.log(), server.log()


if __name__ == "__main__":
    dumps_at_sigquit()
    drains_at_sigterm()
