// Measures channels.
#include <weft/chan.h>
#include <weft/go.h>
#include <weft/wait_group.h>

#include <array>

#include "bench.h"

namespace micro {
namespace {

constexpr std::size_t kCapacity = 128;
constexpr std::size_t kSmallCapacity = 100;
constexpr std::int64_t kProducers = 4;
constexpr std::int64_t kConsumers = 4;
constexpr std::int64_t kBranches = 10;

void skynet_node(const weft::Chan<std::int64_t>& parent, std::int64_t first, std::int64_t leaves) {
  if (leaves == 1) {
    parent.send(first);
    return;
  }
  const weft::Chan<std::int64_t> children = weft::make_chan<std::int64_t>();
  const std::int64_t share = leaves / kBranches;
  for (std::int64_t i = 0; i < kBranches; ++i)
    weft::go([children, child = first + i * share, share] { skynet_node(children, child, share); });
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < kBranches; ++i) sum += *children.recv();
  parent.send(sum);
}

std::uint64_t many_to_many(std::size_t capacity, std::int64_t ops) {
  const weft::Chan<std::int64_t> chan = weft::make_chan<std::int64_t>(capacity);
  const std::int64_t share = ops / kProducers;
  std::array<std::uint64_t, kConsumers> sums{};
  weft::WaitGroup consumers;
  for (std::uint64_t& result : sums) {
    consumers.go([chan, &result] {
      std::uint64_t sum = 0;
      while (const std::optional<std::int64_t> value = chan.recv()) sum += static_cast<std::uint64_t>(*value);
      result = sum;
    });
  }
  weft::WaitGroup producers;
  for (std::int64_t p = 0; p < kProducers; ++p) {
    producers.go([chan, share, first = p * share] {
      for (std::int64_t i = 0; i < share; ++i) chan.send(first + i);
    });
  }
  producers.wait();
  chan.close();
  consumers.wait();
  std::uint64_t sum = 0;
  for (const std::uint64_t s : sums) sum += s;
  return sum;
}

}  // namespace

std::uint64_t ping_pong(std::int64_t ops) {
  const weft::Chan<std::int64_t> ping = weft::make_chan<std::int64_t>();
  const weft::Chan<std::int64_t> pong = weft::make_chan<std::int64_t>();
  weft::go([ping, pong] {
    while (const std::optional<std::int64_t> value = ping.recv()) pong.send(*value + 1);
    pong.close();
  });
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    ping.send(i);
    sum += static_cast<std::uint64_t>(*pong.recv());
  }
  ping.close();
  pong.recv();
  return sum;
}

std::uint64_t chan_buffered(std::int64_t ops) {
  const weft::Chan<std::int64_t> chan = weft::make_chan<std::int64_t>(kCapacity);
  weft::go([chan, ops] {
    for (std::int64_t i = 0; i < ops; ++i) chan.send(i);
    chan.close();
  });
  std::uint64_t sum = 0;
  while (const std::optional<std::int64_t> value = chan.recv()) sum += static_cast<std::uint64_t>(*value);
  return sum;
}

std::uint64_t chan_uncontended(std::int64_t ops) {
  const weft::Chan<std::int64_t> chan = weft::make_chan<std::int64_t>(kCapacity);
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    chan.send(i);
    sum += static_cast<std::uint64_t>(*chan.recv());
  }
  return sum;
}

std::uint64_t chan_4x4_unbuffered(std::int64_t ops) { return many_to_many(0, ops); }
std::uint64_t chan_4x4_buffered(std::int64_t ops) { return many_to_many(kSmallCapacity, ops); }

std::uint64_t skynet(std::int64_t leaves) {
  const weft::Chan<std::int64_t> root = weft::make_chan<std::int64_t>();
  weft::go([root, leaves] { skynet_node(root, 0, leaves); });
  return static_cast<std::uint64_t>(*root.recv());
}

}  // namespace micro
