// Lease: a machine's hold on its processor, which another thread may end while the machine is in user code.
//
// mode_ says where the machine is. The machine alone writes it.
//   runtime   the machine uses its processor: nobody may take the processor
//   user      a goroutine computes: sysmon takes the processor when that lasts too long
//   blocking  a goroutine is inside blocking(fn): the processor may be taken at any time
// holding_ is the processor; null when it was given up or taken. It is written under mutex_.
// own_ is what the machine knows of its processor, for use in runtime mode: holding_ may be null for a moment, while a
// taker finds out that it may not take the processor.
//
// enter() and take(). The machine enters on every runtime call and must not pay for it; sysmon takes a processor now
// and then.
//   machine: enter()                           taker: take()
//     1. mode_ = runtime                         1. holding_ = null
//     2. light barrier                           2. heavy barrier
//     3. read holding_                           3. read mode_; runtime: put holding_ back, failed
// Each writes before it reads what the other wrote, so at least one sees the other. When both do, the machine has read
// null and the taker puts the processor back: settle() waits for that on the mutex. When the taker alone does, the
// machine uses the processor that the taker puts back. What the machine did before it left runtime mode is visible to
// whoever took the processor: leave() releases, the read at 3 acquires.
//
// The lease is a template over the atomics, so that a model checker can run the same source.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "runtime/src/base/membarrier.h"
#include "runtime/src/base/spin_mutex.h"

namespace weft::rt {

enum class Mode : std::uint8_t { runtime, user, blocking };

struct LeaseAtomics {
  template <typename T>
  using Atomic = std::atomic<T>;
  using Mutex = SpinMutex;
  static void light_barrier() noexcept { rt::light_barrier(); }
  static bool heavy_barrier() noexcept { return rt::heavy_barrier(); }
};

template <typename P, typename Atomics = LeaseAtomics>
class Lease {
 public:
  // --- the machine ---
  // Goes into runtime mode. Returns false when the machine may have no processor; settle() tells.
  bool enter() noexcept {
    mode_.store(Mode::runtime, std::memory_order_relaxed);
    Atomics::light_barrier();
    own_ = holding_.load(std::memory_order_acquire);
    return own_ != nullptr;
  }
  // Called in runtime mode, after enter() returned false: returns for sure whether the machine has a processor.
  bool settle() noexcept {
    const std::lock_guard lock(mutex_);
    own_ = holding_.load(std::memory_order_relaxed);
    return own_ != nullptr;
  }
  // Goes out of runtime mode.
  void leave(Mode to) noexcept { mode_.store(to, std::memory_order_release); }
  Mode mode() const noexcept { return mode_.load(std::memory_order_relaxed); }

  // For runtime mode; in any other mode, the result may be a processor that is lost.
  P* processor() const noexcept { return own_; }
  // In runtime mode: gives the processor up. The lock keeps a taker that is about to put the processor back from doing
  // so later.
  P* give() noexcept {
    const std::lock_guard lock(mutex_);
    holding_.store(nullptr, std::memory_order_relaxed);
    P* const p = own_;
    own_ = nullptr;
    return p;
  }
  // In runtime mode, without a processor: takes hold of `p`.
  void hold(P* p) noexcept {
    const std::lock_guard lock(mutex_);
    own_ = p;
    holding_.store(p, std::memory_order_release);
  }

  // --- any thread ---
  // Takes `p` from a machine that is in `mode`. Returns false when the machine is not, or no longer, in that mode with
  // that processor, and where the kernel has no heavy barrier.
  bool take(P* p, Mode mode) noexcept {
    const std::lock_guard lock(mutex_);
    if (mode_.load(std::memory_order_acquire) != mode || holding_.load(std::memory_order_relaxed) != p) return false;
    holding_.store(nullptr, std::memory_order_relaxed);
    if (Atomics::heavy_barrier() && mode_.load(std::memory_order_acquire) != Mode::runtime) return true;
    holding_.store(p, std::memory_order_release);
    return false;
  }
  const P* observed_processor() const noexcept { return holding_.load(std::memory_order_acquire); }
  Mode observed_mode() const noexcept { return mode_.load(std::memory_order_acquire); }

 private:
  template <typename T>
  using Atomic = typename Atomics::template Atomic<T>;

  Atomic<Mode> mode_{Mode::runtime};
  Atomic<P*> holding_{nullptr};
  P* own_ = nullptr;  // the machine's own
  typename Atomics::Mutex mutex_;
};

}  // namespace weft::rt
