// Not part of the API: the state behind Chan<T>, SendChan<T> and RecvChan<T>, with its hot path. sync/chan.cc has the
// rest.
//
// Invariants, under `mutex`:
//   - senders and receivers are not both non-empty;
//   - receivers wait only while the buffer is empty, senders only while it is full (with capacity 0 it is both);
//   - after `closed` nobody waits.
// `closed`, `count` and the queues' heads are written under `mutex` alone, and are atomic so that try_send() and
// try_recv() can fail without it. Everything else is touched under `mutex` only; `capacity` never changes.
//
// Elements move from stack to stack: a waiting receiver's node points to its std::optional<T>, a waiting sender's to
// its T. Moves and the destructors of moved-from elements run under `mutex`, which is why T must not throw there, and
// must not block or use the channel there either. wake() is called after the mutex was released.
//
// Failing without the mutex. There must have been one moment between call and return at which the channel was open and
// not ready. Both try forms first load "not ready", then `closed`: a channel never opens again, so if the second load
// says open, it was open at the first. The first load is an acquire, so that the second is not made before it; and
// close() empties the queues, by a release store, after it set `closed`, so that who finds no waiter because of a close
// also finds the channel closed. When try_recv finds it closed, something may have been sent between the two loads, but
// nothing can be any more: a third load tells whether it is drained. Receiving the end of a channel happens after its
// close: `closed` is stored with release, loaded with acquire.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/spin_mutex.h>
#include <weft/detail/wait_queue.h>

namespace weft::detail {

struct ChanCore {
  explicit ChanCore(std::size_t elements) noexcept : capacity(elements) {}

  rt::SpinMutex mutex;
  std::atomic<std::uint32_t> handles{1};
  std::atomic<std::size_t> count{0};  // elements in the buffer
  const std::size_t capacity;
  std::size_t head = 0;  // slot of the oldest element
  std::size_t tail = 0;  // slot of the next one
  WaitQueue receivers;
  std::atomic<bool> closed{false};
  WaitQueue senders;

  bool full() const noexcept {
    return capacity == 0 ? receivers.empty() : count.load(std::memory_order_acquire) == capacity;
  }
  bool empty() const noexcept { return capacity == 0 ? senders.empty() : count.load(std::memory_order_acquire) == 0; }
};

// With core.mutex held, which they release: wait in a queue until an element was taken from, or put into, `element`;
// false when the channel was closed instead.
bool wait_to_send(ChanCore& core, void* element) noexcept;
bool wait_to_recv(ChanCore& core, void* element) noexcept;

void close_chan(ChanCore* core);  // null: panics

[[noreturn, gnu::cold]] void send_on_nil_chan() noexcept;
[[noreturn, gnu::cold]] void recv_on_nil_chan() noexcept;
[[noreturn, gnu::cold]] void panic_send_on_closed_chan();
[[noreturn, gnu::cold]] void panic_chan_size();

enum class TryResult : unsigned char { done, would_block, closed };

template <typename T>
class ChanState : public ChanCore {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a channel's elements are objects");
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a channel moves its elements while two goroutines meet, where an exception would have nowhere to go");

 public:
  // The slots lie behind the state, in one allocation.
  static ChanState* make(std::size_t capacity) {
    constexpr std::size_t kMaxBytes = std::numeric_limits<std::ptrdiff_t>::max();
    if (capacity > (kMaxBytes - kSlotsOffset) / sizeof(T)) panic_chan_size();
    const std::size_t bytes = kSlotsOffset + capacity * sizeof(T);
    void* memory = nullptr;
    if constexpr (kOverAligned) {
      memory = ::operator new(bytes, std::align_val_t(alignof(T)));
    } else {
      memory = ::operator new(bytes);
    }
    return ::new (memory) ChanState(capacity);
  }

  void ref() noexcept { handles.fetch_add(1, std::memory_order_relaxed); }

  void unref() noexcept {
    if (handles.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

  // The last handle destroys what is left in the buffer. Nobody can be waiting: a waiter holds a handle. Not inlined:
  // GCC 12 doesn't know that a count is above one, and would warn of every use of another handle (-Wuse-after-free).
  [[gnu::noinline]] void destroy() noexcept {
    for (std::size_t n = count.load(std::memory_order_relaxed); n > 0; --n) {
      element(head).~T();
      advance(head);
    }
    this->~ChanState();
    if constexpr (kOverAligned) {
      ::operator delete(static_cast<void*>(this), std::align_val_t(alignof(T)));
    } else {
      ::operator delete(static_cast<void*>(this));
    }
  }

  void send(T&& value) {
    mutex.lock();
    const TryResult result = offer(std::move(value));
    if (result == TryResult::done) return;
    if (result == TryResult::would_block && wait_to_send(*this, &value)) return;
    if (result == TryResult::closed) mutex.unlock();
    panic_send_on_closed_chan();
  }

  // Whether a send now would only wait.
  bool send_would_block() const noexcept { return full() && !closed.load(std::memory_order_acquire); }

  bool try_send(T&& value) {
    if (send_would_block()) return false;
    mutex.lock();
    const TryResult result = offer(std::move(value));
    if (result == TryResult::done) return true;
    mutex.unlock();
    if (result == TryResult::closed) panic_send_on_closed_chan();
    return false;
  }

  void recv(std::optional<T>& out) noexcept {
    mutex.lock();
    const TryResult result = take(out);
    if (result == TryResult::done) return;
    if (result == TryResult::closed) {
      mutex.unlock();
    } else {
      wait_to_recv(*this, &out);
    }
  }

  TryResult try_recv(std::optional<T>& out) noexcept {
    if (empty()) {
      if (!closed.load(std::memory_order_acquire)) return TryResult::would_block;
      if (empty()) return TryResult::closed;
    }
    mutex.lock();
    const TryResult result = take(out);
    if (result != TryResult::done) mutex.unlock();
    return result;
  }

 private:
  static constexpr bool kOverAligned = alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  static constexpr std::size_t kSlotsOffset = (sizeof(ChanCore) + alignof(T) - 1) / alignof(T) * alignof(T);

  explicit ChanState(std::size_t elements) noexcept : ChanCore(elements) {}

  void* slot(std::size_t index) noexcept {
    return reinterpret_cast<std::byte*>(this) + kSlotsOffset + index * sizeof(T);
  }
  T& element(std::size_t index) noexcept { return *std::launder(static_cast<T*>(slot(index))); }
  void advance(std::size_t& index) const noexcept { index = index + 1 == capacity ? 0 : index + 1; }

  // With the mutex held. done: the value is moved away and the mutex released; else neither.
  TryResult offer(T&& value) noexcept {
    if (closed.load(std::memory_order_relaxed)) return TryResult::closed;
    if (WaitNode* const receiver = receivers.pop_front()) {
      static_cast<std::optional<T>*>(receiver->element)->emplace(std::move(value));
      release_and_wake(*receiver);
      return TryResult::done;
    }
    const std::size_t n = count.load(std::memory_order_relaxed);
    if (n == capacity) return TryResult::would_block;
    ::new (slot(tail)) T(std::move(value));
    advance(tail);
    count.store(n + 1, std::memory_order_relaxed);
    mutex.unlock();
    return TryResult::done;
  }

  // With the mutex held. done: `out` has the value and the mutex is released; else neither.
  TryResult take(std::optional<T>& out) noexcept {
    const std::size_t n = count.load(std::memory_order_relaxed);
    if (n != 0) {
      T& oldest = element(head);
      out.emplace(std::move(oldest));
      oldest.~T();  // NOLINT(bugprone-use-after-move): a moved-from element is destroyed all the same
      advance(head);
      if (WaitNode* const sender = senders.pop_front()) {
        // The buffer was full: the slot that was freed is the next one to fill.
        ::new (slot(tail)) T(std::move(*static_cast<T*>(sender->element)));
        advance(tail);
        release_and_wake(*sender);
      } else {
        count.store(n - 1, std::memory_order_relaxed);
        mutex.unlock();
      }
      return TryResult::done;
    }
    if (WaitNode* const sender = senders.pop_front()) {
      out.emplace(std::move(*static_cast<T*>(sender->element)));
      release_and_wake(*sender);
      return TryResult::done;
    }
    return closed.load(std::memory_order_relaxed) ? TryResult::closed : TryResult::would_block;
  }

  void release_and_wake(WaitNode& node) noexcept {
    node.success = true;
    const WaitToken token = node.token;
    mutex.unlock();
    wake(token);
  }
};

// A counted pointer to a ChanState, or null: what the handles hold.
template <typename T>
class ChanRef {
 public:
  ChanRef() noexcept = default;
  explicit ChanRef(ChanState<T>* adopted) noexcept : state_(adopted) {}
  ChanRef(const ChanRef& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->ref();
  }
  ChanRef(ChanRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  ChanRef& operator=(ChanRef other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~ChanRef() {
    if (state_ != nullptr) state_->unref();
  }

  ChanState<T>* get() const noexcept { return state_; }

  void send(T&& value) const {
    if (state_ == nullptr) send_on_nil_chan();
    state_->send(std::move(value));
  }
  std::optional<T> recv() const noexcept {
    if (state_ == nullptr) recv_on_nil_chan();
    std::optional<T> value;
    state_->recv(value);
    return value;
  }
  bool try_send(T&& value) const { return state_ != nullptr && state_->try_send(std::move(value)); }
  // Copies only when there seems to be room.
  bool try_send(const T& value) const {
    return state_ != nullptr && !state_->send_would_block() && state_->try_send(T(value));
  }
  TryResult try_recv(std::optional<T>& out) const noexcept {
    return state_ != nullptr ? state_->try_recv(out) : TryResult::would_block;
  }
  std::size_t size() const noexcept { return state_ != nullptr ? state_->count.load(std::memory_order_acquire) : 0; }
  std::size_t capacity() const noexcept { return state_ != nullptr ? state_->capacity : 0; }

  friend bool operator==(const ChanRef&, const ChanRef&) noexcept = default;

 private:
  ChanState<T>* state_ = nullptr;
};

}  // namespace weft::detail
