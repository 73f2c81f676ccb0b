// SystemMonitor: what the scheduler needs of the thread that looks after it (control/sysmon.h).
#pragma once

namespace weft::rt {

class SystemMonitor {
 public:
  // Starts the thread; stop() ends it and returns when it has ended.
  virtual void start() = 0;
  virtual void stop() noexcept = 0;

  // --- any thread ---
  virtual bool on_its_thread() const noexcept = 0;
  // Makes the monitor look now.
  virtual void wake() noexcept = 0;
  // Called when a machine has left its idle sleep. Before the call, the machine left the idle set with sequential
  // consistency.
  virtual void note_activity() noexcept = 0;
  // Has the allocator's free memory given back, when all processors are idle.
  virtual void release_heap() noexcept = 0;

 protected:
  ~SystemMonitor() = default;
};

}  // namespace weft::rt
