// Measures select with a case that is ready, without such a case, and waiting.
#include <weft/chan.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/time.h>

#include <chrono>

#include "bench.h"

namespace micro {
namespace {

constexpr std::chrono::seconds kTimeout{1};

}  // namespace

std::uint64_t select_ready(std::int64_t ops) {
  const weft::Chan<std::int64_t> full = weft::make_chan<std::int64_t>(1);
  const weft::Chan<std::int64_t> empty = weft::make_chan<std::int64_t>(1);
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    full.send(i);
    weft::select(weft::on_recv(full, [&sum](std::int64_t value) { sum += static_cast<std::uint64_t>(value); }),
                 weft::on_recv(empty, [] { fail("select_ready: received from an empty channel"); }));
  }
  return sum;
}

std::uint64_t select_default(std::int64_t ops) {
  const weft::Chan<std::int64_t> first = weft::make_chan<std::int64_t>(1);
  const weft::Chan<std::int64_t> second = weft::make_chan<std::int64_t>(1);
  std::uint64_t defaults = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    weft::select(weft::on_recv(first, [] { fail("select_default: received from an empty channel"); }),
                 weft::on_recv(second, [] { fail("select_default: received from an empty channel"); }),
                 weft::on_default([&defaults] { ++defaults; }));
  }
  return defaults;
}

std::uint64_t select_blocked(std::int64_t ops) {
  const weft::Chan<std::int64_t> ping = weft::make_chan<std::int64_t>();
  const weft::Chan<std::int64_t> pong = weft::make_chan<std::int64_t>();
  const weft::Chan<std::int64_t> quit = weft::make_chan<std::int64_t>();
  weft::go([ping, pong, quit] {
    for (bool on = true; on;) {
      weft::select(weft::on_recv(ping, [&pong](std::int64_t value) { pong.send(value + 1); }),
                   weft::on_recv(quit, [&on] { on = false; }));
    }
    pong.close();
  });
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    ping.send(i);
    weft::select(weft::on_recv(pong, [&sum](std::int64_t value) { sum += static_cast<std::uint64_t>(value); }),
                 weft::on_recv(quit, [] { fail("select_blocked: nobody has quit"); }));
  }
  quit.close();
  pong.recv();
  return sum;
}

std::uint64_t select_timeout(std::int64_t ops) {
  const weft::Chan<std::int64_t> chan = weft::make_chan<std::int64_t>(1);
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    chan.send(i);
    // On a machine that stops for a second both cases are ready, and the timeout may win. Then the value is still
    // there.
    weft::select(
        weft::on_recv(chan, [&sum](std::int64_t value) { sum += static_cast<std::uint64_t>(value); }),
        weft::on_recv(weft::after(kTimeout), [&sum, &chan] { sum += static_cast<std::uint64_t>(*chan.recv()); }));
  }
  return sum;
}

}  // namespace micro
