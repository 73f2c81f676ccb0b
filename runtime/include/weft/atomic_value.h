// AtomicValue: a value that is replaced as a whole and read from everywhere, such as a configuration or a routing table
// (Go's atomic.Value).
//
//   weft::AtomicValue<Config> config(load_config());
//   auto now = config.load();                               // a std::shared_ptr<const Config>, which keeps this value
//   for (const Route& route : now->routes) offer(route);    // not config.load()->routes, which nobody keeps meanwhile
//   config.update([](Config next) { next.limit = 10; return next; });
//
// Thread safety: every operation may be called from any goroutine or plain thread. A reader gets a whole value, which
// nobody changes any more.
// Lifetime: a value lives until it is replaced and the last pointer to it is gone. Whoever lets go of it last destroys
// it. So a reference into a value needs a pointer with a name: the pointer in `config.load()->limit` is gone at the
// semicolon, and in C++20 a loop over `config.load()->routes` runs without one.
// Blocking: no operation blocks for long. The functions given to update() may park.
// Ordering: the operations on all AtomicValues are sequentially consistent, as Go's atomics are.
// Cost: load() writes to no memory that other processors write to, so it scales with the processors: with two
// processors it does five times the loads of one std::shared_ptr under a mutex (loadtest/micro/weft/shared.cc),
// with one processor as many. A replacement visits the copies of all processors.
//
// How it works. value_ is the value, and version_ counts its replacements; both are written under mutex_. Each
// processor has a shard. The shard has a copy of the pointer and the version of that copy, under the shard's own mutex.
// The copy has a reference count of its own, because all readers of one count would share its cache line.
//   load:     read version_. If the shard's copy has that version, take it. Else copy value_ and its version under
//             mutex_, and put a copy into the shard, if version_, read under the shard's mutex, is still that version.
//   replace:  under mutex_, write value_, then version_. Then, under the mutex of each shard, drop its copy.
// No copy of a replaced value stays in a shard. If a reader puts one there before the replacer comes to the shard, the
// replacer drops it. If the reader comes later, the shard's mutex makes it see the new version_. A shard that the
// replacer did not find was added by a reader who read value_ later.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <weft/detail/spin_mutex.h>
#include <weft/lock_guard.h>
#include <weft/panic.h>
#include <weft/sharded.h>

namespace weft {

namespace detail {

[[noreturn, gnu::cold]] void panic_store_of_nil_value();
[[noreturn, gnu::cold]] void panic_update_of_no_value();

}  // namespace detail

template <typename T>
class AtomicValue {
 public:
  using Pointer = std::shared_ptr<const T>;

  // Holds no value: load() returns null until the first store.
  AtomicValue() = default;
  explicit AtomicValue(T value) { store(std::move(value)); }
  AtomicValue(const AtomicValue&) = delete;
  AtomicValue& operator=(const AtomicValue&) = delete;

  // Returns the current value. When there is no memory for this processor's own copy, the caller shares the common one.
  Pointer load() const noexcept;

  // All functions that replace the value throw Panic("sync/atomic: store of nil value into Value") for a null pointer.
  void store(T value) { store(std::make_shared<const T>(std::move(value))); }
  void store(Pointer value) { swap(std::move(value)); }

  // Replaces the value and returns the one before, null when there was none.
  Pointer swap(T value) { return swap(std::make_shared<const T>(std::move(value))); }
  Pointer swap(Pointer value);

  // Replaces the value and returns true if the value is the object that `expected` points to (null: if there is no
  // value). Else sets `expected` to the current value and returns false.
  bool compare_exchange(Pointer& expected, Pointer desired);

  // Replaces the value by fn(value) and returns the new value. fn takes a const T& and returns a T. It is called again
  // when another replacement came in between. Throws what fn throws, and Panic when there is no value.
  template <typename F>
  Pointer update(F&& fn);

 private:
  struct Shard {
    detail::SpinMutex mutex;
    std::uint64_t version WEFT_GUARDED_BY(mutex) = 0;  // 0: there is no copy
    Pointer copy WEFT_GUARDED_BY(mutex);
  };

  Shard* shard() const noexcept;
  Pointer load_slow(Shard* shard) const noexcept;
  Pointer replace_locked(Pointer value) noexcept WEFT_REQUIRES(mutex_);
  void drop_copies() noexcept;

  std::atomic<std::uint64_t> version_{0};  // 0: there is no value yet
  mutable detail::SpinMutex mutex_;
  Pointer value_ WEFT_GUARDED_BY(mutex_);
  mutable Sharded<Shard> shards_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <typename T>
auto AtomicValue<T>::load() const noexcept -> Pointer {
  Shard* const mine = shard();
  if (mine == nullptr) [[unlikely]] {
    return load_slow(nullptr);
  }
  // seq_cst: readers of several AtomicValues agree on the order of their replacements.
  const std::uint64_t version = version_.load(std::memory_order_seq_cst);
  {
    const LockGuard lock(mine->mutex);
    if (mine->version == version) [[likely]] {
      return mine->copy;
    }
  }
  return load_slow(mine);
}

// Returns the caller's shard; null when there is no memory for it.
template <typename T>
auto AtomicValue<T>::shard() const noexcept -> Shard* {
  try {
    return &shards_.get();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

template <typename T>
[[gnu::noinline]] auto AtomicValue<T>::load_slow(Shard* shard) const noexcept -> Pointer {
  Pointer value;
  std::uint64_t version = 0;
  {
    const LockGuard lock(mutex_);
    value = value_;
    version = version_.load(std::memory_order_seq_cst);  // seq_cst: this load takes the place of the one in load()
  }
  if (version == 0 || shard == nullptr) return value;
  Pointer copy;
  try {
    // The holder keeps the value alive, and has a reference count of its own.
    const auto holder = std::make_shared<const Pointer>(value);
    copy = Pointer(holder, value.get());
  } catch (const std::bad_alloc&) {
    return value;
  }
  const LockGuard lock(shard->mutex);
  if (shard->version < version && version_.load(std::memory_order_relaxed) == version) {
    shard->version = version;
    shard->copy.swap(copy);
  }
  return value;
}

template <typename T>
auto AtomicValue<T>::swap(Pointer value) -> Pointer {
  if (value == nullptr) detail::panic_store_of_nil_value();
  Pointer before;
  {
    const LockGuard lock(mutex_);
    before = replace_locked(std::move(value));
  }
  drop_copies();
  return before;
}

template <typename T>
bool AtomicValue<T>::compare_exchange(Pointer& expected, Pointer desired) {
  if (desired == nullptr) detail::panic_store_of_nil_value();
  Pointer before;  // released when no lock is held
  {
    const LockGuard lock(mutex_);
    if (value_ == expected) {
      before = replace_locked(std::move(desired));
    } else {
      before = std::exchange(expected, value_);
      return false;
    }
  }
  drop_copies();
  return true;
}

template <typename T>
template <typename F>
auto AtomicValue<T>::update(F&& fn) -> Pointer {
  Pointer before = load();
  for (;;) {
    if (before == nullptr) detail::panic_update_of_no_value();
    auto next = std::make_shared<const T>(fn(*before));
    if (compare_exchange(before, next)) return next;
  }
}

template <typename T>
auto AtomicValue<T>::replace_locked(Pointer value) noexcept -> Pointer {
  value_.swap(value);
  // seq_cst: as in load(). Only this function changes version_, under mutex_.
  version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
  return value;
}

template <typename T>
void AtomicValue<T>::drop_copies() noexcept {
  shards_.range([](Shard& shard) {
    Pointer dropped;  // destroyed after the mutex is released
    const LockGuard lock(shard.mutex);
    shard.version = 0;
    shard.copy.swap(dropped);
  });
}

}  // namespace weft
