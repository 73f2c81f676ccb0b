#include "weft/time.h"

#include "runtime/src/sched/park.h"
#include "runtime/src/sched/timer.h"
#include "runtime/src/time/bubble.h"

namespace weft {
namespace {

// Lies on the sleeper's stack. The timer's callback gives that stack back to the sleeper.
struct Sleep {
  rt::Waiter waiter;
  rt::Bubble* bubble;
  rt::Nanos until;
  rt::RuntimeTimer timer;

  explicit Sleep(rt::Nanos duration) noexcept
      : waiter(rt::current_waiter()),
        bubble(rt::Bubble::current()),
        until(rt::saturating_add(bubble == nullptr ? rt::now() : bubble->now(), duration)),
        timer(&wake, this) {}

  static void wake(void* self, rt::Nanos) noexcept { rt::ready(static_cast<Sleep*>(self)->waiter); }
  static bool arm(void* self) noexcept {
    auto* const s = static_cast<Sleep*>(self);
    if (s->bubble == nullptr) {
      s->timer.start_at(s->until);
    } else {
      s->timer.start_in(s->bubble->timers(), s->until);  // no goroutine is current on the scheduler stack
    }
    return true;
  }
};

}  // namespace

void sleep(std::chrono::nanoseconds duration) {
  if (duration <= std::chrono::nanoseconds::zero()) return;
  Sleep s(duration.count());
  rt::park(&Sleep::arm, &s, rt::WaitReason::sleep);
}

}  // namespace weft
