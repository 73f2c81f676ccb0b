"""What a scenario is, how its servers are measured in turns, and what is printed: figures, ratios, promises."""

import dataclasses
import statistics
import typing

import harness
from harness import Exchange, Failure, Server, note


@dataclasses.dataclass(frozen=True)
class Promise:
    """A limit for weft's figure `key`: as it is, or divided by the server `base`'s, or by weft's own figure `by`."""
    label: str
    key: str
    limit: float
    base: str = ""
    by: str = ""
    unit: str = ""
    at_least: bool = False
    connections: int = 0  # it is about this number; 0: about any

    def text(self):
        words = [self.label, "≥" if self.at_least else "≤", f"{self.limit:,g}", f"× {self.base}" * bool(self.base),
                 self.unit]
        return " ".join(filter(None, words))

    def value(self, figures, name):
        """What is to be judged. `figures` is {server: {key: figure}}. None: there is nothing to compare with."""
        mine = figures.get(name, {}).get(self.key)
        if self.base:
            other = figures.get(self.base, {}).get(self.key)
        else:
            other = figures.get(name, {}).get(self.by) if self.by else 1
        return None if mine is None or not other else mine / other

    def met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit


@dataclasses.dataclass(frozen=True)
class Scenario:
    what: str
    measure: typing.Callable  # (run, server, number of the round) returns a sample, {key: figure}
    show: typing.Callable     # (run) prints the table
    rounds: int
    seconds: float
    connections: tuple        # a table for each number of connections ...
    procs: tuple              # ... and each number of processors
    servers: tuple            # unless --servers names others
    cannot: tuple = ()        # the servers that lack what is asked
    client: str = ""          # the program under peers/ that asks; empty: wrk
    script: str = ""          # wrk's
    exchange: Exchange = harness.HELLO
    memory: bool = False      # look at it before, during and after the load
    connecting: bool = False  # the client makes a connection for each request
    bases: tuple = ("go",)    # the servers that the others are compared with ...
    compared: tuple = ()      # ... in these figures
    promises: tuple = ()
    of_rounds: typing.Callable = statistics.median


class Run:
    """One scenario with one number of connections and processors: what was asked, and what the results are."""

    def __init__(self, name, scenario, args, programs, client, connections, procs):
        self.name = name
        self.scenario = scenario
        self.args = args
        self.programs = programs  # {server: program}
        self.client = client      # the program that asks
        self.connections = connections
        self.procs = procs
        self.rounds = rounds_of(scenario, args)
        self.seconds = seconds_of(scenario, args)
        self.hello = None
        self.samples = []
        self.failed = {}          # {server: why}
        self.reply_bytes = {}

    def server(self, name, exchange):
        return Server(name, self.programs[name], self.procs, self.hello, exchange)

    def learn_hello(self):
        """Takes what weft answers at /hello/you, which the twins repeat. Without weft it is "hello, you"."""
        for name in self.programs:
            if name.startswith("weft-"):
                try:
                    with self.server(name, harness.HELLO) as server:
                        self.hello = server.reply.body
                        break
                except Failure:
                    pass  # the failure is told when the server has its turn
        if self.hello is None or harness.NAME.encode() not in self.hello:
            self.hello = b"hello, you\n"

    def alternate(self):
        """Measures A B C, A B C ..., with a fresh process each time. A server that fails is not asked again."""
        self.learn_hello()
        for number in range(1, self.rounds + 1):
            for name in self.programs:
                if name in self.failed:
                    continue
                note(f"{self.name}, {self.connections:,} connections, procs {self.procs}: round {number} of "
                     f"{self.rounds}: {name}")
                try:
                    with self.server(name, self.scenario.exchange) as server:
                        self.reply_bytes[name] = server.reply.size
                        sample = self.scenario.measure(self, server, number)
                        self.samples.append({"server": name, "round": number, **sample})
                        if server.process.poll() is None:
                            server.stop_checked()
                except Failure as failure:
                    self.failed[name] = str(failure)
                    if failure.sample:
                        self.samples.append({"server": name, "round": number, **failure.sample})
                    note(f"FAILED: {name}: {failure}")

    def figures(self):
        """Returns {server: {key: figure}}: the medians over the rounds (stop: the sums)."""
        found = {}
        for name in self.programs:
            values = {}
            for sample in self.samples:
                if sample["server"] == name:
                    for key, value in sample.items():
                        if type(value) in (int, float) and key != "round":
                            values.setdefault(key, []).append(value)
            if values:
                found[name] = {key: self.scenario.of_rounds(of_key) for key, of_key in values.items()}
        return found

    def ratios(self):
        """Returns {key: {server: {base: ratio}}} of the figures."""
        figures = self.figures()
        return {key: {name: {base: mine[key] / figures[base][key] for base in self.scenario.bases
                             if figures.get(base, {}).get(key)} for name, mine in figures.items() if key in mine}
                for key in self.scenario.compared}

    def judged(self):
        """Returns a line for each promise and each weft: the value, its spread over the rounds, whether it is met.

        A weft that has failed meets nothing, whatever its other rounds say.
        """
        figures, lines = self.figures(), []
        rounds = {}
        for sample in self.samples:
            rounds.setdefault(sample["round"], {})[sample["server"]] = sample
        for promise in self.scenario.promises:
            for name in self.programs:
                if not name.startswith("weft-") or promise.connections not in (0, self.connections):
                    continue
                value = promise.value(figures, name)
                each = [v for v in (promise.value(of_round, name) for of_round in rounds.values()) if v is not None]
                lines.append({"promise": promise.text(), "server": name, "value": value,
                              "min": min(each, default=None), "max": max(each, default=None),
                              "failed": name in self.failed,
                              "met": None if value is None or self.args.quick or name in self.failed else
                                     promise.met(value)})
        return lines

    def document(self):
        return {"connections": self.connections, "procs": self.procs, "reply_bytes": self.reply_bytes,
                "samples": self.samples, "figures": self.figures(), "ratios": self.ratios(),
                "promises": self.judged(), "failed": self.failed}


def rounds_of(scenario, args):
    return args.rounds or (1 if args.quick else scenario.rounds)


def seconds_of(scenario, args):
    seconds = args.duration or (min(scenario.seconds, 1.0) if args.quick else scenario.seconds)
    return seconds if scenario.client else max(1, round(seconds))  # wrk takes whole seconds only


# ---- printing ------------------------------------------------------------------------------------------------------


def print_table(columns, rows):
    print("| " + " | ".join(columns) + " |")
    print("|---" + "|---:" * (len(columns) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def print_head(run, what):
    facts = harness.machine_facts()
    kind = "sums" if run.scenario.of_rounds is sum else "medians"
    print(f"\n### {run.name}: {what}\n")
    print(f"{facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}; servers with {run.procs} "
          f"proc{'s' if run.procs > 1 else ''}; {kind} of {run.rounds} alternating "
          f"round{'s' if run.rounds > 1 else ''}\n")


def number(value):
    return f"{value:.4g}" if value < 1000 else f"{value:,.0f}"


def print_promises(run):
    lines = run.judged()
    if not lines:
        return
    names = list(dict.fromkeys(line["server"] for line in lines))
    cells = {}
    for line in lines:
        cell = "–"
        if line["value"] is not None:
            cell = number(line["value"])
            if run.rounds > 1:
                cell += f" ({number(line['min'])}–{number(line['max'])})"
            cell += {True: ": met", False: ": **missed**", None: ""}[line["met"]]
        if line["failed"]:
            cell = "**FAILED**"
        cells.setdefault(line["promise"], {})[line["server"]] = cell
    print()
    print_table(["promise", *names], [[promise, *(row[name] for name in names)] for promise, row in cells.items()])
    if run.args.quick:
        print("\nNote: --quick: these figures say nothing about speed, so no promise is judged")


def print_failures(run):
    for name, why in run.failed.items():
        print(f"\n**FAILED** {name}: {why}")


def ratio_cells(ratios, name, bases):
    return [f"{ratios[name][base]:.2f}" if base in ratios[name] else "–" for base in bases]
