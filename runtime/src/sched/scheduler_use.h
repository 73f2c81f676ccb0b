// SchedulerUse: the scheduler for threads that are not its own.
#pragma once

namespace weft::rt {

class Scheduler;

// Holds the running scheduler for as long as this object lives; null when none runs. Any thread may use one, for a
// moment: the end of run() waits for it.
class SchedulerUse {
 public:
  SchedulerUse() noexcept;
  ~SchedulerUse();
  SchedulerUse(const SchedulerUse&) = delete;
  SchedulerUse& operator=(const SchedulerUse&) = delete;

  explicit operator bool() const noexcept { return scheduler_ != nullptr; }
  Scheduler* operator->() const noexcept { return scheduler_; }
  Scheduler& operator*() const noexcept { return *scheduler_; }

 private:
  Scheduler* scheduler_;
  bool counted_ = false;
};

}  // namespace weft::rt
