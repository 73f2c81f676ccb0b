// Channels, select and the timers of channels, for programs of the explorer. What waits sleeps on a wake-up of its
// thread. Each wake-up must find its thread waiting.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "model/explorer.h"
#include "runtime/src/sync/select.h"
#include "runtime/src/time/chan_timer.h"

namespace weft::model {

struct SentOnClosed {};

// Whom to wake: one sleeper for each thread.
struct ChanSleepers {
  struct Sleeper {
    Sleep sleep;
    bool waits = false;
    bool woken = false;
  };
  Label names{"sleepers", {}, "of thread"};
  std::array<Sleeper, 3> of_thread;

  // A program may let another thread release what the first one held when it waits. A scheduler does the same when the
  // waiter has left its stack.
  struct Scheduler {
    Sleep sleep;
    bool (*unlock)(void* arg) = nullptr;
    void* arg = nullptr;

    void run() {
      sleep.sleep();
      unlock(arg);
    }
  };
  Scheduler* scheduler = nullptr;
  bool first_has_selected = false;  // and has returned from it

  static inline ChanSleepers* of_program = nullptr;
  ChanSleepers() { of_program = this; }
  static Sleeper& current() { return of_program->of_thread[static_cast<std::size_t>(this_thread())]; }
};

struct NoTimer {
  static void look_locked() noexcept {}
  static void run_for_waiters_locked() noexcept {}
  static void end() noexcept {}
};

// `Self` replaces the functions that it is to get wrong.
template <typename Self>
struct BasicChanModel : ModelAtomics {
  using Waits = Self;
  using Mutex = model::Mutex;
  using Core = weft::detail::BasicChanCore<Self>;
  using Node = weft::detail::BasicWaitNode<Self>;

  struct Waiter {
    ChanSleepers::Sleeper* sleeper = nullptr;
    explicit operator bool() const noexcept { return sleeper != nullptr; }
  };

  using Timer = NoTimer;

  static void wake(Waiter waiter) {
    require(waiter.sleeper->waits, "somebody is woken who does not wait");
    require(!waiter.sleeper->woken, "somebody is woken twice");
    waiter.sleeper->woken = true;
    waiter.sleeper->sleep.interrupt();
  }
  static void block(std::span<Node> nodes, bool (*unlock)(void*), void* arg) {
    ChanSleepers::Sleeper& self = ChanSleepers::current();
    for (Node& node : nodes) node.waiter = Waiter{&self};
    self.waits = true;
    ChanSleepers::Scheduler* const scheduler = ChanSleepers::of_program->scheduler;
    if (scheduler != nullptr && this_thread() == 0) {
      scheduler->unlock = unlock;
      scheduler->arg = arg;
      scheduler->sleep.interrupt();
    } else {
      unlock(arg);
    }
    self.sleep.sleep();
    require(self.woken, "somebody goes on whom nobody woke");
    self.waits = self.woken = false;
  }
  static bool wait_in(weft::detail::BasicWaitQueue<Self>& queue, Core& core, void* element) {
    Node node;
    node.element = element;
    queue.push_back(node);
    if (core.timer != nullptr) core.timer->run_for_waiters_locked();
    block(
        {&node, 1},
        [](void* mutex) {
          static_cast<typename Self::Mutex*>(mutex)->unlock();
          return true;
        },
        &core.mutex);
    return node.success;
  }
  static bool wait_to_send(Core& core, void* element) { return wait_in(core.senders, core, element); }
  static bool wait_to_recv(Core& core, void* element) { return wait_in(core.receivers, core, element); }
  static void block_select(std::span<Node> nodes, bool (*unlock)(void*), void* arg) { block(nodes, unlock, arg); }
  static void look_at_timer(Core& core) { core.timer->look_locked(); }
  static void run_timer_for_waiters(Core& core) { core.timer->run_for_waiters_locked(); }
  static void end_timer(Core& core) { core.timer->end(); }
  [[noreturn]] static void panic_send_on_closed() { throw SentOnClosed(); }
  static void block_forever() { require(false, "a select of nothing"); }

  // Determines the order of the cases. Programs are explored with both orders.
  static inline bool reversed = false;
  static std::uint32_t random_below(std::uint32_t n) { return reversed ? n - 1 : 0; }
};
struct ChanModel : BasicChanModel<ChanModel> {};

// With timers. They are all in one heap, that of the running program.
struct ModelChanTimer;
struct TimerChanModel : BasicChanModel<TimerChanModel> {
  using Timer = ModelChanTimer;

  struct Heaps : ModelAtomics {
    using Mutex = model::Mutex;
    static inline rt::BasicTimerHeap<Heaps>* of_program = nullptr;
    struct Place {
      static rt::BasicTimerHeap<Heaps>* heap() noexcept { return of_program; }
      static void moved_ahead() noexcept {}
    };
  };
  using TimerPolicy = Heaps;
  using ChanPolicy = TimerChanModel;

  // Only thread 2, the machine, and the main flow see the time kNow. The other threads see 0.
  static constexpr rt::Nanos kNow = 10;
  static rt::Nanos now() noexcept { return this_thread() == 2 || this_thread() < 0 ? kNow : 0; }
  static rt::ClockId clock() noexcept { return rt::ClockId::real; }
  static void check_clock(rt::ClockId) noexcept {}
};
struct ModelChanTimer : rt::BasicChanTimer<TimerChanModel> {
  using rt::BasicChanTimer<TimerChanModel>::BasicChanTimer;
};

// Two channels whose addresses have the same order in each execution.
template <typename P, typename T = int>
struct Chans {
  using Chan = weft::detail::BasicChanState<T, P>;

  Chans(std::size_t capacity_of_a, std::size_t capacity_of_b)
      : a(*Chan::make_in(memory_[0].data(), capacity_of_a, nullptr)),
        b_names("b", {"mutex", "handles", "count", "receivers", "closed", "senders"}),
        b(*Chan::make_in(memory_[1].data(), capacity_of_b, nullptr)) {}
  ~Chans() {
    b.~Chan();
    a.~Chan();
  }
  Chans(const Chans&) = delete;
  Chans& operator=(const Chans&) = delete;

 private:
  static constexpr std::size_t kBytes = 512;
  static_assert(sizeof(Chan) + 2 * sizeof(T) <= kBytes);
  struct alignas(std::max_align_t) Memory : std::array<std::byte, kBytes> {};
  std::array<Memory, 2> memory_;
  Label a_names{"a", {"mutex", "handles", "count", "receivers", "closed", "senders"}};

 public:
  Chan& a;

 private:
  Label b_names;

 public:
  Chan& b;
};

template <typename P, std::size_t kOps>
std::size_t select(const std::array<weft::detail::BasicChanOp<P>, kOps>& ops, bool has_default = false) {
  std::array<weft::detail::BasicWaitNode<P>, kOps> nodes;
  std::array<std::uint32_t, kOps> order;
  // The vectors outlive the call, so that a thread that reads one too late is found by more than a crash.
  static std::array<std::vector<weft::detail::BasicChanCore<P>*>, 3> chans_of_thread;
  auto& chans = chans_of_thread[static_cast<std::size_t>(this_thread())];
  chans.resize(kOps);
  const std::size_t chosen = weft::detail::Select<P>(ops, {nodes.data(), order.data(), chans.data()}).run(has_default);
  if (this_thread() == 0) ChanSleepers::of_program->first_has_selected = true;
  return chosen;
}

}  // namespace weft::model
