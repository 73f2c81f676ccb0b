// The cold half of channels; weft/detail/chan_state.h has the invariants and the hot half.
#include "weft/chan.h"

#include "sync/block.h"
#include "weft/panic.h"

namespace weft::detail {
namespace {

bool wait_in(WaitQueue& queue, ChanCore& core, void* element, rt::WaitReason reason) noexcept {
  WaitNode node;
  node.element = element;
  queue.push_back(node);
  block(node, core.mutex, reason);
  return node.success;
}

}  // namespace

bool wait_to_send(ChanCore& core, void* element) noexcept {
  return wait_in(core.senders, core, element, rt::WaitReason::chan_send);
}

bool wait_to_recv(ChanCore& core, void* element) noexcept {
  return wait_in(core.receivers, core, element, rt::WaitReason::chan_receive);
}

void close_chan(ChanCore* core) {
  if (core == nullptr) panic("close of nil channel");
  core->mutex.lock();
  if (core->closed.load(std::memory_order_relaxed)) {
    core->mutex.unlock();
    panic("close of closed channel");
  }
  core->closed.store(true, std::memory_order_release);
  // Their nodes' success stays false: receivers return nothing, senders panic. At most one of the queues has anybody.
  WaitNode* const receivers = core->receivers.take_all();
  WaitNode* const senders = core->senders.take_all();
  core->mutex.unlock();
  wake_all(receivers);
  wake_all(senders);
}

void send_on_nil_chan() noexcept { block_forever(rt::WaitReason::chan_send_nil); }
void recv_on_nil_chan() noexcept { block_forever(rt::WaitReason::chan_receive_nil); }
void panic_send_on_closed_chan() { panic("send on closed channel"); }
void panic_chan_size() { panic("makechan: size out of range"); }

}  // namespace weft::detail
