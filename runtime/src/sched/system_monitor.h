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
  // Makes it look now.
  virtual void wake() noexcept = 0;
  // A machine has left its idle sleep. What it did to leave the idle set, it did before with sequential consistency.
  virtual void note_activity() noexcept = 0;

 protected:
  ~SystemMonitor() = default;
};

}  // namespace weft::rt
