// Channels and select: a close against sends and receives, the one winner of a select, and the default that is taken
// only when nothing is ready. Each value is received once, nobody is woken twice or for nothing, nobody waits for ever.
#include "model/chan_model.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "model/model_test.h"

namespace weft::model {
namespace {

using weft::detail::recv_op;
using weft::detail::send_op;

// Records what happened, by thread. It is read when all threads have ended.
template <typename P>
struct ChanProgram : Program {
  ChanProgram(std::size_t capacity_of_a, std::size_t capacity_of_b) : chans(capacity_of_a, capacity_of_b) {}

  // Returns false when the channel was closed.
  bool send(typename Chans<P>::Chan& chan, int value) {
    try {
      chan.send(int{value});
      ++sent;
      return true;
    } catch (const SentOnClosed&) {
      return false;
    }
  }
  std::optional<int> recv(typename Chans<P>::Chan& chan) {
    std::optional<int> value;
    chan.recv(value);
    if (value) ++received;
    return value;
  }
  void check() override { require(sent == received, "values were lost or doubled"); }

  ChanSleepers sleepers;
  Chans<P> chans;
  typename Chans<P>::Chan& a = chans.a;
  typename Chans<P>::Chan& b = chans.b;
  int sent = 0;
  int received = 0;
};

// --- close ---

// The receiver takes values until the end, and the end comes.
template <typename P>
struct CloseBesideSendAndRecv : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    if (thread == 0) {
      this->send(this->a, 1);
    } else if (thread == 1) {
      while (this->recv(this->a)) {
      }
    } else {
      this->a.close();
    }
  }
};

TEST(ChanModel, CloseBesideSendAndRecv) {
  for (const std::size_t capacity : {0u, 1u}) {
    expect_holds(
        explore_program<CloseBesideSendAndRecv<ChanModel>>({"sender", "receiver", "closer"}, {}, capacity, 0u));
  }
}

// Two receivers, one value, one close: one receiver gets the value, the other gets the end.
template <typename P>
struct CloseWakesReceivers : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    if (thread == 2) {
      this->send(this->a, 1);
      this->a.close();
    } else {
      this->recv(this->a);
    }
  }
};

TEST(ChanModel, CloseWakesReceivers) {
  for (const std::size_t capacity : {0u, 1u}) {
    expect_holds(
        explore_program<CloseWakesReceivers<ChanModel>>({"receiver 1", "receiver 2", "closer"}, {}, capacity, 0u));
  }
}

// A try form says "would block" only if there was a moment at which it would block.
template <typename P>
struct TryRecvBesideClose : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    if (thread == 0) {
      this->send(this->a, 1);
      this->a.close();
      return;
    }
    for (;;) {
      std::optional<int> value;
      const weft::detail::TryResult result = this->a.try_recv(value);
      if (result == weft::detail::TryResult::done) ++this->received;
      if (result == weft::detail::TryResult::closed) break;
      if (result == weft::detail::TryResult::would_block) P::pause();
    }
    require(this->received == 1, "the end came before the value");
  }
};

TEST(ChanModel, TryRecvFindsTheValueBeforeTheEnd) {
  expect_holds(explore_program<TryRecvBesideClose<ChanModel>>({"sender", "poller"}, {}, 1u, 0u));
}

// --- select ---

// One select waits on two channels, each of which has a sender. What the select does not take is received after it.
template <typename P>
struct SelectOfTwo : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    if (thread == 0) {
      std::optional<int> value;
      const std::size_t chosen = select<P, 2>({recv_op(&this->a, value), recv_op(&this->b, value)});
      require(value == static_cast<int>(chosen) + 1, "the value is not that of the case");
      ++this->received;
      this->recv(chosen == 0 ? this->b : this->a);
    } else {
      this->send(thread == 1 ? this->a : this->b, thread);
    }
  }
};

template <typename P>
void both_orders(const std::vector<const char*>& threads, auto explore_one) {
  for (const bool reversed : {false, true}) {
    P::reversed = reversed;
    explore_one(threads);
  }
  P::reversed = false;
}

TEST(SelectModel, OneWinner) {
  for (const std::size_t capacity : {0u, 1u}) {
    both_orders<ChanModel>({"select", "sender 1", "sender 2"}, [&](const auto& threads) {
      expect_holds(explore_program<SelectOfTwo<ChanModel>>(threads, {.preemptions = kSanitized ? 2 : 4}, capacity, 0u));
    });
  }
}

// Two selects could meet in two ways; they meet in one.
template <typename P>
struct CrossedSelects : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    std::optional<int> value;
    int mine = thread;
    auto& out = thread == 0 ? this->a : this->b;
    auto& in = thread == 0 ? this->b : this->a;
    if (select<P, 2>({send_op(&out, mine), recv_op(&in, value)}) == 0) {
      ++this->sent;
    } else {
      require(value == 1 - thread, "a select has met itself");
      ++this->received;
    }
  }
};

TEST(SelectModel, CrossedSelectsMeetOnce) {
  both_orders<ChanModel>({"first", "second"}, [&](const auto& threads) {
    expect_holds(explore_program<CrossedSelects<ChanModel>>(threads, {}, 0u, 0u));
  });
}

// One select sends and receives on one channel.
template <typename P>
struct SelfSelect : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    std::optional<int> value;
    int mine = thread;
    if (select<P, 2>({send_op(&this->a, mine), recv_op(&this->a, value)}) == 0) {
      ++this->sent;
    } else {
      require(value == 1 - thread, "a select has met itself");
      ++this->received;
    }
  }
};

TEST(SelectModel, OnOneChannelItMeetsAnother) {
  both_orders<ChanModel>({"first", "second"}, [&](const auto& threads) {
    expect_holds(explore_program<SelfSelect<ChanModel>>(threads, {}, 0u, 0u));
  });
}

// The mutexes may be released by another thread.
struct HandsOver : BasicChanModel<HandsOver> {
  class Mutex {
   public:
    void lock() {
      std::uint32_t free = 0;
      while (!word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed)) {
        free = 0;
        ModelAtomics::pause();
      }
    }
    void unlock() {
      word_.store(0, std::memory_order_release);
      // This look is in the same step as the store: nobody else has run since.
      require(this_thread() != 2 || !ChanSleepers::of_program->first_has_selected,
              "a select has come back while its mutexes are being released");
    }

   private:
    model::Atomic<std::uint32_t> word_{0};
  };
};

// A waiter that is woken while the mutexes are still being released must not return before they are released. (The
// tests of this have a bound: without a bound, steps that commute are explored in one order, and what the check above
// looks at is no step.)
template <typename P>
struct SelectWokenEarly : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    if (thread == 0) {
      std::optional<int> value;
      this->sleepers.scheduler = &scheduler;
      const std::size_t chosen = select<P, 2>({recv_op(&this->a, value), recv_op(&this->b, value)});
      this->sleepers.scheduler = nullptr;
      if (scheduler.unlock == nullptr) {  // the select did not wait
        scheduler.unlock = [](void*) { return true; };
        scheduler.sleep.interrupt();
      }
      require(chosen == which && value == 1, "the wrong value");
      ++this->received;
    } else if (thread == 1) {
      this->send(which == 0 ? this->a : this->b, 1);
    } else {
      scheduler.run();
    }
  }
  static inline std::size_t which = 0;
  ChanSleepers::Scheduler scheduler;
};

TEST(SelectModel, WokenBeforeTheMutexesAreReleased) {
  for (const std::size_t which : {0u, 1u}) {
    SelectWokenEarly<HandsOver>::which = which;
    both_orders<HandsOver>({"select", "sender", "scheduler"}, [&](const auto& threads) {
      expect_holds(explore_program<SelectWokenEarly<HandsOver>>(threads, {.preemptions = kSanitized ? 2 : 4}, 0u, 0u));
    });
  }
}

// A close of one channel against a send on the other channel.
template <typename P>
struct SelectBesideClose : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    if (thread == 0) {
      std::optional<int> value;
      if (select<P, 2>({recv_op(&this->a, value), recv_op(&this->b, value)}) == 1) {
        require(value == 2, "no value came");
        ++this->received;
      } else {
        require(!value, "a value came from nowhere");
        this->recv(this->b);
      }
    } else if (thread == 1) {
      this->a.close();
    } else {
      this->send(this->b, 2);
    }
  }
};

TEST(SelectModel, BesideAClose) {
  both_orders<ChanModel>({"select", "closer", "sender"}, [&](const auto& threads) {
    expect_holds(explore_program<SelectBesideClose<ChanModel>>(threads, {.preemptions = kSanitized ? 2 : 4}, 0u, 0u));
  });
}

// A send that waits in a select panics, or is received, when the channel is closed.
template <typename P>
struct SelectedSendBesideClose : ChanProgram<P> {
  using ChanProgram<P>::ChanProgram;
  void run(int thread) override {
    if (thread == 0) {
      int one = 1;
      int two = 2;
      try {
        select<P, 2>({send_op(&this->a, one), send_op(&this->b, two)});
        ++this->sent;
      } catch (const SentOnClosed&) {
      }
    } else if (thread == 1) {
      this->a.close();
    } else {
      this->recv(this->a);
    }
  }
};

TEST(SelectModel, ASendBesideAClose) {
  both_orders<ChanModel>({"select", "closer", "receiver"}, [&](const auto& threads) {
    expect_holds(
        explore_program<SelectedSendBesideClose<ChanModel>>(threads, {.preemptions = kSanitized ? 2 : 4}, 0u, 0u));
  });
}

// One of the two is ready at each moment: b becomes ready before a is taken.
template <typename P>
struct NonblockingSelect : ChanProgram<P> {
  NonblockingSelect(std::size_t capacity_of_a, std::size_t capacity_of_b, bool closes)
      : ChanProgram<P>(capacity_of_a, capacity_of_b), by_close(closes) {
    this->send(this->a, 1);
  }
  void run(int thread) override {
    std::optional<int> value;
    if (thread == 0) {
      const std::size_t chosen = select<P, 2>({recv_op(&this->a, value), recv_op(&this->b, value)}, true);
      require(chosen != weft::detail::kNoOp, "the default was taken although one case was ready all the time");
    } else {
      if (by_close) {
        this->b.close();
      } else {
        this->b.send(2);
      }
      this->a.try_recv(value);
    }
  }
  void check() override {}
  const bool by_close;
};

TEST(SelectModel, TheDefaultIsNotTakenWhileOneIsReady) {
  for (const bool by_close : {false, true}) {
    both_orders<ChanModel>({"select", "mover"}, [&](const auto& threads) {
      expect_holds(explore_program<NonblockingSelect<ChanModel>>(threads, {}, 1u, 1u, by_close));
    });
  }
}

// --- the timers of channels ---

constexpr rt::Nanos kSoon = 5;

// A tick is either received, or taken back by stop() or reset(). The channel may end while its timer is firing.
struct TimerChan : Program {
  using P = TimerChanModel;
  using Chan = weft::detail::BasicChanState<weft::TimePoint, P>;
  using Heap = rt::BasicTimerHeap<P::Heaps>;

  explicit TimerChan(bool selects) : by_select(selects) {
    P::Heaps::of_program = &heap;
    timer = reinterpret_cast<ModelChanTimer*>(timer_memory.data());
    chan = Chan::make_in(memory.data(), 1, timer);
    ::new (timer_memory.data()) ModelChanTimer(*chan, kSoon, 0);
  }

  void run(int thread) override {
    if (thread == 0) {
      std::optional<weft::TimePoint> tick;
      if (by_select) {
        std::optional<weft::TimePoint> also;
        select<P, 2>({recv_op(chan, tick), recv_op(chan, also)});
        require(tick.has_value() != also.has_value(), "one tick, one case");
      } else {
        chan->recv(tick);
        require(tick.has_value(), "no tick came");
      }
      leave();
    } else if (thread == 1) {
      if (timer->stop()) {
        require(!timer->reset(kSoon, 0), "a stopped timer is armed");
        ++resets;
      }
      leave();
    } else {
      heap.fire_due(P::kNow);
    }
  }
  void quiet() override { heap.fire_due(P::kNow); }

  // Ends the use, as the last handle does.
  void leave() {
    if (--users > 0) return;
    timer->end();
    timer->~ModelChanTimer();
    chan->~Chan();
    chan = nullptr;
  }
  void check() override {
    require(chan == nullptr, "somebody has not left");
    require(heap.size() == 0, "a timer without a channel");
  }

  const bool by_select;
  ChanSleepers sleepers;
  Label heap_names{"heap", {"mutex", "next", "fire_mutex", "firing"}};
  Heap heap;
  Label names{"chan", {"mutex", "handles", "count", "receivers", "closed", "senders", "timer.heap"}};
  alignas(std::max_align_t) std::array<std::byte, 512> memory;
  alignas(std::max_align_t) std::array<std::byte, 256> timer_memory;
  Chan* chan = nullptr;
  ModelChanTimer* timer = nullptr;
  int users = 2;
  int resets = 0;
};

TEST(TimerChanModel, ATickComesOrIsTakenBack) {
  for (const bool by_select : {false, true}) {
    expect_holds(
        explore_program<TimerChan>({"receiver", "stopper", "machine"}, {.preemptions = kSanitized ? 2 : 4}, by_select));
  }
}

// A tick came too late for the select, which took another case. stop() takes that tick back.
struct TickInTheBuffer : Program {
  using P = TimerChanModel;
  using Chan = weft::detail::BasicChanState<weft::TimePoint, P>;

  TickInTheBuffer() {
    P::Heaps::of_program = &heap;
    timer = reinterpret_cast<ModelChanTimer*>(timer_memory.data());
    chan = Chan::make_in(memory[0].data(), 1, timer);
    ::new (timer_memory.data()) ModelChanTimer(*chan, kSoon, 0);
    other = Chan::make_in(memory[1].data(), 0, nullptr);
  }
  void run(int thread) override {
    if (thread == 0) {
      std::optional<weft::TimePoint> tick;
      std::optional<weft::TimePoint> none;
      const std::size_t chosen = select<P, 2>({recv_op(chan, tick), recv_op(other, none)});
      require(timer->stop() == (chosen == 1), "stop() says the wrong thing");
      std::optional<weft::TimePoint> stale;
      require(chan->try_recv(stale) == weft::detail::TryResult::would_block, "a tick from before the stop");
      timer->end();
      timer->~ModelChanTimer();
      chan->~Chan();
    } else if (thread == 1) {
      other->close();
    } else {
      heap.fire_due(P::kNow);
    }
  }
  void quiet() override { heap.fire_due(P::kNow); }

  ChanSleepers sleepers;
  Label heap_names{"heap", {"mutex", "next", "fire_mutex", "firing"}};
  rt::BasicTimerHeap<P::Heaps> heap;
  Label names{"chans", {}, "word"};
  struct alignas(std::max_align_t) Memory : std::array<std::byte, 512> {};
  std::array<Memory, 2> memory;
  alignas(std::max_align_t) std::array<std::byte, 256> timer_memory;
  Chan* chan = nullptr;
  Chan* other = nullptr;
  ModelChanTimer* timer = nullptr;
};

TEST(TimerChanModel, StopTakesBackATickInTheBuffer) {
  both_orders<TimerChanModel>({"select", "closer", "machine"}, [](const auto& threads) {
    expect_holds(explore_program<TickInTheBuffer>(threads, {.preemptions = kSanitized ? 2 : 3}));
  });
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// Nobody has to claim the node of a select, so two wakers win.
struct NoClaim : BasicChanModel<NoClaim> {
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure) {
      if constexpr (std::is_pointer_v<T>) {
        this->store(desired, success);
        return true;
      } else {
        return model::Atomic<T>::compare_exchange_strong(expected, desired, success, failure);
      }
    }
  };
};

TEST(SelectModelFinds, WakersThatDontClaim) {
  expect_finds(explore_program<SelectOfTwo<NoClaim>>({"select", "sender 1", "sender 2"}, {.preemptions = 2}, 0u, 0u),
               "woken");
}

// The waiter does not wait for the mutexes of the cases that lost.
struct DoesNotWait : BasicChanModel<DoesNotWait> {
  class Mutex : public HandsOver::Mutex {
   public:
    void lock() {
      if (!leaves()) HandsOver::Mutex::lock();
    }
    void unlock() {
      if (!leaves()) HandsOver::Mutex::unlock();
    }

   private:
    // True for the first thread, once it has been woken.
    static bool leaves() {
      const ChanSleepers& sleepers = *ChanSleepers::of_program;
      return this_thread() == 0 && sleepers.scheduler != nullptr && sleepers.scheduler->unlock != nullptr &&
             !sleepers.of_thread[0].waits;
    }
  };
};

TEST(SelectModelFinds, AWaiterThatComesBackTooEarly) {
  SelectWokenEarly<DoesNotWait>::which = 0;
  expect_finds(
      explore_program<SelectWokenEarly<DoesNotWait>>({"select", "sender", "scheduler"}, {.preemptions = 2}, 0u, 0u),
      "a select has come back while its mutexes are being released");
}

// A look without the mutex has the wrong order: first closed, then empty.
struct RelaxedEmpty : BasicChanModel<RelaxedEmpty> {
  template <typename T>
  class Atomic : public model::Atomic<T> {
   public:
    using model::Atomic<T>::Atomic;
    T load(std::memory_order) const { return model::Atomic<T>::load(std::memory_order_relaxed); }
  };
};

TEST(ChanModelFinds, AnEndThatIsSeenBeforeTheLastValue) {
  expect_finds(explore_program<TryRecvBesideClose<RelaxedEmpty>>({"sender", "poller"}, {}, 1u, 0u),
               "the end came before the value");
}

}  // namespace
}  // namespace weft::model
