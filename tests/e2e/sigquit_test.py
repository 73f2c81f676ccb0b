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


def ignore_all():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def ignored_signals_work():
    """A script's `&` starts a process with SIGINT and SIGQUIT ignored, and nohup with SIGHUP. As in Go, SIGQUIT dumps
    all the same, the signals that the app asks for stop it, and the others stay ignored."""
    with Server(preexec=ignore_all) as server:
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGQUIT)
        assert server.wait() == 2, server.log()
        assert "SIGQUIT: quit\n\ngoroutine " in server.log(), server.log()
    for number in (signal.SIGINT, signal.SIGTERM):
        with Server(preexec=ignore_all) as server:
            server.signal(number)
            assert server.wait() == 0, server.log()
            assert f'reason="signal {signal.Signals(number).name} received"' in server.log(), server.log()


def dumps_when_a_shell_starts_it():
    script = '"$@" & child=$!; trap "kill -QUIT $child" TERM; wait $child; wait $child'
    with Server(wrapper=["sh", "-c", script, "sh"]) as server:
        server.signal(signal.SIGTERM)
        assert server.wait() == 2, server.log()
        assert "SIGQUIT: quit\n\ngoroutine " in server.log(), server.log()


def drains_at_sigterm():
    with Server() as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0, server.log()
        assert "SIGQUIT" not in server.log(), server.log()


if __name__ == "__main__":
    dumps_at_sigquit()
    ignored_signals_work()
    dumps_when_a_shell_starts_it()
    drains_at_sigterm()
