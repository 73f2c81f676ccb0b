// Channels: Chan<T>, and its directional views SendChan<T> and RecvChan<T> (Go's channel types).
//
//   auto jobs = weft::make_chan<int>(16);
//   weft::go([=] { for (int job : jobs) work(job); });     // until closed and drained
//   jobs.send(1);
//   jobs.close();
//
// A handle names a channel that all its copies share; capture it by value. A default-constructed handle is Go's nil
// channel: it is never ready, so send and recv on it block for ever.
//
// Thread safety: every operation may be called from any goroutine and any plain thread. One handle object that several
// threads use while one of them assigns to it needs a lock, as a std::shared_ptr does.
// Lifetime: the channel goes with its last handle. Elements that are still in it are destroyed then.
// Blocking: send and recv park the calling goroutine (a plain thread sleeps); the other operations don't block.
// Cancellation: close() ends a wait; in a select, so does a context or a timeout (weft/select.h). Waiters are served in
// the order in which they came.
// Elements: objects whose move constructor and destructor don't throw and don't block. They are moved from the sender's
// stack to the receiver's when one of the two waits, else through the buffer.
// Ordering: a send happens before the receive of its value returns. A close happens before the receive that finds the
// channel closed. The k-th receive from a channel of capacity C happens before the (k+C)-th send returns.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

#include <weft/detail/chan_core.h>
#include <weft/panic.h>

namespace weft {

template <typename T>
class SendChan;
template <typename T>
class RecvChan;

namespace detail {
struct ChanAccess;
}

// What try_recv() found: a value, or none because nothing is there now, or none because nothing will ever come.
template <typename T>
struct TryRecv : std::optional<T> {
  bool closed = false;  // true only without a value: the channel is closed and drained
};

// Iterates over the received values until the channel is closed and drained. Values are handed out by move.
template <typename T>
class ChanIterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;

  explicit ChanIterator(detail::ChanRef<T> chan) : chan_(std::move(chan)), value_(chan_.recv()) {}

  T&& operator*() const noexcept { return std::move(*value_); }
  ChanIterator& operator++() {
    value_.reset();
    if (std::optional<T> next = chan_.recv()) value_.emplace(*std::move(next));
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const ChanIterator& it, std::default_sentinel_t) noexcept { return !it.value_; }

 private:
  detail::ChanRef<T> chan_;
  mutable std::optional<T> value_;
};

template <typename T>
class Chan {
 public:
  using value_type = T;

  Chan() noexcept = default;  // the nil channel
  explicit operator bool() const noexcept { return chan_.get() != nullptr; }

  // Returns when a receiver has taken the value or the buffer holds it. Throws Panic("send on closed channel"), also
  // when the channel is closed while the send waits; the value is lost then.
  void send(T value) const { chan_.send(std::move(value)); }

  // Returns the next value. When the channel is closed and drained, returns nothing, without waiting.
  std::optional<T> recv() const { return chan_.recv(); }

  // Sends if that is possible without waiting, and returns whether it was; if it was not, `value` stays as it is.
  // Panics on a closed channel.
  bool try_send(T&& value) const { return chan_.try_send(std::move(value)); }
  bool try_send(const T& value) const requires std::copy_constructible<T> { return chan_.try_send(value); }

  // Receives if that is possible without waiting.
  TryRecv<T> try_recv() const {
    TryRecv<T> result;
    result.closed = chan_.try_recv(result) == detail::TryResult::closed;
    return result;
  }

  // Closes the channel: nothing more can be sent, and receivers get what is in the buffer, then nothing. Wakes
  // everybody who waits; blocked senders panic. Throws Panic("close of closed channel") and Panic("close of nil
  // channel").
  void close() const { detail::close_chan(chan_.get()); }

  // Return the number of elements in the buffer, and how many it can hold; 0 for the nil channel.
  std::size_t size() const noexcept { return chan_.size(); }
  std::size_t capacity() const noexcept { return chan_.capacity(); }

  ChanIterator<T> begin() const { return ChanIterator<T>(chan_); }
  std::default_sentinel_t end() const noexcept { return {}; }

  // Handles of the same channel are equal.
  friend bool operator==(const Chan&, const Chan&) noexcept = default;

 private:
  template <typename U>
  friend Chan<U> make_chan(std::size_t capacity);
  friend class SendChan<T>;
  friend class RecvChan<T>;
  friend detail::ChanAccess;

  explicit Chan(detail::ChanState<T>* adopted) noexcept : chan_(adopted) {}

  detail::ChanRef<T> chan_;
};

// Makes a new channel. With capacity 0, a send waits until a receiver takes the value. Throws Panic("makechan: size out
// of range") for more than memory can hold (a negative number is such a size), and std::bad_alloc when there is no
// memory.
template <typename T>
[[nodiscard]] Chan<T> make_chan(std::size_t capacity = 0) {
  return Chan<T>(detail::ChanState<T>::make(capacity));
}

// The sending side. A Chan converts to it; there is no way back.
template <typename T>
class SendChan {
 public:
  using value_type = T;

  SendChan() noexcept = default;
  SendChan(Chan<T> chan) noexcept : chan_(std::move(chan.chan_)) {}  // NOLINT(google-explicit-constructor)
  explicit operator bool() const noexcept { return chan_.get() != nullptr; }

  void send(T value) const { chan_.send(std::move(value)); }
  bool try_send(T&& value) const { return chan_.try_send(std::move(value)); }
  bool try_send(const T& value) const requires std::copy_constructible<T> { return chan_.try_send(value); }
  void close() const { detail::close_chan(chan_.get()); }
  std::size_t size() const noexcept { return chan_.size(); }
  std::size_t capacity() const noexcept { return chan_.capacity(); }

  friend bool operator==(const SendChan&, const SendChan&) noexcept = default;

 private:
  friend detail::ChanAccess;

  detail::ChanRef<T> chan_;
};

// The receiving side, which can't close. A Chan converts to it; there is no way back.
template <typename T>
class RecvChan {
 public:
  using value_type = T;

  RecvChan() noexcept = default;
  RecvChan(Chan<T> chan) noexcept : chan_(std::move(chan.chan_)) {}  // NOLINT(google-explicit-constructor)
  explicit operator bool() const noexcept { return chan_.get() != nullptr; }

  std::optional<T> recv() const { return chan_.recv(); }
  TryRecv<T> try_recv() const {
    TryRecv<T> result;
    result.closed = chan_.try_recv(result) == detail::TryResult::closed;
    return result;
  }
  std::size_t size() const noexcept { return chan_.size(); }
  std::size_t capacity() const noexcept { return chan_.capacity(); }

  ChanIterator<T> begin() const { return ChanIterator<T>(chan_); }
  std::default_sentinel_t end() const noexcept { return {}; }

  friend bool operator==(const RecvChan&, const RecvChan&) noexcept = default;

 private:
  friend detail::ChanAccess;

  detail::ChanRef<T> chan_;
};

namespace detail {

// Gives select and timers the state that a handle points to.
struct ChanAccess {
  template <typename T>
  static ChanState<T>* sending(const Chan<T>& chan) noexcept {
    return chan.chan_.get();
  }
  template <typename T>
  static ChanState<T>* sending(const SendChan<T>& chan) noexcept {
    return chan.chan_.get();
  }
  template <typename T>
  static ChanState<T>* receiving(const Chan<T>& chan) noexcept {
    return chan.chan_.get();
  }
  template <typename T>
  static ChanState<T>* receiving(const RecvChan<T>& chan) noexcept {
    return chan.chan_.get();
  }
  template <typename T>
  static RecvChan<T> adopt(ChanState<T>* state) noexcept {
    RecvChan<T> chan;
    chan.chan_ = ChanRef<T>(state);
    return chan;
  }
};

}  // namespace detail
}  // namespace weft
