// Tests what is written in assembly. It is a program, so that it can be built for another architecture and run under an
// emulator. It uses nothing but runtime/src/arch. The exit status is 0 when every check holds.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "runtime/src/arch/call_watched.h"
#include "runtime/src/arch/context.h"

namespace {

using weft::rt::weft_make_context;
using weft::rt::weft_switch_context;

constexpr std::size_t kStack = 64 * 1024;
constexpr int kRounds = 100000;

struct Flow {
  alignas(16) char stack[kStack];
  void* sp = nullptr;
  void* main_sp = nullptr;
  std::uint64_t integers = 0;
  double floats = 0;
  int seed = 0;
};

void check(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "switch_main: %s\n", what);
  std::exit(1);
}

// Keeps a dozen values alive over each switch, so that callee-saved registers carry some of them. A register that is
// not saved shows as a wrong sum.
void body(void* arg) {
  auto& flow = *static_cast<Flow*>(arg);
  check(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) % 16 == 0,
        "stack of a new context is not aligned");
  std::uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
  double u = 0.5, v = 1.5, w = 2.5, x = 3.5, y = 4.5;
  const auto seed = static_cast<std::uint64_t>(flow.seed);
  for (int i = 0;; ++i) {
    flow.integers = a + b + c + d + e + f;
    flow.floats = u + v + w + x + y;
    weft_switch_context(&flow.sp, flow.main_sp);
    a += seed;
    b += a ^ 1;
    c += b ^ 3;
    d += c ^ 5;
    e += d ^ 7;
    f += e ^ 9;
    u += 0.25 * flow.seed;
    v += u * 0.5;
    w += v * 0.25;
    x += w * 0.125;
    y += x * 0.0625;
    if (u > 1e6) u = v = w = x = y = 0.5;
  }
}

// Does the same arithmetic without switches.
struct Expected {
  std::uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
  double u = 0.5, v = 1.5, w = 2.5, x = 3.5, y = 4.5;
  std::uint64_t integers() const { return a + b + c + d + e + f; }
  double floats() const { return u + v + w + x + y; }
  void step(int seed) {
    a += static_cast<std::uint64_t>(seed);
    b += a ^ 1;
    c += b ^ 3;
    d += c ^ 5;
    e += d ^ 7;
    f += e ^ 9;
    u += 0.25 * seed;
    v += u * 0.5;
    w += v * 0.25;
    x += w * 0.125;
    y += x * 0.0625;
    if (u > 1e6) u = v = w = x = y = 0.5;
  }
};

// An exception passes through a watched call. The watcher sees it before anything below is unwound, and the registers
// come back as they were. An exception that is caught below is not seen.
struct Watched {
  int seen = 0;
  int unwound = 0;
  int unwound_when_seen = -1;
};

struct Unwinds {
  Watched& watched;
  ~Unwinds() { ++watched.unwound; }
};

[[gnu::noinline]] void throws(Watched& watched, std::uint64_t value) {
  const Unwinds unwinds{watched};
  throw value;
}

void catches_then_throws(void* arg) {
  auto& watched = *static_cast<Watched*>(arg);
  try {
    throws(watched, 1);
  } catch (std::uint64_t) {
    check(watched.seen == 0, "an exception was seen by a call that it does not pass through");
  }
  throws(watched, 2);
}

void check_watched_calls() {
  std::uint64_t sum = 0, expected = 0;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t a = sum + 1, b = a ^ 3, c = b + 5, d = c ^ 7, e = d + 9;
    Watched watched;
    const weft::rt::ThrowObserver observer{[](void* arg) noexcept {
                                             auto& w = *static_cast<Watched*>(arg);
                                             ++w.seen;
                                             w.unwound_when_seen = w.unwound;
                                           },
                                           &watched};
    weft::rt::weft_call_watched([](void*) {}, nullptr, &observer);
    check(watched.seen == 0, "an exception was seen where there is none");
    std::uint64_t caught = 0;
    try {
      weft::rt::weft_call_watched(&catches_then_throws, &watched, &observer);
    } catch (std::uint64_t value) {
      caught = value;
    }
    check(caught == 2, "an exception did not arrive");
    check(watched.seen == 1 && watched.unwound_when_seen == 1, "an exception was not seen before it unwound");
    check(watched.unwound == 2, "a destructor did not run");
    sum = a + b + c + d + e;
    const std::uint64_t a2 = expected + 1, b2 = a2 ^ 3, c2 = b2 + 5, d2 = c2 ^ 7;
    expected = a2 + b2 + c2 + d2 + (d2 + 9);
    check(sum == expected, "registers were lost over an exception");
  }
}

}  // namespace

int main() {
  check_watched_calls();
  constexpr int kFlows = 3;
  static Flow flows[kFlows];
  Expected expected[kFlows];
  for (int i = 0; i < kFlows; ++i) {
    flows[i].seed = i + 1;
    flows[i].sp = weft_make_context(flows[i].stack + kStack, &body, &flows[i]);
  }
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kFlows; ++i) {
      if (round > 0) expected[i].step(flows[i].seed);
      weft_switch_context(&flows[i].main_sp, flows[i].sp);
      check(flows[i].integers == expected[i].integers(), "integer registers were lost");
      check(flows[i].floats == expected[i].floats(), "floating-point registers were lost");
    }
  }
  std::printf("%d switches between %d contexts\n", 2 * kRounds * kFlows, kFlows + 1);
  return 0;
}
