// PoolCore: what lies in a pool lies in
//
//   slots      one item for each machine, for the use of whoever runs on it: no lock, no locked instruction
//   and in shards, one for each processor (and some for plain threads), each of which has
//   fresh      a list of items that came back since the last trim: the shard's users put and take at the front, others
//              take at the back
//   victims    a list of those that came back before that, and were not taken since
//
// take() looks in this order: the machine's slot, the shard's fresh, everybody's fresh, the shard's victims,
// everybody's victims. put() fills the slot, else fresh. A trim destroys the victims and makes victims of the rest. So
// an item is destroyed by the second trim after it came back.
//
// Slots and machines. A slot belongs to a machine, not to a processor. sysmon takes the processor of a goroutine that
// computes, at any instruction. But a goroutine leaves its machine at scheduling points only, of which take() and put()
// have none, and a machine is one thread at a time. (rt::Pin would hold the processor. But a goroutine that uses pools
// all the time would then keep it for ever, since no taker finds it in user mode for long enough.) Slots go by the
// machine's number in the process, not in its runtime: a goroutine that still computes when run() returns goes on using
// the pool on its old machine, beside the goroutines of the next runtime. Trims empty the slots of all machines, also
// of sleeping ones, by the protocol of sync/owned_slot.h. An item in a slot that is in use at that very moment is not
// idle, and stays. Where the kernel has no heavy barrier, slots are left alone: one item for each machine stays until
// it is taken, or the pool goes.
//
// Time. Callers with a processor compare with the processor's clock, which costs them nothing and is some scheduling
// rounds old. Whoever finds that a period is over moves next_trim on, by compare-and-swap, and trims; when two periods
// are over, it trims twice. One caller trims at a time. Others that come meanwhile leave the trim to that one: periods
// that end together are one. Nobody waits for a trim, because it looks at every slot and sends a barrier to every
// thread: a lock that spins would be held for too long, and a goroutine that outlives its runtime can't wake those of
// the next one from a park. Items are destroyed when all locks are released.
#include "weft/detail/pool_core.h"

#include <atomic>
#include <cstddef>
#include <new>
#include <utility>

#include "runtime/src/base/clock.h"
#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/processor.h"
#include "runtime/src/sync/owned_slot.h"
#include "weft/lock_guard.h"
#include "weft/sharded.h"

namespace weft::detail {
namespace {

// Everything but empty() needs the owner's lock.
class PoolList {
 public:
  // Without the lock the answer may be a moment old.
  bool empty() const noexcept { return first_.load(std::memory_order_relaxed) == nullptr; }

  void push_front(PoolItem* item) noexcept {
    PoolItem* const second = first_.load(std::memory_order_relaxed);
    item->next = second;
    item->prev = nullptr;
    (second != nullptr ? second->prev : last_) = item;
    first_.store(item, std::memory_order_relaxed);
  }
  PoolItem* pop_front() noexcept {
    PoolItem* const item = first_.load(std::memory_order_relaxed);
    if (item == nullptr) return nullptr;
    first_.store(item->next, std::memory_order_relaxed);
    (item->next != nullptr ? item->next->prev : last_) = nullptr;
    return item;
  }
  PoolItem* pop_back() noexcept {
    PoolItem* const item = last_;
    if (item == nullptr) return nullptr;
    last_ = item->prev;
    if (last_ != nullptr) {
      last_->next = nullptr;
    } else {
      first_.store(nullptr, std::memory_order_relaxed);
    }
    return item;
  }
  // Moves all items of `other` to the front of this list.
  void prepend(PoolList& other) noexcept {
    PoolItem* const first = other.first_.load(std::memory_order_relaxed);
    if (first == nullptr) return;
    PoolItem* const second = first_.load(std::memory_order_relaxed);
    other.last_->next = second;
    (second != nullptr ? second->prev : last_) = other.last_;
    first_.store(first, std::memory_order_relaxed);
    other.first_.store(nullptr, std::memory_order_relaxed);
    other.last_ = nullptr;
  }

 private:
  std::atomic<PoolItem*> first_{nullptr};
  PoolItem* last_ = nullptr;
};

struct PoolShard {
  rt::SpinMutex mutex;
  PoolList fresh WEFT_GUARDED_BY(mutex);
  PoolList victims WEFT_GUARDED_BY(mutex);
};

using PoolSlot = rt::OwnedSlot<PoolItem>;

// Machines with this number or a higher one have no slot. A Sharded holds as many shards.
constexpr int kMaxSlots = static_cast<int>(kThreadShards << 8);

}  // namespace

struct PoolCore::State {
  State(std::chrono::nanoseconds trim_period, Destroy destroy_item) noexcept
      : destroy(destroy_item),
        period(trim_period.count()),
        next_trim(period > 0 ? rt::saturating_add(rt::now(), period) : rt::kNever) {}

  // Returns the machine's slot; null on a plain thread, and when there is no memory for it.
  PoolSlot* slot_of(const rt::Machine* machine) noexcept {
    if (machine == nullptr || machine->number_in_process() >= kMaxSlots) return nullptr;
    try {
      return &slots.shard(static_cast<std::size_t>(machine->number_in_process()));
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  // Returns the caller's shard; null when there is no memory for it.
  PoolShard* shard() noexcept {
    try {
      return &shards.get();
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  // Returns whether a trim is due. Any processor's clock will do: the machine may have lost the one that it thinks of.
  bool due(rt::Machine* machine) const noexcept {
    const rt::Processor* const p = machine != nullptr ? machine->processor() : nullptr;
    const rt::Nanos t = p != nullptr ? p->clock.load(std::memory_order_relaxed) : rt::now();
    return t >= next_trim.load(std::memory_order_relaxed);
  }

  PoolItem* find_in(PoolList PoolShard::*list, PoolShard* mine) noexcept;
  void trim_if_due() noexcept;
  // Trims for so many periods that have ended.
  void trim(int periods) noexcept;
  void end_period(PoolShard* mine, PoolList& dead) noexcept;
  void destroy_all(PoolList& dead) noexcept {
    while (PoolItem* const item = dead.pop_front()) destroy(item);
  }

  const Destroy destroy;
  const rt::Nanos period;
  std::atomic<rt::Nanos> next_trim;
  // Whoever makes it true trims, and passes on what it did by making it false. Until then, the gate and the emptier's
  // part of the slots belong to it.
  std::atomic<bool> trimming{false};
  rt::SlotGate<> gate;
  Sharded<PoolSlot> slots;  // by the machines' numbers
  Sharded<PoolShard> shards;
};

PoolCore::PoolCore(std::chrono::nanoseconds trim_period, Destroy destroy)
    : state_(std::make_unique<State>(trim_period, destroy)) {}

// Nobody else uses the pool any more.
PoolCore::~PoolCore() {
  PoolList dead;
  state_->slots.range([&](PoolSlot& slot) {
    if (PoolItem* const item = slot.empty()) dead.push_front(item);
  });
  // Nobody else uses the lists any more, so they need no lock.
  state_->shards.range([&](PoolShard& shard) WEFT_NO_THREAD_SAFETY_ANALYSIS {
    dead.prepend(shard.fresh);
    dead.prepend(shard.victims);
  });
  state_->destroy_all(dead);
}

PoolItem* PoolCore::take() noexcept {
  State& state = *state_;
  rt::Machine* const machine = rt::current_machine();
  PoolSlot* const slot = state.slot_of(machine);
  PoolItem* item = slot != nullptr ? slot->take(state.gate) : nullptr;
  const bool due = state.due(machine);
  if (item == nullptr) {
    PoolShard* const mine = state.shard();
    item = state.find_in(&PoolShard::fresh, mine);
    if (item == nullptr) item = state.find_in(&PoolShard::victims, mine);
  }
  if (due) [[unlikely]] {
    state.trim_if_due();
  }
  return item;
}

void PoolCore::put(PoolItem* item) noexcept {
  State& state = *state_;
  rt::Machine* machine = rt::current_machine();
  // This comes before the item is in the pool, because the item has just been used.
  if (state.due(machine)) [[unlikely]] {
    state.trim_if_due();
    machine = rt::current_machine();  // destructors may have parked
  }
  PoolSlot* const slot = state.slot_of(machine);
  if (slot != nullptr && slot->put(state.gate, item)) return;
  if (PoolShard* const mine = state.shard()) {
    const LockGuard lock(mine->mutex);
    mine->fresh.push_front(item);
  } else {
    state.destroy(item);
  }
}

void PoolCore::trim() noexcept { state_->trim(1); }

// empty() of a list may be called without the lock, see PoolList. The annotation does not reach through a pointer to a
// member, so that clang is silent here.
PoolItem* PoolCore::State::find_in(PoolList PoolShard::*list, PoolShard* mine) noexcept {
  PoolItem* item = nullptr;
  if (mine != nullptr && !(mine->*list).empty()) {
    const LockGuard lock(mine->mutex);
    item = (mine->*list).pop_front();
  }
  if (item != nullptr) return item;
  shards.range([&](PoolShard& shard) {
    if (item != nullptr || (shard.*list).empty()) return;
    const LockGuard lock(shard.mutex);
    item = (shard.*list).pop_back();
  });
  return item;
}

void PoolCore::State::trim_if_due() noexcept {
  const rt::Nanos t = rt::now();
  rt::Nanos due = next_trim.load(std::memory_order_relaxed);
  if (t < due || !next_trim.compare_exchange_strong(due, rt::saturating_add(t, period), std::memory_order_relaxed))
    return;
  trim(t - due >= period ? 2 : 1);
}

void PoolCore::State::trim(int periods) noexcept {
  // This allocates, so it comes before others are kept off.
  PoolShard* const mine = shard();
  if (trimming.exchange(true, std::memory_order_acquire)) return;
  PoolList dead;
  for (int i = 0; i < periods; ++i) end_period(mine, dead);
  trimming.store(false, std::memory_order_release);
  destroy_all(dead);
}

void PoolCore::State::end_period(PoolShard* mine, PoolList& dead) noexcept {
  PoolList unused;
  if (gate.close()) {
    slots.range([&](PoolSlot& slot) {
      if (PoolItem* const item = slot.empty()) unused.push_front(item);
    });
  }
  gate.open();
  shards.range([&](PoolShard& shard) {
    const LockGuard lock(shard.mutex);
    dead.prepend(shard.victims);
    shard.victims.prepend(shard.fresh);
  });
  if (unused.empty()) return;
  if (mine != nullptr) {
    const LockGuard lock(mine->mutex);
    mine->victims.prepend(unused);
  } else {
    dead.prepend(unused);
  }
}

}  // namespace weft::detail
