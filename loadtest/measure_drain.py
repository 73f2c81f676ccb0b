"""Sends a server SIGTERM under load, and looks at what becomes of its connections."""

import json
import statistics
import subprocess

import harness
from harness import Failure
from scenario import print_head, print_table


def measure(run, server, _number):
    command = [run.client, "--address", f"127.0.0.1:{server.port}", "--pid", str(server.process.pid), "--path",
               run.scenario.exchange.path, "--body", run.hello.decode(), "--connections", str(run.connections),
               "--load", str(round(run.seconds * 1000)), "--deadline", str(round(run.args.deadline * 1000)),
               "--lost", run.args.lost, "--clients", "connecting" if run.scenario.connecting else "keep-alive"]
    limit = run.seconds + run.args.deadline + 20
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit,
                              preexec_fn=harness.die_with_parent)
    except subprocess.TimeoutExpired:
        raise Failure("the drain client did not end") from None
    if not done.stdout:
        raise Failure("drain_client: " + (done.stderr.strip() or f"status {done.returncode}"))
    report = json.loads(done.stdout)
    # The process is gone by now, so this only reaps it.
    status = server.stop() if report["gone"] else None
    problems = []
    if report["violations"]:
        named = "; ".join(dict.fromkeys(report["named"]))
        problems.append(f"{report['violations']} violation(s) on {run.connections} connections: {named}")
    if not report["gone"]:
        problems.append(f"not gone {run.args.deadline:g} s after SIGTERM")
    elif status != 0:
        problems.append(f"exit status {status}: {server.log_tail()}")
    sample = {**report, "exit_status": status}
    if problems:
        raise Failure("; ".join(problems), sample)
    return sample


def show_drain(run):
    print_head(run, f"SIGTERM under load, {run.connections} connections, deadline {run.args.deadline:g} s")
    rows = [[name, f"{m['replies_before']:,.0f}", f"{m['replies_after']:,.0f}", f"{m['clean']:.0f}",
             f"{m['unanswered']:.0f}", f"{m['resets']:.0f}", f"{m['refused'] + m['late_ended']:.0f}",
             f"{m['took_ms']:.0f}", f"{m['exit_status']:.0f}" if "exit_status" in m else "–"]
            for name, m in run.figures().items()]
    print_table(["server", "replies before", "replies after SIGTERM", "clean ends", "unanswered", "resets",
                 "late refused", "ms to exit", "exit status"], rows)


def show_stop(run):
    print_head(run, f"SIGTERM under {run.connections} clients that make a connection for each request")
    rows = []
    for name, sums in run.figures().items():
        stops = [s for s in run.samples if s["server"] == name]
        took = [s["took_ms"] for s in stops]
        rows.append([name, str(len(stops)), f"{sums['replies_before']:,}", f"{sums['replies_after']:,}",
                     f"{sums['unanswered']:,}", str(sum(s["unanswered"] > 0 for s in stops)),
                     f"{sums['late_ended']:,}", f"{sums['refused']:,}", f"{statistics.median(took):.0f}",
                     f"{max(took):.0f}"])
    print_table(["server", "stops", "replies before", "replies after SIGTERM", "unanswered", "stops with unanswered",
                 "ended before they asked", "refused", "ms to exit", "longest"], rows)
