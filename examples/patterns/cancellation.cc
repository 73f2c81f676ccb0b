// Cancellation: a context goes down the tree of calls, the first failure ends what is left, and cleaning up is exempt.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/errgroup.h>
#include <weft/error.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/testing/bubble.h>
#include <weft/time.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>

using namespace std::chrono_literals;

namespace {

// Stands for a call over the network: it takes some time, and ends early when ctx does.
weft::Error call(const weft::Context& ctx, std::chrono::milliseconds takes) {
  if (weft::select(weft::on_recv(weft::after(takes)), weft::on_recv(ctx.done())) == 0) return {};
  return weft::cause(ctx);
}

weft::Error book_flight(const weft::Context& ctx) { return call(ctx, 10ms); }

weft::Error book_room(const weft::Context& ctx) {
  if (weft::Error error = call(ctx, 15ms)) return error.wrap("find a room");
  if (weft::Error error = call(ctx, 15ms)) return error.wrap("pay for the room");
  return {};
}

weft::Error rent_car(const weft::Context& ctx) {
  if (weft::Error error = call(ctx, 20ms)) return error;
  return weft::Error::text("no car is left");
}

weft::Error undo(const weft::Context& ctx) { return call(ctx, 30ms); }

// [book_trip]
struct Part {
  const char* name;
  weft::Error (*book)(const weft::Context& ctx);
};
constexpr std::array kParts{Part{"flight", book_flight}, Part{"room", book_room}, Part{"car", rent_car}};

// Books all parts, or none. The error is what went wrong first: a part that can't be had, or the end of `parent`.
weft::Error book_trip(const weft::Context& parent) {
  std::array<weft::Error, kParts.size()> errors;
  weft::ErrGroup booking(parent);
  for (std::size_t i = 0; i < kParts.size(); ++i) {
    booking.go([&, i](const weft::Context& ctx) { return errors[i] = kParts[i].book(ctx); });
  }
  if (!booking.wait()) return {};

  // Undoing has to work although the context is done. It has a limit of its own, so that it ends at some time.
  auto [cleanup, stop] = weft::with_timeout(weft::without_cancel(parent), 1s);
  for (std::size_t i = 0; i < kParts.size(); ++i) {
    if (!errors[i]) errors[i] = undo(cleanup) ? weft::Error::text("lost") : weft::Error::text("undone");
    std::printf("  %s: %s\n", kParts[i].name, errors[i].message().c_str());
  }
  stop();
  return weft::cause(booking.context());
}
// [book_trip]

}  // namespace

int main() {
  return weft::run([] {
    // The bubble's clock jumps, so that the program prints the same however slow the machine is.
    weft::testing::bubble([] {
      for (const auto patience : {1000ms, 12ms, 5ms}) {
        std::printf("a trip within %d ms\n", static_cast<int>(patience.count()));
        auto [ctx, cancel] = weft::with_timeout(weft::background(), patience);
        const weft::Error error = book_trip(ctx);
        cancel();
        std::printf("  %s\n", error ? error.message().c_str() : "booked");
      }
    });
  });
}
