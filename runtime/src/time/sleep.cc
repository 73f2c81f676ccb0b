#include "weft/time.h"

#include "sched/park.h"
#include "time/timer.h"

namespace weft {
namespace {

// Lies on the sleeper's stack, which the timer's callback gives back to the sleeper.
struct Sleep {
  rt::Waiter waiter;
  rt::Nanos until;
  rt::RuntimeTimer timer;

  explicit Sleep(rt::Nanos t) noexcept : waiter(rt::current_waiter()), until(t), timer(&wake, this) {}

  static void wake(void* self) noexcept { rt::ready(static_cast<Sleep*>(self)->waiter); }
  static bool arm(void* self) noexcept {
    auto* const s = static_cast<Sleep*>(self);
    s->timer.start_at(s->until);
    return true;
  }
};

}  // namespace

void sleep(std::chrono::nanoseconds duration) {
  if (duration <= std::chrono::nanoseconds::zero()) return;
  Sleep s(rt::saturating_add(rt::now(), duration.count()));
  rt::park(&Sleep::arm, &s, rt::WaitReason::sleep);
}

}  // namespace weft
