// AtomicValue: a value that is replaced as a whole and read from everywhere: configuration, routing tables (Go's
// atomic.Value).
//
//   weft::AtomicValue<Config> config(load_config());
//   auto now = config.load();                               // a std::shared_ptr<const Config>: this one, for as long as kept
//   for (const Route& route : now->routes) offer(route);    // not config.load()->routes, which nobody keeps meanwhile
//   config.update([](Config next) { next.limit = 10; return next; });
//
// Thread safety: every operation from any goroutine or plain thread. Who reads gets a whole value, which nobody changes any
// more.
// Lifetime: a value lives until it is replaced and the last pointer to it is gone; it is destroyed by whoever lets go last.
// So references into it need a pointer with a name: that of `config.load()->limit` is gone at the semicolon, and in C++20 a
// loop over `config.load()->routes` runs without it.
// Blocking: never for long; the functions given to update() may park.
// Ordering: the operations on all AtomicValues are sequentially consistent, as Go's atomics are.
// Cost: load() writes to no memory that other processors write to, so it scales with them: at two processors five times
// the loads of one std::shared_ptr under a mutex (loadtest/micro/atomic_value_bench.cc), at one as many. A replacement visits
// the copies of all processors.
//
// How. value_ is the value, version_ counts its replacements; both are written under mutex_. Each processor has a shard
// with a copy of the pointer and the version that it is of, under the shard's own mutex. The copy has a reference count of
// its own, since all readers of one count would share its cache line.
//   load:     read version_; the shard's copy is of that version: take it. Else copy value_ and its version under mutex_,
//             and put a copy into the shard, if under the shard's mutex version_ is still that one.
//   replace:  under mutex_, write value_, then version_; then, under the mutex of each shard, drop its copy.
// No copy of a replaced value stays behind. If a reader puts it into the shard before the replacer comes there, the replacer
// drops it; if after, the shard's mutex makes the reader see the new version_. A shard that the replacer did not find was
// added by a reader who looked at value_ later.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

#include <weft/detail/spin_mutex.h>
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

  // Without a value: load() returns null until the first store.
  AtomicValue() = default;
  explicit AtomicValue(T value) { store(std::move(value)); }
  AtomicValue(const AtomicValue&) = delete;
  AtomicValue& operator=(const AtomicValue&) = delete;

  // The value that is there now. Where there is no memory for this processor's copy it shares one.
  Pointer load() const noexcept;

  // All that replace throw Panic("sync/atomic: store of nil value into Value") for a null pointer.
  void store(T value) { store(std::make_shared<const T>(std::move(value))); }
  void store(Pointer value) { swap(std::move(value)); }

  // Replaces the value and returns the one before, null when there was none.
  Pointer swap(T value) { return swap(std::make_shared<const T>(std::move(value))); }
  Pointer swap(Pointer value);

  // Replaces the value if it is the object that `expected` points to (null: if there is none) and returns true. Else makes
  // `expected` the one that is there and returns false.
  bool compare_exchange(Pointer& expected, Pointer desired);

  // Replaces the value by fn(value), which is given a const T& and returns a T, and returns the new one. fn is called again
  // when another replacement came in between. Throws what fn throws, and Panic when there is no value.
  template <typename F>
  Pointer update(F&& fn);

 private:
  struct Shard {
    rt::SpinMutex mutex;
    std::uint64_t version = 0;  // 0: none
    Pointer copy;
  };

  Shard* shard() const noexcept;
  Pointer load_slow(Shard* shard) const noexcept;
  Pointer replace_locked(Pointer value) noexcept;
  void drop_copies() noexcept;

  std::atomic<std::uint64_t> version_{0};  // 0: there is no value yet
  mutable rt::SpinMutex mutex_;
  Pointer value_;
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
    const std::lock_guard lock(mine->mutex);
    if (mine->version == version) [[likely]] {
      return mine->copy;
    }
  }
  return load_slow(mine);
}

// The caller's; null when there is no memory for it.
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
    const std::lock_guard lock(mutex_);
    value = value_;
    version = version_.load(std::memory_order_seq_cst);  // seq_cst: as in load(), which this takes the place of
  }
  if (version == 0 || shard == nullptr) return value;
  Pointer copy;
  try {
    // Keeps the value, and is counted by itself.
    const auto holder = std::make_shared<const Pointer>(value);
    copy = Pointer(holder, value.get());
  } catch (const std::bad_alloc&) {
    return value;
  }
  const std::lock_guard lock(shard->mutex);
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
    const std::lock_guard lock(mutex_);
    before = replace_locked(std::move(value));
  }
  drop_copies();
  return before;
}

template <typename T>
bool AtomicValue<T>::compare_exchange(Pointer& expected, Pointer desired) {
  if (desired == nullptr) detail::panic_store_of_nil_value();
  Pointer before;  // released without locks
  {
    const std::lock_guard lock(mutex_);
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
  // seq_cst: as in load(). Only this changes it, under mutex_.
  version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
  return value;
}

template <typename T>
void AtomicValue<T>::drop_copies() noexcept {
  shards_.range([](Shard& shard) {
    Pointer dropped;  // goes when the mutex is free
    const std::lock_guard lock(shard.mutex);
    shard.version = 0;
    shard.copy.swap(dropped);
  });
}

}  // namespace weft
