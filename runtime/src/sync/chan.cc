// The cold half of channels; weft/detail/chan_core.h has the invariants and the hot half.
#include "weft/chan.h"

#include "runtime/src/sync/block.h"
#include "weft/panic.h"

namespace weft::detail {
namespace {

bool wait_in(WaitQueue& queue, ChanCore& core, void* element, rt::WaitReason reason) noexcept WEFT_RELEASE(core.mutex) {
  WaitNode node;
  node.element = element;
  queue.push_back(node);
  if (core.timer != nullptr) [[unlikely]] {
    ChanPolicy::run_timer_for_waiters(core);
  }
  block(node, core.mutex, reason);
  return node.success;
}

}  // namespace

bool ChanPolicy::wait_to_send(ChanCore& core, void* element) noexcept {
  return wait_in(core.senders, core, element, rt::WaitReason::chan_send);
}

bool ChanPolicy::wait_to_recv(ChanCore& core, void* element) noexcept {
  return wait_in(core.receivers, core, element, rt::WaitReason::chan_receive);
}

void ChanPolicy::panic_send_on_closed() { panic("send on closed channel"); }

void close_chan(ChanCore* core) {
  if (core == nullptr) panic("close of nil channel");
  if (!core->close()) panic("close of closed channel");
}

void send_on_nil_chan() noexcept { block_forever(rt::WaitReason::chan_send_nil); }
void recv_on_nil_chan() noexcept { block_forever(rt::WaitReason::chan_receive_nil); }
void panic_chan_size() { panic("makechan: size out of range"); }

}  // namespace weft::detail
