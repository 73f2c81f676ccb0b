#include "weft/app/app.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "app/client.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "weft/app/log.h"
#include "weft/go.h"
#include "weft/http/mux.h"
#include "weft/net/address.h"
#include "weft/net/listener.h"
#include "weft/panic.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using weft::testing::body_of;
using weft::testing::get;
using weft::testing::refused;

// Records what happened, in order. Any goroutine may add to it.
class Record {
 public:
  void add(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  std::vector<std::string> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  bool has(const std::string& event) const {
    const std::vector<std::string> all = events();
    return std::ranges::find(all, event) != all.end();
  }
  App::Hook hook(std::string event) {
    return [this, event = std::move(event)](const Context&) {
      add(event);
      return Error();
    };
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::string> events_;
};

// A logger that keeps its lines.
class Lines {
 public:
  Lines() : logger_(std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out_))) {
    logger_->set_formatter(make_log_formatter("%l %v"));
  }
  const std::shared_ptr<spdlog::logger>& logger() const { return logger_; }
  std::string text() const { return out_.str(); }

 private:
  std::ostringstream out_;
  std::shared_ptr<spdlog::logger> logger_;
};

// A server without sockets. The tests make it fail where they like.
struct FakeServer final : Server {
  FakeServer(std::string server_name, Record& r) : name_(std::move(server_name)), record(r) {}

  std::string name() const override { return name_; }
  std::string address() const override { return "nowhere"; }
  Error listen() override {
    record.add(name_ + " listen");
    return listen_error;
  }
  Error serve() override {
    record.add(name_ + " serve");
    static_cast<void>(ended.recv());
    return serve_error;
  }
  Error stop(const Context& ctx) override {
    record.add(name_ + " stop");
    const Error error = on_stop ? on_stop(ctx) : Error();
    if (!error) end();
    return error;
  }
  void close() override {
    record.add(name_ + " close");
    end();
  }
  std::string busy() const override { return "jobs=1"; }

  void end() {
    if (!done.exchange(true, std::memory_order_acq_rel)) ended.close();
  }

  const std::string name_;
  Record& record;
  Error listen_error, serve_error;
  std::function<Error(const Context&)> on_stop;
  const Chan<int> ended = make_chan<int>();
  std::atomic<bool> done{false};
};

// Returns options for an app that logs into `lines`. What is to stop by itself has enough time, however slow the
// machine.
AppOptions quiet(Lines& lines) {
  AppOptions options;
  options.name = "test";
  options.stop_timeout = std::chrono::minutes(1);
  options.logger = lines.logger();
  return options;
}

http::Handler hello() {
  return [](http::ResponseWriter& w, http::Request&) { static_cast<void>(w.write("hello\n")); };
}

// Runs a goroutine beside the app. The destructor waits, so that the goroutine no longer uses the app when that ends.
class Beside {
 public:
  template <typename F>
  explicit Beside(F fn) {
    group_.go(std::move(fn));
  }
  ~Beside() { group_.wait(); }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

 private:
  WaitGroup group_;
};

// Gives up after thirty seconds, so that a start that failed does not hang the test.
void wait_until_ready(const App& app) {
  const auto end = steady_clock::now() + seconds(30);
  while (!app.ready() && steady_clock::now() < end) sleep(milliseconds(1));
}

constexpr const char* kAnyPort = "127.0.0.1:0";

// --- start and stop --------------------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(App, ServesUntilASignal) {
  Lines lines;
  App app(quiet(lines));
  const Server& server = app.serve(hello(), {.address = kAnyPort});
  std::string address;
  app.after_start([&](const Context&) {
    address = server.address();
    EXPECT_EQ(body_of(get(address, "/")), "hello\n");
    ::kill(::getpid(), SIGTERM);
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
  EXPECT_TRUE(refused(address));
  EXPECT_NE(lines.text().find("info listening server=http address=" + address), std::string::npos) << lines.text();
  EXPECT_NE(lines.text().find("info poller name=" + std::string(weft::testing::variant().poller)), std::string::npos)
      << lines.text();
  EXPECT_NE(lines.text().find("info procs count=" + std::to_string(weft::testing::variant().procs)), std::string::npos);
}

WEFT_MATRIX_TEST(App, StopEndsItFromAnywhere) {
  Lines lines;
  App app(quiet(lines));
  app.serve(hello(), {.address = kAnyPort});
  app.serve(hello(), {.address = kAnyPort});
  const Beside beside([&] {
    wait_until_ready(app);
    app.stop();
    app.stop();
  });
  EXPECT_EQ(app.run(), 0);
  EXPECT_FALSE(app.ready());
  EXPECT_NE(lines.text().find("stopping reason=\"stop requested\""), std::string::npos) << lines.text();
  EXPECT_THROW(static_cast<void>(app.run()), Panic);
}

WEFT_MATRIX_TEST(App, StepsComeInOrder) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  app.add(std::make_shared<FakeServer>("server", record));
  app.before_start(record.hook("before_start 1"));
  app.before_start(record.hook("before_start 2"));
  app.after_start([&](const Context&) {
    while (!record.has("server serve")) sleep(milliseconds(1));
    EXPECT_FALSE(app.ready());
    record.add("after_start");
    app.stop();
    return Error();
  });
  app.before_stop(record.hook("before_stop 1"));
  app.before_stop(record.hook("before_stop 2"));
  app.after_stop(record.hook("after_stop"));
  EXPECT_EQ(app.run(), 0);
  EXPECT_EQ(record.events(),
            (std::vector<std::string>{"before_start 1", "before_start 2", "server listen", "server serve",
                                      "after_start", "before_stop 1", "before_stop 2", "server stop", "after_stop"}));
}

WEFT_MATRIX_TEST(App, WithoutServersItWaitsForTheEnd) {
  Lines lines;
  App app(quiet(lines));
  const Beside beside([&] {
    wait_until_ready(app);
    ::raise(SIGINT);
  });
  EXPECT_EQ(app.run(), 0);
}

WEFT_MATRIX_TEST(App, AStopBeforeRunStartsNothing) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  app.add(std::make_shared<FakeServer>("server", record));
  app.before_start(record.hook("before_start"));
  app.stop();
  EXPECT_EQ(app.run(), 0);
  EXPECT_EQ(record.events(), std::vector<std::string>{"server close"});
}

WEFT_MATRIX_TEST(App, ASignalDuringTheStartEndsItInOrder) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  app.add(std::make_shared<FakeServer>("server", record));
  app.before_start([](const Context& ctx) {
    ::raise(SIGTERM);
    ctx.done().recv();
    return ctx.err();
  });
  app.after_stop(record.hook("after_stop"));
  EXPECT_EQ(app.run(), 0);
  EXPECT_EQ(record.events(), (std::vector<std::string>{"server close", "after_stop"}));
}

TEST(App, RunStartsTheRuntimeWhenThereIsNone) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.runtime.procs = 2;
  App app(options);
  const Server& server = app.serve(hello(), {.address = kAnyPort});
  app.after_start([&](const Context&) {
    EXPECT_EQ(procs(), 2);
    EXPECT_EQ(body_of(get(server.address(), "/")), "hello\n");
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
  EXPECT_EQ(procs(), 0);
}

TEST(App, TheRuntimesWarningsGoToItsLogger) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.runtime.procs = 1;
  App app(options);
  app.after_start([&](const Context&) {
    // A goroutine that computes until the runtime calls it a hog, again and again: there is a line a second at most,
    // and another test's may have been the last.
    const auto end = steady_clock::now() + milliseconds(2500);
    while (steady_clock::now() < end) {
      const std::uint64_t before = runtime_stats().hogs;
      const auto give_up = steady_clock::now() + seconds(30);
      while (runtime_stats().hogs == before && steady_clock::now() < give_up) {
      }
      yield();
    }
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
  EXPECT_NE(lines.text().find("warning goroutine 1 has kept its thread for"), std::string::npos) << lines.text();
}

WEFT_MATRIX_TEST(App, AGoroutineInABlockingCallHangsInASystemCall) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.stop_timeout = milliseconds(50);
  App app(options);
  app.before_stop([&](const Context&) {
    // The call outlives the timeout, and the half second that follows it, by a little.
    blocking([] { std::this_thread::sleep_for(seconds(1)); });
    return Error();
  });
  app.after_start([&](const Context&) {
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 1);
  const std::string text = lines.text();
  EXPECT_TRUE(std::regex_search(text, std::regex(R"(warning still there goroutine=\d+ parent=\d+ state=syscall )")))
      << text;
  sleep(seconds(1));
}

TEST(App, IsNamedAfterTheProgramWhenNobodySays) { EXPECT_EQ(App().options().name, "app_test"); }

// --- failures of the start -------------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(App, APortInUseStopsTheOthers) {
  const Result<net::Listener> taken = net::listen("tcp", kAnyPort);
  ASSERT_TRUE(taken);
  const std::string address = net::to_string(taken->address());
  Lines lines;
  Record record;
  App app(quiet(lines));
  const Server& first = app.serve(hello(), {.address = kAnyPort});
  app.serve(hello(), {.address = address});
  app.add(std::make_shared<FakeServer>("third", record));
  app.before_stop(record.hook("before_stop"));
  app.after_stop(record.hook("after_stop"));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(app.run(), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "test: listen tcp " + address + ": bind: address already in use\n");
  EXPECT_TRUE(refused(first.address()));
  EXPECT_EQ(record.events(), (std::vector<std::string>{"third close", "after_stop"}));
  EXPECT_EQ(lines.text(), "");
}

WEFT_MATRIX_TEST(App, ABeforeStartHookThatFailsKeepsServersFromListening) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  app.add(std::make_shared<FakeServer>("server", record));
  app.before_start([](const Context&) { return Error::text("no\ndatabase"); });
  app.before_start(record.hook("never"));
  app.after_stop(record.hook("after_stop"));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(app.run(), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "test: before_start hook: no\\ndatabase\n");
  EXPECT_EQ(record.events(), (std::vector<std::string>{"server close", "after_stop"}));
}

WEFT_MATRIX_TEST(App, AnAfterStartHookThatFailsStopsWhatServes) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  const Server& server = app.serve(hello(), {.address = kAnyPort});
  app.after_start([](const Context&) { return Error::text("no registry"); });
  app.before_stop(record.hook("before_stop"));
  app.after_stop(record.hook("after_stop"));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(app.run(), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "test: after_start hook: no registry\n");
  EXPECT_TRUE(refused(server.address()));
  EXPECT_EQ(record.events(), (std::vector<std::string>{"before_stop", "after_stop"}));
}

// --- failures later --------------------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(App, AServerThatFailsStopsTheOthers) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  auto failing = std::make_shared<FakeServer>("failing", record);
  failing->serve_error = Error::text("broken");
  app.add(failing);
  const Server& healthy = app.serve(hello(), {.address = kAnyPort});
  app.before_stop(record.hook("before_stop"));
  app.after_stop(record.hook("after_stop"));
  const Beside beside([&] {
    wait_until_ready(app);
    EXPECT_EQ(body_of(get(healthy.address(), "/")), "hello\n");
    failing->end();
  });
  EXPECT_EQ(app.run(), 1);
  EXPECT_TRUE(refused(healthy.address()));
  EXPECT_TRUE(record.has("before_stop") && record.has("after_stop"));
  EXPECT_NE(lines.text().find("error server failed server=failing error=broken"), std::string::npos) << lines.text();
}

WEFT_MATRIX_TEST(App, AServerThatEndsByItselfEndsTheApp) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  auto brief = std::make_shared<FakeServer>("brief", record);
  app.add(brief);
  app.add(std::make_shared<FakeServer>("other", record));
  app.after_start([&](const Context&) {
    brief->end();
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
  EXPECT_TRUE(record.has("other stop"));
}

WEFT_MATRIX_TEST(App, HooksThatFailDuringTheStopDoNotEndIt) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  app.add(std::make_shared<FakeServer>("server", record));
  app.before_stop([](const Context&) { return Error::text("first"); });
  app.before_stop(record.hook("before_stop 2"));
  app.after_stop([](const Context&) { return Error::text("second"); });
  app.after_stop(record.hook("after_stop 2"));
  const Beside beside([&] {
    wait_until_ready(app);
    app.stop();
  });
  EXPECT_EQ(app.run(), 1);
  EXPECT_TRUE(record.has("before_stop 2") && record.has("server stop") && record.has("after_stop 2"));
  EXPECT_NE(lines.text().find("error hook failed hook=before_stop error=first"), std::string::npos) << lines.text();
  EXPECT_NE(lines.text().find("error hook failed hook=after_stop error=second"), std::string::npos) << lines.text();
}

WEFT_MATRIX_TEST(App, AServerWhoseStopFailsIsClosed) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  auto stubborn = std::make_shared<FakeServer>("stubborn", record);
  stubborn->on_stop = [](const Context&) { return Error::text("won't"); };
  app.add(stubborn);
  const Beside beside([&] {
    wait_until_ready(app);
    app.stop();
  });
  EXPECT_EQ(app.run(), 1);
  EXPECT_TRUE(record.has("stubborn close"));
}

// --- the drain -------------------------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(App, WhatIsInFlightIsFinished) {
  Lines lines;
  App app(quiet(lines));
  const auto entered = make_chan<int>(1);
  const auto leave = make_chan<int>();
  const Server& server = app.serve(
      [&](http::ResponseWriter& w, http::Request& r) {
        entered.send(1);
        static_cast<void>(leave.recv());
        EXPECT_FALSE(r.context().err());
        static_cast<void>(w.write("done\n"));
      },
      {.address = kAnyPort});
  std::string answer;
  WaitGroup client;
  app.after_start([&](const Context&) {
    client.go([&] { answer = get(server.address(), "/"); });
    static_cast<void>(entered.recv());
    ::raise(SIGTERM);
    client.go([&] {
      while (!refused(server.address())) sleep(milliseconds(1));
      leave.close();
    });
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
  client.wait();
  EXPECT_EQ(body_of(answer), "done\n");
}

WEFT_MATRIX_TEST(App, ServersStopAtTheSameTime) {
  Lines lines;
  Record record;
  App app(quiet(lines));
  WaitGroup all;
  all.add(3);
  for (const char* name : {"a", "b", "c"}) {
    auto server = std::make_shared<FakeServer>(name, record);
    server->on_stop = [&](const Context&) {
      all.done();
      all.wait();  // no stop gets past this point before all have reached it
      return Error();
    };
    app.add(server);
  }
  const Beside beside([&] {
    wait_until_ready(app);
    app.stop();
  });
  EXPECT_EQ(app.run(), 0);
}

WEFT_MATRIX_TEST(App, ReadinessTurnsBeforeTheServersStop) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.drain_delay = milliseconds(100);
  App app(options);
  const Server& server = app.serve(
      [&](http::ResponseWriter& w, http::Request&) { static_cast<void>(w.write(app.ready() ? "ready" : "draining")); },
      {.address = kAnyPort});
  WaitGroup client;
  steady_clock::time_point stopped;
  const auto since_stop = [&] { return steady_clock::now() - stopped; };
  client.go([&] {
    wait_until_ready(app);
    EXPECT_EQ(body_of(get(server.address(), "/")), "ready");
    stopped = steady_clock::now();
    app.stop();
    while (app.ready()) sleep(milliseconds(1));
    const std::string body = body_of(get(server.address(), "/"));
    // Where the machine was too slow to ask during the delay, the servers may have stopped.
    EXPECT_TRUE(body == "draining" || since_stop() >= options.drain_delay) << body;
  });
  app.before_stop([&](const Context&) {
    EXPECT_GE(since_stop(), options.drain_delay);
    EXPECT_EQ(body_of(get(server.address(), "/")), "draining");
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
  client.wait();
}

WEFT_MATRIX_TEST(App, PastTheStopTimeoutItTellsWhatHangsAndCloses) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.stop_timeout = milliseconds(50);
  App app(options);
  const auto entered = make_chan<int>(1);
  const auto leave = make_chan<int>();
  WaitGroup handler;
  handler.add(1);
  const Server& server = app.serve(
      [&](http::ResponseWriter&, http::Request& r) {
        entered.send(1);
        static_cast<void>(r.context().done().recv());  // the stop by force cancels it
        static_cast<void>(leave.recv());               // this receive never notices
        handler.done();
      },
      {.address = kAnyPort});
  std::string answer;
  WaitGroup client;
  app.after_start([&](const Context&) {
    client.go([&] { answer = get(server.address(), "/"); });
    static_cast<void>(entered.recv());
    app.stop();
    return Error();
  });
  const auto start = steady_clock::now();
  EXPECT_EQ(app.run(), 1);
  EXPECT_LT(steady_clock::now() - start, seconds(60));
  client.wait();
  EXPECT_EQ(answer.find("HTTP/1.1"), std::string::npos) << answer;
  EXPECT_TRUE(refused(server.address()));
  const std::string text = lines.text();
  EXPECT_NE(text.find("warning stop timeout passed timeout=0.050s"), std::string::npos) << text;
  EXPECT_NE(text.find("warning closing by force server=http address=" + server.address() + " active=1 idle=0"),
            std::string::npos)
      << text;
  EXPECT_TRUE(std::regex_search(
      text, std::regex(R"(warning still there goroutine=\d+ parent=\d+ state="chan receive" since=\d)")))
      << text;
  leave.close();
  handler.wait();
}

WEFT_MATRIX_TEST(App, AHookThatHangsDoesNotOutliveTheTimeout) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.stop_timeout = milliseconds(20);
  Record record;
  App app(options);
  app.add(std::make_shared<FakeServer>("server", record));
  const auto leave = make_chan<int>();
  WaitGroup hook;
  hook.add(1);
  app.before_stop([&](const Context&) {
    static_cast<void>(leave.recv());
    return Error();
  });
  app.after_stop([&](const Context&) {
    hook.done();
    return Error();
  });
  app.after_start([&](const Context&) {
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 1);
  EXPECT_TRUE(record.has("server close"));
  leave.close();
  hook.wait();
}

WEFT_MATRIX_TEST(App, WithoutATimeoutItWaits) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.stop_timeout = milliseconds(0);
  Record record;
  App app(options);
  auto slow = std::make_shared<FakeServer>("slow", record);
  slow->on_stop = [](const Context& ctx) {
    EXPECT_FALSE(ctx.deadline());
    sleep(milliseconds(100));
    return Error();
  };
  app.add(slow);
  app.after_start([&](const Context&) {
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
}

// --- signals ---------------------------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(App, SignalsAreAsBeforeAfterwards) {
  struct sigaction before = {};
  struct sigaction after = {};
  ::sigaction(SIGTERM, nullptr, &before);
  Lines lines;
  App app(quiet(lines));
  app.after_start([&](const Context&) {
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
  ::sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
  ::sigaction(SIGPIPE, nullptr, &after);
  EXPECT_EQ(after.sa_handler, SIG_DFL);
}

WEFT_MATRIX_TEST(App, ABrokenPipeIsAnErrorAndNoSignal) {
  Lines lines;
  App app(quiet(lines));
  app.after_start([&](const Context&) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    EXPECT_EQ(::write(ends[1], "x", 1), -1);
    EXPECT_EQ(errno, EPIPE);
    ::close(ends[1]);
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
}

WEFT_MATRIX_TEST(App, WithoutSignalsItHooksNone) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.signals = {};
  App app(options);
  app.after_start([&](const Context&) {
    struct sigaction now = {};
    ::sigaction(SIGTERM, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
}

// Runs an app in which `then` runs once the app is stopping.
void stop_and(const std::function<void()>& then) {
  Lines lines;
  App app(quiet(lines));
  app.before_stop([&](const Context&) {
    then();
    return Error();
  });
  app.after_start([&](const Context&) {
    ::raise(SIGINT);
    return Error();
  });
  ::_exit(app.run());
}

TEST(AppDeathTest, TheSecondSignalEndsItAtOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(stop_and([] {
                ::raise(SIGTERM);
                static_cast<void>(make_chan<int>().recv());
              }),
              ::testing::ExitedWithCode(128 + SIGTERM), "(^|\n)test: second signal: exit at once\n");
}

TEST(AppDeathTest, TheSecondSignalNeedsNoGoroutineToRun) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(stop_and([] {
                ::alarm(60);
                std::thread([] {
                  std::this_thread::sleep_for(milliseconds(50));
                  ::kill(::getpid(), SIGINT);
                }).detach();
                const auto spin = [] {
                  for (std::atomic<int> i = 0;; i.fetch_add(1, std::memory_order_relaxed)) {
                  }
                };
                for (int i = 0; i < 8; ++i) go(spin);
                spin();
              }),
              ::testing::ExitedWithCode(128 + SIGINT), "second signal");
}

// --- the debug server ------------------------------------------------------------------------------------------------

WEFT_MATRIX_TEST(App, TheDebugServerShowsTheOthers) {
  Lines lines;
  AppOptions options = quiet(lines);
  options.version = "1.4.0";
  App app(options);
  const Server& debug = app.serve_debug({.address = kAnyPort});
  const Server& server = app.serve(hello(), {.address = kAnyPort});
  app.after_start([&](const Context&) {
    EXPECT_EQ(body_of(get(server.address(), "/")), "hello\n");
    const std::string vars = body_of(get(debug.address(), "/debug/vars"));
    EXPECT_NE(vars.find("\"connections\": {"), std::string::npos) << vars;
    EXPECT_NE(vars.find("\"total\":1}"), std::string::npos) << vars;
    EXPECT_NE(vars.find("\"name\": \"test\""), std::string::npos) << vars;
    EXPECT_NE(vars.find("\"version\": \"1.4.0\""), std::string::npos) << vars;
    EXPECT_NE(vars.find("\"poller\": \"" + weft::testing::variant().poller + "\""), std::string::npos) << vars;
    app.stop();
    return Error();
  });
  EXPECT_EQ(app.run(), 0);
}

}  // namespace
}  // namespace weft::app
