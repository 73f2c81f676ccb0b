#include "runtime/src/sync/cond.h"

#include "runtime/src/sync/block.h"

namespace weft::detail {

void CondPolicy::block(WaitNode& node, rt::SpinMutex& held) noexcept {
  detail::block(node, held, rt::WaitReason::cond_wait);
}

template class BasicCondQueue<CondPolicy>;

}  // namespace weft::detail
