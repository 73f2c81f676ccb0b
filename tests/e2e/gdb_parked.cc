// The program that gdb_test.py looks into. Its goroutines wait in different ways; one yields for ever, and one may not
// have started yet. When all are where they belong, main calls everyone_is_parked(), where a breakpoint stops the
// program.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "support/parked.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/net/listener.h"
#include "weft/time.h"

extern "C" [[gnu::noinline]] void everyone_is_parked() { asm volatile(""); }

namespace {

[[gnu::noinline]] void receive_an_order(weft::Chan<int> orders, int customer) {
  std::printf("customer %d got %d\n", customer, *orders.recv());
}

[[gnu::noinline]] void sleep_long() {
  weft::sleep(std::chrono::hours(1));
  asm volatile("");
}

[[gnu::noinline]] void lock_the_ledger(weft::Mutex& ledger) {
  const std::lock_guard lock(ledger);
  asm volatile("");
}

[[gnu::noinline]] void accept_a_guest(weft::net::Listener& listener) {
  static_cast<void>(listener.accept());
  asm volatile("");
}

[[gnu::noinline]] void yield_for_ever() {
  for (;;) weft::yield();
}

}  // namespace

int main(int argc, char** argv) {
  const int customer = argc > 1 ? std::atoi(argv[1]) : 0;
  return weft::run(
      [customer] {
        weft::Chan<int> orders = weft::make_chan<int>();
        weft::Mutex ledger;
        auto listener = weft::net::listen("tcp", "127.0.0.1:0");
        if (!listener) {
          std::fprintf(stderr, "%s\n", listener.error().message().c_str());
          return 1;
        }
        ledger.lock();
        weft::go([orders, customer] { receive_an_order(orders, customer); });
        weft::go([] { sleep_long(); });
        weft::go([&] { lock_the_ledger(ledger); });
        weft::go([&] { accept_a_guest(*listener); });
        for (const char* const reason : {"chan receive", "sleep", "sync.Mutex.Lock", "IO wait"}) {
          if (!weft::testing::wait_until_parked(1, reason)) {
            std::fprintf(stderr, "no goroutine waits for: %s\n", reason);
            return 1;
          }
        }
        weft::go([] { yield_for_ever(); });
        weft::yield();
        weft::go([] { yield_for_ever(); });
        everyone_is_parked();
        return 0;
      },
      {.procs = 1});
}
