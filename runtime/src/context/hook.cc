#include "runtime/src/context/hook.h"

#include "runtime/src/base/fatal.h"
#include "runtime/src/context/node.h"

namespace weft::rt {

DoneHook::~DoneHook() { WEFT_CHECK(node_ == nullptr, "a hook went away while it is attached to a context"); }

bool DoneHook::attach(const Context& context) noexcept {
  WEFT_CHECK(node_ == nullptr, "a hook is attached twice");
  detail::CancelNode* const node = context.node() != nullptr ? context.node()->canceler() : nullptr;
  if (node == nullptr) return true;
  if (!node->add_hook(*this)) return false;
  node_ = node;
  return true;
}

bool DoneHook::detach() noexcept {
  if (node_ == nullptr) return true;
  return std::exchange(node_, nullptr)->remove_hook(*this);
}

}  // namespace weft::rt
