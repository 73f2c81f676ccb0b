// Timing out and moving on: several replicas are asked at once, the first reply counts, and none may take for ever.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/error.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/task_group.h>
#include <weft/testing/bubble.h>
#include <weft/time.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct Replica {
  std::string name;
  std::chrono::milliseconds latency;  // of the simulated network
};

// Asks one replica. Gives up when ctx ends.
weft::Result<std::string> ask(const weft::Context& ctx, const Replica& replica) {
  const bool replied = weft::select(weft::on_recv(weft::after(replica.latency)), weft::on_recv(ctx.done())) == 0;
  if (!replied) return weft::Unexpected(ctx.err());
  return replica.name;
}

// [first_reply]
// Returns the first reply of the replicas, or an error when none comes in time or every replica fails.
weft::Result<std::string> first_reply(const weft::Context& parent, const std::vector<Replica>& replicas,
                                      std::chrono::nanoseconds timeout) {
  // There is room for every reply, so that nobody waits to send a reply that is not wanted any more.
  const auto replies = weft::make_chan<weft::Result<std::string>>(replicas.size());
  weft::TaskGroup asking(weft::with_timeout(parent, timeout).first);
  for (const Replica& replica : replicas) {
    asking.go([&](const weft::Context& ctx) { replies.send(ask(ctx, replica)); });
  }

  weft::Error error = weft::Error::text("there are no replicas");
  for (std::size_t n = 0; n < replicas.size(); ++n) {
    std::optional<weft::Result<std::string>> reply;
    const std::size_t chosen = weft::select(weft::on_recv(replies, reply), weft::on_recv(asking.context().done()));
    if (chosen != 0) return weft::Unexpected(asking.context().err());
    if (reply->has_value()) return *reply;
    error = reply->error();
  }
  return weft::Unexpected(error);
}  // a goroutine that still asks learns that it need not go on, and the group waits for it
// [first_reply]

}  // namespace

int main() {
  return weft::run([] {
    // The bubble's clock jumps, so that the program prints the same however slow the machine is.
    weft::testing::bubble([] {
      const std::vector<Replica> replicas{{"paris", 30ms}, {"oslo", 10ms}, {"rome", 50ms}};
      for (const auto timeout : {20ms, 5ms}) {
        const auto start = weft::now();
        const auto reply = first_reply(weft::background(), replicas, timeout);
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(weft::now() - start);
        std::printf("within %d ms: %s, after %d ms\n", static_cast<int>(timeout.count()),
                    reply ? reply->c_str() : reply.error().message().c_str(), static_cast<int>(took.count()));
      }
    });
  });
}
