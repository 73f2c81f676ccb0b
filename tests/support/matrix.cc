#include "support/matrix.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "weft/go.h"
#include "weft/stats.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

Variant current_variant;

// Goroutines may still be about to end when the body returns. A goroutine that leaks stays for ever.
constexpr std::chrono::seconds kLeakGrace{30};

bool clean(const RuntimeStats& stats) { return stats.goroutines <= 1 && stats.timers == 0 && stats.descriptors == 0; }

void expect_nothing_left() {
  const auto end = std::chrono::steady_clock::now() + kLeakGrace;
  while (!clean(runtime_stats()) && std::chrono::steady_clock::now() < end) {
    yield();
    sleep(std::chrono::milliseconds(1));
  }
  const RuntimeStats stats = runtime_stats();
  if (clean(stats)) return;
  std::ostringstream report;
  report << "left behind: " << stats.goroutines - 1 << " goroutines, " << stats.timers << " timers, "
         << stats.descriptors << " descriptors\n";
  for (const GoroutineInfo& g : goroutines()) {
    report << "  goroutine " << g.id << " [" << (g.wait_reason.empty() ? "running" : g.wait_reason) << "], created by "
           << g.parent_id << "\n";
  }
  ADD_FAILURE() << report.str();
}

// A runtime whose threads were slow to stop was abandoned. Its goroutines may still be about to end, and goroutines()
// shows them.
void await_stragglers() {
  const auto end = std::chrono::steady_clock::now() + kLeakGrace;
  const auto straggles = [](const GoroutineInfo& g) { return g.state == GoroutineState::running; };
  while (std::ranges::count_if(goroutines(), straggles) > 1 && std::chrono::steady_clock::now() < end) {
    sleep(std::chrono::milliseconds(1));
  }
}

class VariantTest : public ::testing::Test {
 public:
  VariantTest(Variant v, Body body) : variant_(std::move(v)), body_(body) {}
  void TestBody() override { run_variant(variant_, body_); }

 private:
  const Variant variant_;
  const Body body_;
};

int register_variant(const char* suite, const std::string& name, const char* file, int line, Body body,
                     const Variant& v) {
  ::testing::RegisterTest(suite, name.c_str(), nullptr, nullptr, file, line,
                          [=]() -> ::testing::Test* { return new VariantTest(v, body); });
  return 0;
}

}  // namespace

const Variant& variant() { return current_variant; }

void run_variant(const Variant& v, Body body) {
  current_variant = v;
  ::setenv("WEFT_POLLER", v.poller.c_str(), 1);
  const int status = run(
      [body] {
        await_stragglers();
        body();
        expect_nothing_left();
      },
      {.procs = v.procs});
  EXPECT_EQ(status, 0);
}

int register_procs_test(const char* suite, const char* name, const char* file, int line, Body body) {
  for (const int procs : {1, 2, 4}) {
    register_variant(suite, std::string(name) + "/" + std::to_string(procs), file, line, body, {"auto", procs});
  }
  return 0;
}

int register_matrix_test(const char* suite, const char* name, const char* file, int line, Body body) {
  for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
    for (const int procs : {1, 2, 4}) {
      register_variant(suite, std::string(name) + "/" + poller + "/" + std::to_string(procs), file, line, body,
                       {poller, procs});
    }
  }
  return 0;
}

}  // namespace weft::testing
