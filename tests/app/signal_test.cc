#include "weft/app/signal.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <new>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "app/src/signal/handler.h"
#include "support/eventually.h"
#include "support/failing_new.h"
#include "support/files.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "support/report.h"
#include "weft/go.h"
#include "weft/panic.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Returns what the channel brings within thirty seconds.
std::optional<int> receive(const Chan<int>& channel) {
  const auto end = std::chrono::steady_clock::now() + seconds(30);
  for (;;) {
    if (const auto signal = channel.try_recv()) return *signal;
    if (std::chrono::steady_clock::now() > end) return std::nullopt;
    sleep(milliseconds(1));
  }
}

using SigHandler = void (*)(int);

SigHandler disposition(int signal) {
  struct sigaction action = {};
  ::sigaction(signal, nullptr, &action);
  return action.sa_handler;
}

WEFT_MATRIX_TEST(Signal, EachSubscriptionGetsItsSignals) {
  const auto both = make_chan<int>(4);
  const auto second = make_chan<int>(4);
  const SignalStop stop_both = notify(both, {SIGUSR1, SIGUSR2});
  const SignalStop stop_second = notify(second, {SIGUSR2});
  ::kill(::getpid(), SIGUSR1);
  EXPECT_EQ(receive(both), SIGUSR1);
  ::raise(SIGUSR2);
  EXPECT_EQ(receive(both), SIGUSR2);
  EXPECT_EQ(receive(second), SIGUSR2);
  EXPECT_EQ(second.size(), 0U);
  stop_both();
  stop_second();
}

// At SIGQUIT the runtime dumps every goroutine, but not in a program that wants the signal itself.
WEFT_MATRIX_TEST(Signal, QuitGoesToItsSubscriber) {
  const SigHandler before = disposition(SIGQUIT);
  const auto channel = make_chan<int>(1);
  const SignalStop stop = notify(channel, {SIGQUIT});
  ::kill(::getpid(), SIGQUIT);
  EXPECT_EQ(receive(channel), SIGQUIT);
  stop();
  EXPECT_EQ(disposition(SIGQUIT), before);
}

// The child ends by its own alarm, unless a deadlock is reported, which takes a fraction of that time.
TEST(SignalDeathTest, ASubscriptionIsNoDeadlock) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto wait_for_signal = [](const char* poller, int procs) {
    ::setenv("WEFT_POLLER", poller, 1);
    run(
        [] {
          const auto channel = make_chan<int>(1);
          const SignalStop stop = notify(channel, {SIGTERM});
          ::alarm(1);
          channel.recv();
        },
        {.procs = procs, .log = testing::ignore});
  };
  for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
    for (const int procs : {1, 2, 4})
      EXPECT_EXIT(wait_for_signal(poller, procs), ::testing::KilledBySignal(SIGALRM), "^$");
  }
}

WEFT_MATRIX_TEST(Signal, WorksWhicheverThreadItHits) {
  const auto channel = make_chan<int>(1);
  const SignalStop stop = notify(channel, {SIGUSR1});
  // The thread has slept once before the signal comes. GCC 12's ThreadSanitizer loses a signal that interrupts a
  // thread's first blocking call: the call makes a table of pending signals, the handler makes another, and only one of
  // them stays.
  std::atomic<bool> slept{false};
  std::atomic<bool> end{false};
  std::thread elsewhere([&] {
    while (!end.load(std::memory_order_acquire)) {
      std::this_thread::sleep_for(milliseconds(1));
      slept.store(true, std::memory_order_release);
    }
  });
  EXPECT_TRUE(testing::eventually([&] { return slept.load(std::memory_order_acquire); }));
  ::pthread_kill(elsewhere.native_handle(), SIGUSR1);
  EXPECT_EQ(receive(channel), SIGUSR1);
  end.store(true, std::memory_order_release);
  elsewhere.join();
  stop();
}

// A subscription that can't be made changes nothing, and the next one works.
WEFT_MATRIX_TEST(Signal, SubscribesWhenThereIsMemoryAgain) {
  const auto channel = make_chan<int>(1);
  SignalStop stop;
  int failures = 0;
  for (int n = 0;; ++n) {
    try {
      const testing::AllocationsFailAfter after(n);
      stop = notify(channel, {SIGUSR1});
      break;
    } catch (const std::bad_alloc&) {
      ++failures;
    }
    EXPECT_EQ(disposition(SIGUSR1), SIG_DFL);
    const SignalStop stop_other = notify(channel, {SIGUSR2});
    ::kill(::getpid(), SIGUSR2);
    EXPECT_EQ(receive(channel), SIGUSR2) << n;
  }
  EXPECT_GE(failures, 4);
  ::kill(::getpid(), SIGUSR1);
  EXPECT_EQ(receive(channel), SIGUSR1);
  stop();
}

WEFT_MATRIX_TEST(Signal, AFullChannelLosesSignalsAndHoldsNobodyUp) {
  const auto full = make_chan<int>(1);
  const auto next = make_chan<int>(8);
  const SignalStop stop_full = notify(full, {SIGUSR1});
  const SignalStop stop_next = notify(next, {SIGUSR1});
  for (int i = 0; i < 3; ++i) {
    ::raise(SIGUSR1);
    EXPECT_EQ(receive(next), SIGUSR1);
  }
  EXPECT_EQ(full.size(), 1U);
  stop_full();
  stop_next();
}

WEFT_MATRIX_TEST(Signal, StopRestoresTheDispositionWithTheLastSubscription) {
  const SigHandler before = disposition(SIGUSR1);
  const auto channel = make_chan<int>(1);
  const SignalStop first = notify(channel, {SIGUSR1});
  const SignalStop second = notify(channel, {SIGUSR1});
  EXPECT_NE(disposition(SIGUSR1), before);
  first();
  first();
  EXPECT_NE(disposition(SIGUSR1), before);
  second();
  EXPECT_EQ(disposition(SIGUSR1), before);
}

WEFT_MATRIX_TEST(Signal, OneThatCameTooLateIsNotDeliveredToTheNextSubscription) {
  const auto never = make_chan<int>(1);
  {
    const SignalStop stop = notify(never, {SIGUSR1});
    ::raise(SIGUSR1);
    stop();
  }
  const auto later = make_chan<int>(4);
  const SignalStop stop = notify(later, {SIGUSR1});
  sleep(milliseconds(20));
  EXPECT_EQ(later.size(), 0U);
  ::raise(SIGUSR1);
  EXPECT_EQ(receive(later), SIGUSR1);
  stop();
}

WEFT_MATRIX_TEST(Signal, SubscriptionsComeAndGoWhileSignalsArrive) {
  const auto steady = make_chan<int>(1);
  const SignalStop stop = notify(steady, {SIGUSR1});  // otherwise one of the signals would end the process
  WaitGroup group;
  for (int i = 0; i < 4; ++i) {
    group.go([] {
      for (int round = 0; round < 50; ++round) {
        const auto channel = make_chan<int>(1);
        const SignalStop mine = notify(channel, {SIGUSR1, SIGUSR2});
        ::raise(SIGUSR1);
        EXPECT_EQ(receive(channel), SIGUSR1);
        mine();
      }
    });
  }
  group.wait();
  stop();
}

WEFT_MATRIX_TEST(NotifyContext, IsDoneAtTheFirstSignalAndSaysWhich) {
  const auto [ctx, stop] = notify_context(background(), {SIGUSR1, SIGTERM});
  EXPECT_FALSE(ctx.err());
  ::raise(SIGTERM);
  ctx.done().recv();
  EXPECT_EQ(ctx.err(), Errc::canceled);
  EXPECT_EQ(cause(ctx).message(), "signal SIGTERM received");
  ::raise(SIGTERM);  // swallowed
  stop();
}

WEFT_MATRIX_TEST(NotifyContext, IsDoneWhenStopped) {
  const auto [ctx, stop] = notify_context(background(), {SIGUSR1});
  stop();
  EXPECT_EQ(ctx.err(), Errc::canceled);
  EXPECT_EQ(cause(ctx), Errc::canceled);
}

WEFT_MATRIX_TEST(NotifyContext, IsDoneWithItsParent) {
  const auto [parent, cancel] = with_cancel(background());
  const auto [ctx, stop] = notify_context(parent, {SIGUSR1});
  cancel();
  EXPECT_EQ(ctx.err(), Errc::canceled);
  stop();
}

WEFT_PROCS_TEST(Signal, MisusePanics) {
  EXPECT_THROW(static_cast<void>(notify(SendChan<int>(), {SIGUSR1})), Panic);
  const auto channel = make_chan<int>(1);
  EXPECT_THROW(static_cast<void>(notify(channel, {SIGKILL})), Panic);
  EXPECT_THROW(static_cast<void>(notify(channel, {SIGUSR1, SIGSTOP})), Panic);
  EXPECT_THROW(static_cast<void>(notify(channel, {0})), Panic);
  EXPECT_THROW(static_cast<void>(notify(channel, {65})), Panic);
  EXPECT_THROW(static_cast<void>(notify_context(background(), {-1})), Panic);
}

WEFT_MATRIX_TEST(Signal, TheLastHandleEndsTheSubscription) {
  const SigHandler before = disposition(SIGUSR1);
  {
    SignalStop copy;
    {
      const SignalStop stop = notify(make_chan<int>(1), {SIGUSR1});
      copy = stop;
    }
    EXPECT_NE(disposition(SIGUSR1), before);
  }
  EXPECT_EQ(disposition(SIGUSR1), before);
}

WEFT_MATRIX_TEST(NotifyContext, MayStopItselfAtItsEnd) {
  const SigHandler before = disposition(SIGUSR1);
  const auto [ctx, stop] = notify_context(background(), {SIGUSR1});
  after_func(ctx, stop);
  ::raise(SIGUSR1);
  ctx.done().recv();
  const auto end = std::chrono::steady_clock::now() + seconds(30);
  while (disposition(SIGUSR1) != before && std::chrono::steady_clock::now() < end) sleep(milliseconds(1));
  EXPECT_EQ(disposition(SIGUSR1), before);
  EXPECT_EQ(cause(ctx).message(), "signal SIGUSR1 received");
}

// A runtime ends beside a subscription. The next runtime's subscriptions work, and the old one can still be stopped.
TEST(Signal, TheNextRuntimeDeliversWhenSubscriptionsWereLeftBehind) {
  const SigHandler before = disposition(SIGUSR1);
  for (const char* const poller : weft::testing::kPollers) {
    ::setenv("WEFT_POLLER", poller, 1);
    const auto old = make_chan<int>(1);
    SignalStop left;
    EXPECT_EQ(weft::run([&] {
                left = notify(old, {SIGUSR1});
                EXPECT_TRUE(weft::testing::wait_until_parked(1, "IO wait"));
              }),
              0);
    EXPECT_EQ(weft::run([&] {
                const auto channel = make_chan<int>(1);
                const SignalStop stop = notify(channel, {SIGUSR1});
                ::raise(SIGUSR1);
                EXPECT_EQ(receive(channel), SIGUSR1) << poller;
                EXPECT_EQ(receive(old), SIGUSR1) << poller;
              }),
              0);
    EXPECT_EQ(weft::run([&] { left(); }), 0);
    EXPECT_EQ(disposition(SIGUSR1), before);
  }
  ::unsetenv("WEFT_POLLER");
}

TEST(Signal, RunsLeaveNoFilesBesideASubscription) {
  SignalStop left;
  weft::testing::expect_runs_leave_no_files([&] {
    left = notify(make_chan<int>(1), {SIGUSR1});
    EXPECT_TRUE(weft::testing::wait_until_parked(1, "IO wait"));
  });
  EXPECT_EQ(weft::run([&] { left(); }), 0);
}

TEST(Signal, NamesAreThoseOfTheShell) {
  EXPECT_EQ(detail::signal_name(SIGTERM), "SIGTERM");
  EXPECT_EQ(detail::signal_name(SIGRTMIN + 1), "signal " + std::to_string(SIGRTMIN + 1));
}

TEST(SignalDeathTest, AfterStopTheSignalEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(static_cast<void>(weft::run([] {
                const auto [ctx, stop] = notify_context(background(), {SIGTERM});
                ::raise(SIGTERM);
                ctx.done().recv();
                ::raise(SIGTERM);
                sleep(milliseconds(20));
                stop();
                ::raise(SIGTERM);
              })),
              ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace weft::app
