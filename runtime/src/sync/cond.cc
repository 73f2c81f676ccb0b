#include "sync/cond.h"

#include "sync/block.h"

namespace weft::detail {

void CondPolicy::block(WaitNode& node, rt::SpinMutex& held) noexcept {
  detail::block(node, held, rt::WaitReason::cond_wait);
}

template class BasicCondQueue<CondPolicy>;

}  // namespace weft::detail
