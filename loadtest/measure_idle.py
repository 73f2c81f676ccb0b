"""Holds many idle connections, and looks at the server's memory, threads and CPU."""

import json
import select
import subprocess
import time

import harness
from harness import Failure
from scenario import print_head, print_table, ratio_cells


def read_json_line(process, seconds):
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    line = process.stdout.readline() if ready else b""
    if not line:
        process.kill()
        error = process.stderr.read().decode().strip().splitlines()
        raise Failure(error[-1] if error else "the idle client did not report in time")
    return json.loads(line)


def measure(run, server, _number):
    base = harness.rss_kib(server, exact=True)
    command = [run.client, f"127.0.0.1:{server.port}", run.scenario.exchange.path, str(run.connections)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=harness.die_with_parent) as client:
        try:
            opened = time.monotonic()
            read_json_line(client, 60)
            opened = time.monotonic() - opened
            time.sleep(1)
            cpu = harness.CpuClock(server)
            time.sleep(run.seconds)
            cpu_ns, clocks = cpu.elapsed()
            held, threads = harness.rss_kib(server, exact=True), harness.thread_count(server)
            client.stdin.close()
            after = read_json_line(client, 30)
        finally:
            client.kill()
    server.check_still_serves()
    if after["closed_by_server"]:
        raise Failure(f"closed {after['closed_by_server']} of {run.connections} idle connections")
    time.sleep(0.5)
    return {
        "bytes_per_connection": (held - base) * 1024 / run.connections,
        "rss_base_kib": base,
        "rss_held_kib": held,
        "rss_after_kib": harness.rss_kib(server, exact=True),
        "threads": threads,
        "idle_cpu_ms": cpu_ns / 1e6,
        "idle_cpu_clocks": clocks,
        "open_seconds": opened,
    }


def show(run):
    ratios = run.ratios()["bytes_per_connection"]
    print_head(run, f"{run.connections:,} idle keep-alive connections, one request served on each")
    rows = [[name, f"{m['bytes_per_connection']:,.0f}", *ratio_cells(ratios, name, run.scenario.bases),
             f"{m['rss_base_kib'] / 1024:.1f}", f"{m['rss_held_kib'] / 1024:.1f}", f"{m['rss_after_kib'] / 1024:.1f}",
             f"{m['threads']:.0f}", f"{m['idle_cpu_ms']:.1f}"] for name, m in run.figures().items()]
    print_table(["server", "bytes/connection", "× go", "RSS MiB before", "held", "closed again", "threads",
                 f"CPU ms in {run.seconds:g} s idle"], rows)
