// Thread: a POSIX thread that can be joined without waiting for it, which std::thread can't.
#pragma once

#include <pthread.h>

#include <utility>

namespace weft::rt {

class Thread {
 public:
  Thread() noexcept = default;
  // The thread is joined, detached or was never started.
  ~Thread() = default;
  Thread(Thread&& other) noexcept : id_(other.id_), started_(std::exchange(other.started_, false)) {}
  Thread& operator=(Thread&& other) noexcept {
    id_ = other.id_;
    started_ = std::exchange(other.started_, false);
    return *this;
  }

  // Starts a thread that runs body(arg). Returns 0, or the kernel's error.
  int start(void* (*body)(void*), void* arg) noexcept {
    const int error = ::pthread_create(&id_, nullptr, body, arg);
    started_ = error == 0;
    return error;
  }
  void join() noexcept {
    if (std::exchange(started_, false)) ::pthread_join(id_, nullptr);
  }
  // Joins the thread if it has come to its end, thread-local destructors included. Returns true when no thread is left
  // to join.
  bool try_join() noexcept {
    if (started_ && ::pthread_tryjoin_np(id_, nullptr) == 0) started_ = false;
    return !started_;
  }
  void detach() noexcept {
    if (std::exchange(started_, false)) ::pthread_detach(id_);
  }

 private:
  pthread_t id_{};
  bool started_ = false;
};

}  // namespace weft::rt
