// The functions of a Semaphore that a context may end. sync/semaphore.cc has the queue.
#include "weft/semaphore.h"

#include <optional>
#include <utility>

#include "runtime/src/context/hook.h"
#include "runtime/src/sync/wait_stop.h"
#include "weft/context.h"

namespace weft {
namespace rt {
namespace {

class ContextStop final : public weft::detail::WaitStop {
 public:
  explicit ContextStop(const Context& context) noexcept : context_(context) {}

  Error reason() const override { return context_.err(); }
  bool attach(Callback callback, void* arg) noexcept override { return hook_.emplace(callback, arg).attach(context_); }
  void detach() noexcept override { hook_->detach(); }

 private:
  const Context& context_;
  std::optional<DoneHook> hook_;
};

}  // namespace
}  // namespace rt

Error Semaphore::acquire(const Context& context, std::int64_t n) {
  rt::ContextStop stop(context);
  return acquire_until(stop, n);
}

Result<SemaphoreLock> Semaphore::hold(const Context& context, std::int64_t n) {
  if (Error error = acquire(context, n)) return Unexpected(std::move(error));
  return SemaphoreLock(*this, n);
}

}  // namespace weft
