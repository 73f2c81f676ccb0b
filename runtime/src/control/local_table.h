// LocalTable: the goroutine-local values of one goroutine or plain thread, by the variable's number. Only its owner
// touches it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/src/sched/goroutine_locals.h"
#include "weft/goroutine_local.h"

namespace weft::rt {

class LocalTable final : public GoroutineLocals {
 public:
  LocalTable() = default;
  LocalTable(const LocalTable&) = delete;
  LocalTable& operator=(const LocalTable&) = delete;

  void* find(std::uint32_t index) const noexcept { return index < slots_.size() ? slots_[index].value : nullptr; }
  void reserve(std::uint32_t index) {
    if (index >= slots_.size()) slots_.resize(index + 1);
  }
  // Keeps a value in its slot, which is reserved and empty.
  void keep(std::uint32_t index, void* value, detail::LocalDestroy destroy) noexcept {
    slots_[index] = {value, destroy, newest_};
    newest_ = index;
    made_while_ending_ += ending_;
  }

  // Destroys the values, the newest first, until there is none: a destructor may make more. It runs on the owner's
  // stack.
  void destroy_all() noexcept override;

 private:
  // The number of values that all destructors together may make anew. More than that would have no end.
  static constexpr std::size_t kMostMadeWhileEnding = 1000;

  struct Slot {
    void* value = nullptr;
    detail::LocalDestroy destroy = nullptr;
    std::uint32_t older = 0;  // the value made before this one; 0: none
  };

  std::vector<Slot> slots_;  // slot 0 stays empty
  std::uint32_t newest_ = 0;
  std::size_t ending_ = 0;  // 1 in destroy_all()
  std::size_t made_while_ending_ = 0;
};

}  // namespace weft::rt
