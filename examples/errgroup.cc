// One request needs two answers: the first failure ends the other search.
// [errgroup]
#include <weft/context.h>
#include <weft/errgroup.h>
#include <weft/error.h>
#include <weft/go.h>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

// Stands for a call over the network: it takes some time, and ends early when nobody wants the answer any more.
weft::Error ask(const weft::Context& ctx, std::chrono::milliseconds time, std::string& answer) {
  const auto [arrival, cancel] = weft::with_timeout(ctx, time);
  arrival.done().recv();
  if (ctx.err()) return weft::cause(ctx);
  answer = "found";
  return {};
}

weft::Error load_user(const weft::Context& ctx, int id, std::string& user) {
  if (id < 0) return weft::Error::text("no user " + std::to_string(id));
  return ask(ctx, 1ms, user);
}

weft::Error load_orders(const weft::Context& ctx, int id, std::string& orders) {
  return ask(ctx, id < 0 ? 1h : 2ms, orders);
}

weft::Error show(const weft::Context& request, int id) {
  std::string user;
  std::string orders;
  weft::ErrGroup group(request);
  group.go([&](weft::Context ctx) { return load_user(ctx, id, user); });
  group.go([&](weft::Context ctx) { return load_orders(ctx, id, orders); });
  if (weft::Error error = group.wait()) return error;
  std::printf("user %d: %s, orders: %s\n", id, user.c_str(), orders.c_str());
  return {};
}

int main() {
  return weft::run([] {
    for (const int id : {7, -1}) {
      if (const weft::Error error = show(weft::background(), id)) std::printf("error: %s\n", error.message().c_str());
    }
  });
}
// [errgroup]
