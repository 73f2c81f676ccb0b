// Not part of the API: what weft/select.h and the template that carries it out (sync/select.h) share.
#pragma once

#include <cstddef>
#include <span>

#include <weft/detail/chan_core.h>

namespace weft::detail {

// One operation of a select.
template <typename Policy>
struct BasicChanOp {
  enum class Kind : unsigned char { none, send, recv };  // none: never ready, like an operation on a nil channel

  // Calls offer() or take() of the channel's type, with the channel's mutex held.
  using Attempt = TryResult (*)(BasicChanCore<Policy>& chan, void* element, typename Policy::Waiter& partner) noexcept;

  Kind kind = Kind::none;
  BasicChanCore<Policy>* chan = nullptr;  // kept alive by the caller
  void* element = nullptr;  // send: the T, moved from when this operation is chosen; recv: the std::optional<T>
  Attempt attempt = nullptr;

  bool would_block() const noexcept {
    return kind == Kind::none || (kind == Kind::send ? chan->send_would_block() : chan->recv_would_block());
  }
};

template <typename T, typename Policy>
BasicChanOp<Policy> send_op(BasicChanState<T, Policy>* chan, T& value) noexcept {
  if (chan == nullptr) return {};
  return {BasicChanOp<Policy>::Kind::send, chan, &value,
          [](BasicChanCore<Policy>& core, void* element,
             typename Policy::Waiter& partner) WEFT_NO_THREAD_SAFETY_ANALYSIS noexcept {
            return static_cast<BasicChanState<T, Policy>&>(core).offer(std::move(*static_cast<T*>(element)), partner);
          }};
}

template <typename T, typename Policy>
BasicChanOp<Policy> recv_op(BasicChanState<T, Policy>* chan, std::optional<T>& out) noexcept {
  if (chan == nullptr) return {};
  return {BasicChanOp<Policy>::Kind::recv, chan, &out,
          [](BasicChanCore<Policy>& core, void* element, typename Policy::Waiter& partner)
              WEFT_NO_THREAD_SAFETY_ANALYSIS noexcept {
                return static_cast<BasicChanState<T, Policy>&>(core).take(*static_cast<std::optional<T>*>(element),
                                                                          partner);
              }};
}

using ChanOp = BasicChanOp<ChanPolicy>;

inline constexpr std::size_t kNoOp = static_cast<std::size_t>(-1);

// Returns the index of the operation that was carried out. With `has_default`, returns kNoOp, at once, when none can
// be. Panics when the operation that was chosen is a send on a closed channel.
std::size_t select_ops(std::span<const ChanOp> ops, bool has_default);

}  // namespace weft::detail
