"""Loads a server with wrk: CPU per request, requests/s, latencies, and memory before, during and after."""

import json
import os
import subprocess
import time

import harness
from harness import Failure
from scenario import print_head, print_table, ratio_cells

QUIET_CORES = 0.2  # the run tells of other work on the machine above this share of one core
TIMEOUT = 10       # seconds; a reply that takes longer is an error, a shorter one is a latency
MEMORY_BACK = 1.1  # memory is back when it is at most this multiple of what it was before the load


def run_wrk(run, server, seconds, halfway=lambda: None):
    """Returns what wrk reports. Calls `halfway` in the middle of the run."""
    script = os.path.join(harness.HERE, "wrk", run.scenario.script)
    command = [run.client, f"-t{run.args.threads}", f"-c{run.connections}", f"-d{max(1, round(seconds))}s",
               "--timeout", f"{TIMEOUT}s", "-s", script,
               f"http://127.0.0.1:{server.port}{run.scenario.exchange.path}"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, preexec_fn=harness.die_with_parent) as process:
        try:
            try:
                output, _ = process.communicate(timeout=seconds / 2)
            except subprocess.TimeoutExpired:
                halfway()
                output, _ = process.communicate(timeout=seconds + 30)
        except BaseException as error:
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failure("wrk did not end") from None
            raise
    if server.process.poll() is not None:
        server.check_still_serves()  # raises a Failure that says how the server died
    reports = [line for line in output.splitlines() if line.startswith("REPORT ")]
    if process.returncode != 0 or not reports:
        raise Failure("wrk: " + (output.strip() or f"status {process.returncode}"))
    report = json.loads(reports[0][len("REPORT "):])
    wrong = {kind: n for kind, n in report["errors"].items() if n}
    if wrong:
        kinds = ", ".join(f"{n} {'non-2xx' if kind == 'status' else kind + ' errors'}" for kind, n in wrong.items())
        raise Failure(f"{kinds} among {report['requests']} requests")
    if report["requests"] == 0:
        raise Failure("not one request was answered")
    size = server.reply.size
    if abs(report["bytes"] - report["requests"] * size) > run.connections * size:  # each may end within a reply
        raise Failure(f"{report['bytes']} bytes for {report['requests']} requests, but a reply has {size}")
    return report


class MemoryWatch:
    """The server's memory before, during and after a load."""

    def __init__(self, server):
        self.server = server
        self.before = harness.pss_kib(server)
        self.during = None

    def look(self):
        self.during = harness.pss_kib(self.server)

    def settle(self, seconds):
        """Waits until the memory is back, at most so long. Returns figures for the sample."""
        start = time.monotonic()
        while True:
            after, passed = harness.pss_kib(self.server), time.monotonic() - start
            if after <= MEMORY_BACK * self.before or passed >= seconds:
                return {"pss_before_kib": self.before, "pss_during_kib": self.during, "pss_after_kib": after,
                        "memory_left": after / self.before, "memory_seconds": passed}
            time.sleep(0.25)


def measure(run, server, number):
    # Memory varies little from round to round, so one round is enough.
    memory = MemoryWatch(server) if run.scenario.memory and number == 1 else None
    if run.args.warmup > 0:
        run_wrk(run, server, run.args.warmup)
    machine, client = harness.MachineClock(), harness.children_cpu_seconds()
    cpu = harness.CpuClock(server)
    report = run_wrk(run, server, run.seconds, memory.look if memory else lambda: None)
    cpu_ns, clocks = cpu.elapsed()
    rss = harness.rss_kib(server)
    wrk_seconds = harness.children_cpu_seconds() - client
    busy, stolen = machine.elapsed()
    settled = memory.settle(run.args.settle) if memory else {}
    server.check_still_serves()
    seconds = report["duration_us"] / 1e6
    return {
        "cpu_us_per_request": cpu_ns / 1000 / report["requests"],
        "requests_per_second": report["requests"] / seconds,
        "p50_us": report["latency_us"]["p50"],
        "p90_us": report["latency_us"]["p90"],
        "p99_us": report["latency_us"]["p99"],
        "max_us": report["latency_us"]["max"],
        "rss_kib": rss,
        **settled,
        "requests": report["requests"],
        "seconds": seconds,
        "server_cpu_ns": cpu_ns,
        "server_cpu_clocks": clocks,
        "server_cores": cpu_ns / 1e9 / seconds,
        "wrk_cores": wrk_seconds / seconds,
        "other_cores": max(0.0, (busy - wrk_seconds - cpu_ns / 1e9) / seconds),
        "stolen_cores": stolen / seconds,
        "errors": report["errors"],
    }


def show(run):
    figures, ratios, bases = run.figures(), run.ratios(), run.scenario.bases
    cpu, rate, p99 = (ratios[key] for key in ("cpu_us_per_request", "requests_per_second", "p99_us"))
    print_head(run, f"wrk -t{run.args.threads} -c{run.connections} -d{run.seconds}s, {run.scenario.what}")
    times = [f"× {base}" for base in bases]
    rows = []
    for name, m in figures.items():
        spread = [s["cpu_us_per_request"] for s in run.samples if s["server"] == name]
        rows.append([name, f"{m['cpu_us_per_request']:.2f}", f"{min(spread):.2f}–{max(spread):.2f}",
                     *ratio_cells(cpu, name, bases), f"{m['requests_per_second']:,.0f}",
                     *ratio_cells(rate, name, bases), f"{m['p50_us']:,.0f}", f"{m['p99_us']:,.0f}",
                     *ratio_cells(p99, name, ["nginx"]), f"{m['rss_kib'] / 1024:.1f}", str(run.reply_bytes[name])])
    print_table(["server", "CPU µs/request", "min–max", *times, "requests/s", *times, "p50 µs", "p99 µs",
                 "× nginx", "RSS MiB", "reply bytes"], rows)
    if run.scenario.memory:
        print()
        print_table(["memory (PSS), MiB", "before", "during", "after", "after / before", "s after the load"],
                    [[name, *(f"{m[key] / 1024:.1f}" for key in ("pss_before_kib", "pss_during_kib", "pss_after_kib")),
                      f"{m['memory_left']:.2f}", f"{m['memory_seconds']:.1f}"] for name, m in figures.items()])
    own = {n: size for n, size in run.reply_bytes.items() if n != "nginx"}
    if len(set(own.values())) > 1:
        print("\nNote: the replies differ in size: " + ", ".join(f"{n} {size}" for n, size in own.items()))
    loud = max((s["other_cores"] + s["stolen_cores"] for s in run.samples), default=0)
    if loud > QUIET_CORES:
        print(f"\nNote: the machine was not quiet: other work took up to {loud:.2f} cores during a sample")
