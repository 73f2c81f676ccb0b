// GoroutineLocal: a variable of which every goroutine has its own (what thread_local is to threads).
//
//   weft::GoroutineLocal<Arena> arena;                             // at namespace scope, or static
//   weft::GoroutineLocal<int> depth([] { return 1; });             // with a first value other than T()
//
//   void handle() { arena->reset(); }                              // this goroutine's
//
// A value is made when its goroutine first asks for it, and destroyed when the goroutine ends: on the goroutine's own
// stack, after what its function captured, the last made first. A destructor may block, and may use other
// GoroutineLocals; a value that is destroyed already is then made anew, and destroyed again. Children don't inherit
// values (but they inherit labels, see weft/labels.h). Values of goroutines that never end, because main returned
// before them, are not destroyed.
//
// On a plain thread, and in timer callbacks, the value belongs to the thread, and is destroyed when the thread ends.
//
// Thread safety: the variable may be used by all goroutines at the same time. A value belongs to its goroutine, which
// may hand out references to the value while it lives.
// Lifetime: a reference stays valid until the goroutine ends. The variable must be static or outlive whatever uses it.
// Each variable takes a number for ever, so don't make them by the thousand.
// Errors: what T's constructor or the function throws leaves get(), and no value is made. A destructor that throws ends
// the process. More than a thousand values made while a goroutine ends are a fatal error, because they make each other
// for ever.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace weft {

namespace detail {

using LocalDestroy = void (*)(void* value) noexcept;

// Returns the caller's value of that variable; null when the caller has none.
void* find_local(std::uint32_t index) noexcept;
// reserve_local() makes room first, so that nothing can fail between the making of a value and its keeping.
void reserve_local(std::uint32_t index);
void keep_local(std::uint32_t index, void* value, LocalDestroy destroy) noexcept;
// Returns the number of the variable, from 1, which is given at its first use.
std::uint32_t number_local(std::atomic<std::uint32_t>& index) noexcept;

}  // namespace detail

template <typename T>
class GoroutineLocal {
 public:
  constexpr GoroutineLocal() noexcept requires std::is_default_constructible_v<T> : make_([] { return T(); }) {}
  // `make()` returns the first value of each goroutine.
  explicit constexpr GoroutineLocal(T (*make)()) noexcept : make_(make) {}
  GoroutineLocal(const GoroutineLocal&) = delete;
  GoroutineLocal& operator=(const GoroutineLocal&) = delete;

  // Returns the caller's value. Does not block, unless the making of T does.
  T& get();
  T& operator*() { return get(); }
  T* operator->() { return &get(); }

  // Returns the caller's value; null when the caller has not asked for it yet.
  T* find() noexcept;

 private:
  T (*const make_)();
  std::atomic<std::uint32_t> index_{0};  // 0: not used yet
};

// ---------------------------------------------------------------------------------------------------------------------

template <typename T>
T* GoroutineLocal<T>::find() noexcept {
  // Relaxed: the number refers to nothing that somebody else wrote. No slot has number 0.
  return static_cast<T*>(detail::find_local(index_.load(std::memory_order_relaxed)));
}

template <typename T>
T& GoroutineLocal<T>::get() {
  if (T* const value = find()) [[likely]] {
    return *value;
  }
  const std::uint32_t index = detail::number_local(index_);
  T* const value = new T(make_());
  try {
    detail::reserve_local(index);
  } catch (...) {
    delete value;
    throw;
  }
  detail::keep_local(index, value, [](void* kept) noexcept { delete static_cast<T*>(kept); });
  return *value;
}

}  // namespace weft
