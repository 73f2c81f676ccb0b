// Forked children. A child that is forked while a runtime runs has one thread, the one that called fork(). No machine
// runs there, the rings and epoll sets are its parent's, and a lock that another thread held stays locked for ever. The
// child may exec or _exit, no more (docs/fork.md).
//
// fork() runs the handler that run() installed: in the child, the handler takes the thread's machine away and sets a
// flag. So whatever would schedule finds itself on a plain thread, which is a slow path everywhere, and looks at the
// flag there. Closing and destroying descriptors, which static destructors may do in a child that exits, does nothing.
#pragma once

#include <atomic>

namespace weft::rt {

// Relaxed is enough: the flag is set before fork() returns in the child, by the only thread that is there to read it.
extern std::atomic<bool> forked_child_flag;

// Returns true in a child that was forked while a runtime ran, and in its children.
inline bool in_forked_child() noexcept { return forked_child_flag.load(std::memory_order_relaxed); }

// Prints "weft: fatal error: WHAT in a forked child: ..." to stderr, and ends the child with status 2. Allocates
// nothing and takes no lock.
[[noreturn]] void die_in_forked_child(const char* what) noexcept;

inline void refuse_in_forked_child(const char* what) noexcept {
  if (in_forked_child()) [[unlikely]]
    die_in_forked_child(what);
}

// Does the same for whatever would park the caller.
inline void refuse_wait_in_forked_child() noexcept { refuse_in_forked_child("a wait (channel, lock, sleep or I/O)"); }

// A ForkWatch lives as long as a runtime has threads. While one lives, forked children are marked.
class ForkWatch {
 public:
  // `in_child` runs in the child of each such fork, between fork() and its return, on the thread that forked. It may do
  // what a signal handler may, and makes the thread a plain one. It is the same function each time.
  explicit ForkWatch(void (*in_child)() noexcept) noexcept;
  ~ForkWatch();
  ForkWatch(const ForkWatch&) = delete;
  ForkWatch& operator=(const ForkWatch&) = delete;

  // For a runtime that leaves threads behind: the watch goes on for the rest of the process's life.
  void keep() noexcept { kept_ = true; }

 private:
  bool kept_ = false;
};

}  // namespace weft::rt
