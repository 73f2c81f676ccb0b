// G: a goroutine. It lies in the top page of its own stack, above the closure it runs.
//
// state (sched/state_word.h) is one word that the goroutine's owner and its wakers change step by step.
//
// Other fields: `link` belongs to the queue or pool that holds the G. `fiber` and `closure` belong to the machine that
// runs the G, `locals` to the goroutine itself. What dumps read (id, parent, creator, labels, reason, since) is atomic
// and may be a moment old.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "runtime/src/arch/fiber_switch.h"
#include "runtime/src/sched/label_slot.h"
#include "runtime/src/sched/lease.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sched/state_word.h"
#include "weft/go.h"

namespace weft::rt {

class BubbleHooks;
class GoroutineLocals;
class Machine;
class StackPool;

struct G : StateWord<> {
  G* link = nullptr;
  // The bubble that the goroutine is a member of (time/bubble.h). The spawner writes it, before the goroutine runs, and
  // the bubble's root writes its own. The field lies beside the state, which wakers have at hand.
  std::atomic<BubbleHooks*> bubble{nullptr};
  Fiber fiber;
  detail::ClosureEntry entry = nullptr;
  void* closure = nullptr;
  char* stack_low = nullptr;
  std::uint32_t thread_locks = 0;         // lock_os_thread() calls not undone; the goroutine's own
  std::atomic<Machine*> locked{nullptr};  // the only machine that may run it; null: any
  std::atomic<Mode> mode{Mode::user};     // blocking inside blocking(); the mode of its machine while it runs
  GoroutineLocals* locals = nullptr;      // goroutine-local values, made with the first of them; the goroutine's own
  detail::AfterEnd after_end;             // written by the spawner, called by the machine that ran the goroutine
  StackPool* pool = nullptr;              // where the slot belongs; never changes
  G* next_list = nullptr;                 // the pool's, which keeps lists of idle Gs

  // Sets who the goroutine is. The spawner zeroes id, writes the rest (release), and writes the new id last (release).
  // A dump reads id (acquire), the rest (acquire), and id again. If id has kept its value, everything in between
  // belongs to that goroutine: whoever reads a new field also sees the zero, or what came after the zero.
  void set_identity(std::uint64_t new_id, std::uint64_t parent, const SourceLocation& where, Labels carried) noexcept {
    id.store(0, std::memory_order_relaxed);
    parent_id.store(parent, std::memory_order_release);
    creator_file.store(where.file, std::memory_order_release);
    creator_function.store(where.function, std::memory_order_release);
    creator_line.store(where.line, std::memory_order_release);
    if (!carried.empty()) labels.set(std::move(carried));
    id.store(new_id, std::memory_order_release);
  }
  SourceLocation creator() const noexcept {
    return {creator_file.load(std::memory_order_acquire), creator_function.load(std::memory_order_acquire),
            creator_line.load(std::memory_order_acquire)};
  }

  std::atomic<std::uint64_t> id{0};
  std::atomic<std::uint64_t> parent_id{0};
  std::atomic<const char*> creator_file{""};
  std::atomic<const char*> creator_function{""};
  std::atomic<std::uint32_t> creator_line{0};  // 0: main, which nobody created
  weft::detail::LabelSlot labels;
  std::atomic<WaitReason> reason{WaitReason::none};  // of its last park; none: it has not parked yet
  bool is_branch = false;                            // somebody started it who had not parked yet
  std::atomic<std::int64_t> since{0};  // steady clock, ns: when it parked, to the precision of its processor's clock
};

// Returns what the public API calls that state; dead counts as runnable.
inline GoroutineState goroutine_state(Status status, Mode mode) noexcept {
  switch (status) {
    case Status::running:
      return mode == Mode::blocking ? GoroutineState::syscall : GoroutineState::running;
    case Status::waiting:
      return GoroutineState::waiting;
    case Status::dead:
    case Status::runnable:
      break;
  }
  return GoroutineState::runnable;
}

// A list of Gs through G::link, first in first out.
class GList {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  std::size_t size() const noexcept { return size_; }

  void push_back(G* g) noexcept {
    g->link = nullptr;
    if (tail_ != nullptr) {
      tail_->link = g;
    } else {
      head_ = g;
    }
    tail_ = g;
    ++size_;
  }
  G* pop_front() noexcept {
    G* const g = head_;
    if (g != nullptr) {
      head_ = g->link;
      if (head_ == nullptr) tail_ = nullptr;
      --size_;
    }
    return g;
  }
  void append(GList& other) noexcept {
    if (other.empty()) return;
    if (tail_ != nullptr) {
      tail_->link = other.head_;
    } else {
      head_ = other.head_;
    }
    tail_ = other.tail_;
    size_ += other.size_;
    other = GList();
  }

 private:
  G* head_ = nullptr;
  G* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weft::rt
