#include "weft/goroutine_local.h"

#include "runtime/src/base/fatal.h"
#include "runtime/src/control/local_table.h"
#include "runtime/src/sched/go.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/machine.h"

namespace weft {
namespace rt {

void LocalTable::destroy_all() noexcept {
  ending_ = 1;
  while (newest_ != 0) {
    if (made_while_ending_ > kMostMadeWhileEnding) {
      fatal(
          "destructors of GoroutineLocal values make each other's values for ever: one of them must use find() instead "
          "of "
          "get()");
    }
    // The value leaves the table before it is destroyed, because its destructor may ask for it.
    const Slot slot = slots_[newest_];
    slots_[newest_] = {};
    newest_ = slot.older;
    slot.destroy(slot.value);
  }
}

namespace {

// It is a plain pointer, so that it may be read however late in the thread's end.
thread_local LocalTable* threads_table = nullptr;

struct ThreadEnd {
  ~ThreadEnd() {
    threads_table->destroy_all();
    delete threads_table;
    threads_table = nullptr;
  }
};

// Not inlined: current_machine() says why. It is called on a plain thread, or on a machine's own stack.
[[gnu::noinline]] LocalTable*& table_of_thread() noexcept {
  asm volatile("");
  return threads_table;
}

void destroy_when_thread_ends() { thread_local const ThreadEnd end; }

// Returns the caller's table; null when it has none yet.
LocalTable* table() noexcept {
  const G* const g = current_goroutine();
  return g != nullptr ? static_cast<LocalTable*>(g->locals) : table_of_thread();
}

}  // namespace
}  // namespace rt

namespace detail {

void* find_local(std::uint32_t index) noexcept {
  const rt::LocalTable* const table = rt::table();
  return table == nullptr ? nullptr : table->find(index);
}

void reserve_local(std::uint32_t index) {
  rt::LocalTable* table = rt::table();
  if (table == nullptr) {
    table = new rt::LocalTable;
    if (rt::G* const g = rt::current_goroutine()) {
      g->locals = table;
    } else {
      rt::table_of_thread() = table;
      rt::destroy_when_thread_ends();
    }
  }
  table->reserve(index);
}

void keep_local(std::uint32_t index, void* value, LocalDestroy destroy) noexcept {
  rt::table()->keep(index, value, destroy);
}

std::uint32_t number_local(std::atomic<std::uint32_t>& index) noexcept {
  static std::atomic<std::uint32_t> last{0};
  std::uint32_t number = index.load(std::memory_order_relaxed);
  if (number != 0) return number;
  const std::uint32_t mine = last.fetch_add(1, std::memory_order_relaxed) + 1;
  // When two use the variable for the first time, one wins, and the other's number is lost.
  return index.compare_exchange_strong(number, mine, std::memory_order_relaxed, std::memory_order_relaxed) ? mine
                                                                                                           : number;
}

}  // namespace detail
}  // namespace weft
