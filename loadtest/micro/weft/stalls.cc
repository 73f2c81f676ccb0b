// Measures how long a goroutine that keeps its thread makes the others wait.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/go.h>
#include <weft/net/conn.h>
#include <weft/net/dial.h>
#include <weft/net/listener.h>
#include <weft/time.h>
#include <weft/wait_group.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench.h"

namespace micro {
namespace {

constexpr std::int64_t kClients = 4;
constexpr std::int64_t kSpells = 3;  // how often the hog computes for a second
constexpr std::int64_t kAskEveryNs = 1'000'000;
constexpr std::int64_t kPauseNs = 100'000'000;  // between two spells
constexpr std::int64_t kTickNs = 10'000'000;

volatile std::uint64_t computed = 0;

// Times of round trips, in nanoseconds.
struct Times {
  std::vector<std::int64_t> delays;  // from when a trip was due
  std::vector<std::int64_t> trips;   // from when a client asked
};

// Sleeps until that time, or not at all when the time is over: what is late is made up for, and counts from when it was
// due.
void sleep_until(std::int64_t ns) {
  const std::int64_t left = ns - now_ns();
  if (left > 0) weft::sleep(std::chrono::nanoseconds(left));
}

// Computes without a call of the runtime. It looks at the clock about each microsecond.
void compute_until(std::int64_t ns) {
  std::uint64_t x = 0;
  while (now_ns() < ns)
    for (int i = 0; i < 1000; ++i) x = x * 6364136223846793005 + 1442695040888963407;
  computed = x;
}

void answer(weft::net::Conn conn) {
  char byte = 0;
  while (conn.read({&byte, 1}).n == 1)
    if (conn.write({&byte, 1}).ec) fail("hog_echo: the server could not answer");
  conn.close();
}

void ask(weft::net::Conn& conn, char byte) {
  char answered = 0;
  if (conn.write({&byte, 1}).ec || conn.read({&answered, 1}).n != 1 || answered != byte)
    fail("hog_echo: a byte did not come back");
}

}  // namespace

// While one goroutine computes, clients ask at fixed times, whether or not the last answer came late. The delay counts
// from the fixed time, so a stall delays all requests that were due during the stall. The metrics trip_* count from
// when a client did ask.
void hog_echo(Sample& sample) {
  if (sample.ops() % (kClients * kSpells) != 0) fail("hog_echo: OPS must be a multiple of 12");
  const std::int64_t asks = sample.ops() / (kClients * kSpells);  // of each client in each spell
  weft::Result<weft::net::Listener> listener = weft::net::listen("tcp", "127.0.0.1:0");
  if (!listener) fail("hog_echo: cannot listen on 127.0.0.1");
  const std::string address = "127.0.0.1:" + std::to_string(listener->address().port());
  weft::WaitGroup servers;
  servers.go([&servers, &listener] {
    while (weft::Result<weft::net::Conn> conn = listener->accept())
      servers.go([conn = *std::move(conn)]() mutable { answer(std::move(conn)); });
  });

  std::vector<weft::Chan<std::int64_t>> starts;
  std::vector<Times> times(kClients);
  weft::WaitGroup clients;
  weft::WaitGroup spell;
  for (std::int64_t client = 0; client < kClients; ++client) {
    weft::Result<weft::net::Conn> conn = weft::net::dial(weft::background(), "tcp", address);
    if (!conn) fail("hog_echo: cannot connect to 127.0.0.1");
    Times& mine = times[static_cast<std::size_t>(client)];
    mine.delays.reserve(static_cast<std::size_t>(asks * kSpells));
    mine.trips.reserve(static_cast<std::size_t>(asks * kSpells));
    starts.push_back(weft::make_chan<std::int64_t>(1));
    clients.go([asks, client, &mine, &spell, conn = *std::move(conn), spells = starts.back()]() mutable {
      while (const std::optional<std::int64_t> start = spells.recv()) {
        for (std::int64_t i = 0; i < asks; ++i) {
          const std::int64_t due = *start + i * kAskEveryNs + client * (kAskEveryNs / kClients);
          sleep_until(due);
          const std::int64_t asked = now_ns();
          ask(conn, static_cast<char>(i));
          const std::int64_t answered = now_ns();
          mine.delays.push_back(answered - due);
          mine.trips.push_back(answered - asked);
        }
        spell.done();
      }
      conn.close();
    });
  }
  for (std::int64_t i = 0; i < kSpells; ++i) {
    weft::sleep(std::chrono::nanoseconds(kPauseNs));
    spell.add(kClients);
    const std::int64_t start = now_ns();
    for (const weft::Chan<std::int64_t>& client : starts) client.send(start);
    compute_until(start + asks * kAskEveryNs);
    spell.wait();
  }
  for (const weft::Chan<std::int64_t>& client : starts) client.close();
  clients.wait();
  listener->close();
  servers.wait();

  Times all;
  for (const Times& each : times) {
    all.delays.insert(all.delays.end(), each.delays.begin(), each.delays.end());
    all.trips.insert(all.trips.end(), each.trips.begin(), each.trips.end());
  }
  sample.set_checksum(all.delays.size());
  sample.add_percentiles(std::move(all.delays));
  sample.add_percentiles(std::move(all.trips), "trip_");
}

// The call begins between two ticks, when nobody waits for the processor. So the processor has to be taken from the
// goroutine that sits in the call.
void blocking_tick(Sample& sample) {
  std::vector<std::int64_t> late;
  late.reserve(static_cast<std::size_t>(sample.ops()));
  const std::int64_t start = now_ns();
  weft::WaitGroup group;
  group.go([start, ticks = sample.ops()] {
    sleep_until(start + kTickNs / 2);
    weft::blocking([ticks] { std::this_thread::sleep_for(std::chrono::nanoseconds(ticks * kTickNs)); });
  });
  for (std::int64_t i = 1; i <= sample.ops(); ++i) {
    const std::int64_t due = start + i * kTickNs;
    sleep_until(due);
    late.push_back(now_ns() - due);
  }
  group.wait();
  sample.set_checksum(late.size());
  sample.add_percentiles(std::move(late));
}

}  // namespace micro
