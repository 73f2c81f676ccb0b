// StdParking: park and ready (sched/park.h) as a policy, for templates that the model tests run without a scheduler.
#pragma once

#include "runtime/src/sched/park.h"

namespace weft::rt {

struct StdParking {
  using Waiter = rt::Waiter;
  static Waiter current_waiter() noexcept { return rt::current_waiter(); }
  static void park(CommitFn commit, void* arg, WaitReason reason) noexcept { rt::park(commit, arg, reason); }
  static bool ready(Waiter waiter) noexcept { return rt::ready(waiter); }
};

}  // namespace weft::rt
