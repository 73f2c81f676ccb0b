// Work that needs more stack than a goroutine may have.
#pragma once

#include <pthread.h>

#include <exception>
#include <thread>

#include "runtime/src/sched/park.h"

namespace weft::rt {

// Calls work(). For a plain thread the call is made right here; for a goroutine it is made on a thread of its own,
// while the goroutine's thread waits. libdw wants tens of kilobytes of stack, and a goroutine may have 16 in all.
template <typename Work>
void on_large_stack(Work work) {
  if (!on_goroutine()) {
    work();
    return;
  }
  std::exception_ptr failure;
  std::thread([&] {
    ::pthread_setname_np(::pthread_self(), "weft-unwind");
    try {
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace weft::rt
