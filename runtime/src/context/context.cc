#include "weft/context.h"

#include "runtime/src/context/node.h"
#include "runtime/src/sched/caller_clock.h"
#include "weft/go.h"

namespace weft {
namespace detail {
namespace {

CancelNode* canceler_of(const Context& context) noexcept {
  return context.node() != nullptr ? context.node()->canceler() : nullptr;
}

ContextRef ref_of(const Context& context) noexcept {
  if (context.node() != nullptr) context.node()->ref();
  return ContextRef(context.node());
}

rt::Nanos deadline_of(const Context& context) noexcept {
  const CancelNode* const canceler = canceler_of(context);
  return canceler != nullptr ? canceler->deadline() : rt::kNever;
}

void cancel(const ContextRef& node, const Error& cause) noexcept {
  if (node.get() != nullptr) static_cast<CancelNode*>(node.get())->cancel(CancelNode::Outcome::canceled, cause);
}

ContextRef make_cancel_node(const Context& parent) {
  auto* const node = new CancelNode(ref_of(parent), deadline_of(parent));
  ContextRef ref(node);
  node->attach();
  return ref;
}

ContextRef make_deadline_node(const Context& parent, rt::Nanos deadline, Error cause) {
  if (deadline_of(parent) <= deadline) return make_cancel_node(parent);
  auto* const node = new DeadlineNode(ref_of(parent), deadline, std::move(cause));
  ContextRef ref(node);
  node->attach();
  if (deadline <= rt::caller_now()) {
    node->expire_now();
  } else {
    node->arm();
  }
  return ref;
}

template <typename Cancel>
std::pair<Context, Cancel> handles(ContextRef node) noexcept {
  Context context(node);
  return {std::move(context), Cancel(std::move(node))};
}

void run_in_goroutine(std::unique_ptr<Callback> callback) {
  weft::go([callback = std::move(callback)] { callback->run(); });
}

}  // namespace

void ContextRef::ref(ContextNode* node) noexcept { node->ref(); }
void ContextRef::unref(ContextNode* node) noexcept { ContextNode::unref(node); }

Context with_value(const Context& parent, const void* key, std::shared_ptr<const void> value) {
  return Context(ContextRef(new ValueNode(ref_of(parent), canceler_of(parent), key, std::move(value))));
}

StopFunc after_func(const Context& context, std::unique_ptr<Callback> callback) {
  auto function = std::make_shared<AfterFunc>();
  function->callback = std::move(callback);
  CancelNode* const canceler = canceler_of(context);
  if (canceler != nullptr && !canceler->add_after_func(function)) run_in_goroutine(std::move(function->callback));
  return StopFunc(context, std::move(function));
}

}  // namespace detail

using detail::CancelNode;

RecvChan<std::monostate> Context::done() const {
  CancelNode* const canceler = detail::canceler_of(*this);
  return canceler != nullptr ? canceler->done() : RecvChan<std::monostate>();
}

Error Context::err() const noexcept {
  const CancelNode* const canceler = detail::canceler_of(*this);
  return canceler != nullptr ? canceler->err() : Error();
}

std::optional<TimePoint> Context::deadline() const noexcept {
  const rt::Nanos deadline = detail::deadline_of(*this);
  if (deadline == rt::kNever) return std::nullopt;
  return TimePoint(std::chrono::nanoseconds(deadline));
}

const void* Context::find_value(const void* key) const noexcept {
  for (const detail::ContextNode* node = node_.get(); node != nullptr; node = node->parent()) {
    if (node->key() == key) return static_cast<const detail::ValueNode*>(node)->value();
  }
  return nullptr;
}

void CancelFunc::operator()() const noexcept { detail::cancel(node_, {}); }
void CancelCauseFunc::operator()(Error cause) const noexcept { detail::cancel(node_, cause); }

bool StopFunc::operator()() const noexcept {
  if (function_ == nullptr) return false;
  CancelNode* const canceler = detail::canceler_of(context_);
  const bool stopped = canceler != nullptr ? canceler->remove_after_func(*function_)
                                           : !function_->stopped.exchange(true, std::memory_order_acq_rel);
  if (stopped) function_->callback.reset();
  return stopped;
}

std::pair<Context, CancelFunc> with_cancel(const Context& parent) {
  return detail::handles<CancelFunc>(detail::make_cancel_node(parent));
}

std::pair<Context, CancelCauseFunc> with_cancel_cause(const Context& parent) {
  return detail::handles<CancelCauseFunc>(detail::make_cancel_node(parent));
}

std::pair<Context, CancelFunc> with_deadline_cause(const Context& parent, TimePoint deadline, Error cause) {
  return detail::handles<CancelFunc>(detail::make_deadline_node(parent, rt::to_nanos(deadline), std::move(cause)));
}

std::pair<Context, CancelFunc> with_timeout_cause(const Context& parent, std::chrono::nanoseconds timeout,
                                                  Error cause) {
  const rt::Nanos deadline = rt::saturating_add(rt::caller_now(), timeout.count());
  return detail::handles<CancelFunc>(detail::make_deadline_node(parent, deadline, std::move(cause)));
}

std::pair<Context, CancelFunc> with_deadline(const Context& parent, TimePoint deadline) {
  return with_deadline_cause(parent, deadline, {});
}

std::pair<Context, CancelFunc> with_timeout(const Context& parent, std::chrono::nanoseconds timeout) {
  return with_timeout_cause(parent, timeout, {});
}

Context without_cancel(const Context& parent) {
  if (parent.node() == nullptr) return {};
  return Context(detail::ContextRef(new detail::ContextNode(detail::ref_of(parent), nullptr, nullptr)));
}

Error cause(const Context& context) noexcept {
  const CancelNode* const canceler = detail::canceler_of(context);
  return canceler != nullptr ? canceler->cause() : Error();
}

}  // namespace weft
