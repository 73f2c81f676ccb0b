// Not part of the API: the state behind Chan<T>, SendChan<T> and RecvChan<T>, with its hot path. sync/chan.cc has the
// rest, and weft/detail/select_core.h has what waits on several channels.
//
// Invariants, under `mutex`:
//   - receivers wait only while the buffer is empty, senders only while it is full (with capacity 0 it is both);
//   - senders and receivers that can still be woken are never there together, except those of one select;
//   - after `closed` is set, nobody waits.
// `closed`, `count` and the queues' heads are written under `mutex` alone. They are atomic so that try_send() and
// try_recv() can fail without it. Everything else is touched under `mutex` only; `capacity` and `timer` never change.
//
// Elements move from stack to stack: a waiting receiver's node points to its std::optional<T>, a waiting sender's to
// its T. Elements are moved, and moved-from elements destroyed, under `mutex`. That is why T must not throw there, and
// must not block or use the channel there either. wake() is called after the mutex was released.
//
// Failing without the mutex. There must have been one moment between call and return at which the channel was open and
// not ready. Both try functions first load "not ready", then `closed`. A channel never opens again, so if the second
// load says open, the channel was open at the first. The first load is an acquire, so that the second is not made
// before it. close() sets `closed` and then empties the queues by a release store, so that whoever finds no waiter
// because of a close also finds the channel closed. When try_recv() finds the channel closed, something may have been
// sent between its two loads, but nothing can be sent any more: a third load tells whether the channel is drained. A
// close happens before a receive of the channel's end, because `closed` is stored with release and loaded with acquire.
// (The node of a select that is over may still be queued. Then a try function takes the mutex and finds nobody.)
//
// A timer's channel (time/chan_timer.h) has a buffer of one, which nobody may see, because its tick can be taken back.
// Whether the tick is due is looked at when somebody receives; the timer runs only while somebody waits.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/detail/spin_mutex.h>
#include <weft/detail/wait_queue.h>

namespace weft::detail {

template <typename Policy>
struct BasicChanCore {
  using Node = BasicWaitNode<typename Policy::Waits>;
  using Waiter = typename Policy::Waiter;

  BasicChanCore(std::size_t elements, typename Policy::Timer* ticks) noexcept : capacity(elements), timer(ticks) {}

  typename Policy::Mutex mutex;
  typename Policy::template Atomic<std::uint32_t> handles{1};
  typename Policy::template Atomic<std::size_t> count{0};  // elements in the buffer
  const std::size_t capacity;
  typename Policy::Timer* const timer;          // null for all but timers' channels
  std::size_t head WEFT_GUARDED_BY(mutex) = 0;  // slot of the oldest element
  std::size_t tail WEFT_GUARDED_BY(mutex) = 0;  // slot for the next element
  BasicWaitQueue<typename Policy::Waits> receivers;
  typename Policy::template Atomic<bool> closed{false};
  BasicWaitQueue<typename Policy::Waits> senders;

  bool full() const noexcept {
    return capacity == 0 ? receivers.empty() : count.load(std::memory_order_acquire) == capacity;
  }
  bool empty() const noexcept { return capacity == 0 ? senders.empty() : count.load(std::memory_order_acquire) == 0; }

  // Return whether a send, or a receive, would only wait: there was one moment between call and return at which it
  // would.
  bool send_would_block() const noexcept { return full() && !closed.load(std::memory_order_acquire); }
  bool recv_would_block() const noexcept {
    return timer == nullptr && empty() && !closed.load(std::memory_order_acquire);
  }

  // Closes the channel; the caller does not hold the mutex. Returns false when the channel was closed before.
  bool close() noexcept {
    mutex.lock();
    if (closed.load(std::memory_order_relaxed)) {
      mutex.unlock();
      return false;
    }
    closed.store(true, std::memory_order_release);
    // `success` of their nodes stays false: receivers return nothing, senders panic.
    Node* const claimed_receivers = receivers.claim_all();
    Node* const claimed_senders = senders.claim_all();
    mutex.unlock();
    wake_all(claimed_receivers);
    wake_all(claimed_senders);
    return true;
  }
};

struct ChanTimer;

struct ChanPolicy : WaitPolicy {
  using Waits = WaitPolicy;
  using Timer = ChanTimer;

  // Called with core.mutex held, which they release. They wait in a queue until an element was taken from `element`, or
  // put into it. They return false when the channel was closed instead.
  static bool wait_to_send(BasicChanCore<ChanPolicy>& core, void* element) noexcept WEFT_RELEASE(core.mutex);
  static bool wait_to_recv(BasicChanCore<ChanPolicy>& core, void* element) noexcept WEFT_RELEASE(core.mutex);

  // Called with the mutex of a timer's channel held. Puts a tick that is due into the buffer, if nobody waits.
  static void look_at_timer(BasicChanCore<ChanPolicy>& core) noexcept WEFT_REQUIRES(core.mutex);
  // Lets the timer run if somebody waits, and only then.
  static void run_timer_for_waiters(BasicChanCore<ChanPolicy>& core) noexcept WEFT_REQUIRES(core.mutex);
  // Called when nobody has the channel any more.
  static void end_timer(BasicChanCore<ChanPolicy>& core) noexcept;

  // For select. random_below() returns a uniformly random number below n. block_select() is the wait of a goroutine
  // that has queued `nodes`; unlock(arg) releases what the goroutine holds, as soon as it may be woken.
  static std::uint32_t random_below(std::uint32_t n) noexcept;
  static void block_select(std::span<WaitNode> nodes, bool (*unlock)(void* arg), void* arg) noexcept;
  [[noreturn]] static void block_forever() noexcept;  // a select of nothing

  [[noreturn, gnu::cold]] static void panic_send_on_closed();
};

using ChanCore = BasicChanCore<ChanPolicy>;

void close_chan(ChanCore* core);  // null: panics

[[noreturn, gnu::cold]] void send_on_nil_chan() noexcept;
[[noreturn, gnu::cold]] void recv_on_nil_chan() noexcept;
[[noreturn, gnu::cold]] void panic_chan_size();

enum class TryResult : unsigned char { done, would_block, closed };

template <typename T, typename Policy>
class BasicChanState : public BasicChanCore<Policy> {
  using Core = BasicChanCore<Policy>;
  using Node = typename Core::Node;

  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a channel's elements are objects");
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a channel moves its elements while two goroutines meet, where an exception would have nowhere to go");

 public:
  using Waiter = typename Core::Waiter;
  using Core::capacity;
  using Core::closed;
  using Core::count;
  using Core::empty;
  using Core::handles;
  using Core::head;
  using Core::mutex;
  using Core::receivers;
  using Core::senders;
  using Core::tail;
  using Core::timer;

  // Makes a channel. Its slots lie after the state, in the same allocation.
  static BasicChanState* make(std::size_t capacity) {
    constexpr std::size_t kMaxBytes = std::numeric_limits<std::ptrdiff_t>::max();
    if (capacity > (kMaxBytes - kSlotsOffset) / sizeof(T)) panic_chan_size();
    const std::size_t bytes = kSlotsOffset + capacity * sizeof(T);
    void* memory = nullptr;
    if constexpr (kOverAligned) {
      memory = ::operator new(bytes, std::align_val_t(alignof(T)));
    } else {
      memory = ::operator new(bytes);
    }
    return make_in(memory, capacity, nullptr);
  }

  // Makes a channel in memory from operator new that has room for the slots after the state. `ticks`, if there is any,
  // lies in that memory too.
  static BasicChanState* make_in(void* memory, std::size_t capacity, typename Policy::Timer* ticks) noexcept {
    return ::new (memory) BasicChanState(capacity, ticks);
  }
  static constexpr std::size_t bytes_for(std::size_t capacity) noexcept { return kSlotsOffset + capacity * sizeof(T); }

  void ref() noexcept { handles.fetch_add(1, std::memory_order_relaxed); }

  void unref() noexcept {
    if (handles.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

  // The last handle destroys what is left in the buffer. Nobody can be waiting, because a waiter holds a handle. Not
  // inlined: GCC 12 doesn't know that a count is above one, and would warn of every use of another handle
  // (-Wuse-after-free).
  [[gnu::noinline]] void destroy() noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS {
    if (timer != nullptr) Policy::end_timer(*this);
    clear_buffer();
    this->~BasicChanState();
    if constexpr (kOverAligned) {
      ::operator delete(static_cast<void*>(this), std::align_val_t(alignof(T)));
    } else {
      ::operator delete(static_cast<void*>(this));
    }
  }

  void send(T&& value) {
    mutex.lock();
    Waiter partner{};
    const TryResult result = offer(std::move(value), partner);
    if (result == TryResult::would_block) {
      if (Policy::wait_to_send(*this, &value)) return;
      Policy::panic_send_on_closed();
    }
    mutex.unlock();
    if (partner) Policy::wake(partner);
    if (result == TryResult::closed) Policy::panic_send_on_closed();
  }

  bool try_send(T&& value) {
    if (this->send_would_block()) return false;
    mutex.lock();
    Waiter partner{};
    const TryResult result = offer(std::move(value), partner);
    mutex.unlock();
    if (partner) Policy::wake(partner);
    if (result == TryResult::closed) Policy::panic_send_on_closed();
    return result == TryResult::done;
  }

  void recv(std::optional<T>& out) noexcept {
    mutex.lock();
    if (timer != nullptr) [[unlikely]] {
      Policy::look_at_timer(*this);
    }
    Waiter partner{};
    if (take(out, partner) == TryResult::would_block) {
      Policy::wait_to_recv(*this, &out);
      return;
    }
    mutex.unlock();
    if (partner) Policy::wake(partner);
  }

  TryResult try_recv(std::optional<T>& out) noexcept {
    if (timer == nullptr && empty()) {
      if (!closed.load(std::memory_order_acquire)) return TryResult::would_block;
      if (empty()) return TryResult::closed;
    }
    mutex.lock();
    if (timer != nullptr) [[unlikely]] {
      Policy::look_at_timer(*this);
    }
    Waiter partner{};
    const TryResult result = take(out, partner);
    mutex.unlock();
    if (partner) Policy::wake(partner);
    return result;
  }

  // Called with the mutex held. `done` means that the value is moved away. If it went to a waiting receiver, `partner`
  // is that receiver, who is to be woken after the mutex is released.
  TryResult offer(T&& value, Waiter& partner) noexcept WEFT_REQUIRES(this->mutex) {
    if (closed.load(std::memory_order_relaxed)) return TryResult::closed;
    if (Node* const receiver = receivers.claim_front()) {
      static_cast<std::optional<T>*>(receiver->element)->emplace(std::move(value));
      partner = satisfy(*receiver);
      return TryResult::done;
    }
    const std::size_t n = count.load(std::memory_order_relaxed);
    if (n == capacity) return TryResult::would_block;
    ::new (slot(tail)) T(std::move(value));
    advance(tail);
    count.store(n + 1, std::memory_order_relaxed);
    return TryResult::done;
  }

  // Called with the mutex held. `done` means that `out` has the value; `partner` is then the waiting sender, if there
  // was one.
  TryResult take(std::optional<T>& out, Waiter& partner) noexcept WEFT_REQUIRES(this->mutex) {
    const std::size_t n = count.load(std::memory_order_relaxed);
    if (n != 0) {
      T& oldest = element(head);
      out.emplace(std::move(oldest));
      oldest.~T();  // NOLINT(bugprone-use-after-move): a moved-from element is destroyed all the same
      advance(head);
      if (Node* const sender = senders.claim_front()) {
        // The buffer was full: the slot that was freed is the next one to fill.
        ::new (slot(tail)) T(std::move(*static_cast<T*>(sender->element)));
        advance(tail);
        partner = satisfy(*sender);
      } else {
        count.store(n - 1, std::memory_order_relaxed);
      }
      return TryResult::done;
    }
    if (Node* const sender = senders.claim_front()) {
      out.emplace(std::move(*static_cast<T*>(sender->element)));
      partner = satisfy(*sender);
      return TryResult::done;
    }
    return closed.load(std::memory_order_relaxed) ? TryResult::closed : TryResult::would_block;
  }

  // Called with the mutex held. Destroys what is in the buffer.
  void clear_buffer() noexcept WEFT_REQUIRES(this->mutex) {
    for (std::size_t n = count.load(std::memory_order_relaxed); n > 0; --n) {
      element(head).~T();
      advance(head);
    }
    count.store(0, std::memory_order_relaxed);
  }

 private:
  static constexpr bool kOverAligned = alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  static constexpr std::size_t kSlotsOffset = (sizeof(Core) + alignof(T) - 1) / alignof(T) * alignof(T);

  BasicChanState(std::size_t elements, typename Policy::Timer* ticks) noexcept : Core(elements, ticks) {}

  void* slot(std::size_t index) noexcept {
    return reinterpret_cast<std::byte*>(this) + kSlotsOffset + index * sizeof(T);
  }
  T& element(std::size_t index) noexcept { return *std::launder(static_cast<T*>(slot(index))); }
  void advance(std::size_t& index) const noexcept { index = index + 1 == capacity ? 0 : index + 1; }

  static Waiter satisfy(Node& node) noexcept {
    node.success = true;
    return node.waiter;
  }
};

template <typename T>
using ChanState = BasicChanState<T, ChanPolicy>;

// A counted pointer to a ChanState, or null. The handles hold one.
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

  static ChanRef share(ChanState<T>* state) noexcept {
    if (state != nullptr) state->ref();
    return ChanRef(state);
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
  // Copies the value only when there seems to be room.
  bool try_send(const T& value) const {
    return state_ != nullptr && !state_->send_would_block() && state_->try_send(T(value));
  }
  TryResult try_recv(std::optional<T>& out) const noexcept {
    return state_ != nullptr ? state_->try_recv(out) : TryResult::would_block;
  }
  std::size_t size() const noexcept { return buffered() ? state_->count.load(std::memory_order_acquire) : 0; }
  std::size_t capacity() const noexcept { return buffered() ? state_->capacity : 0; }

  friend bool operator==(const ChanRef&, const ChanRef&) noexcept = default;

 private:
  // A timer's channel shows no buffer.
  bool buffered() const noexcept { return state_ != nullptr && state_->timer == nullptr; }

  ChanState<T>* state_ = nullptr;
};

}  // namespace weft::detail
