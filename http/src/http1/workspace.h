// Workspace: what a connection needs while it works, and gives back while it waits: buffers, parser, request and
// response.
#pragma once

#include <atomic>
#include <cstddef>

#include "http/src/http1/input_buffer.h"
#include "http/src/http1/output_buffer.h"
#include "http/src/http1/request_body.h"
#include "http/src/http1/response.h"
#include "http/src/message/request_access.h"
#include "http/src/parser/request_parser.h"
#include "weft/http/request.h"
#include "weft/pool.h"

namespace weft::http::detail::http1 {

// Thread safety: none. One connection uses it at a time, in its goroutine alone. Lifetime: the parts refer to each
// other, so a Workspace stays where it is.
struct Workspace {
  explicit Workspace(std::size_t max_head_bytes)
      : parser(max_head_bytes), body(in, out, RequestAccess::trailer(request)), response(out, body, request) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Forgets what the last connection left.
  void reset() noexcept;

  InputBuffer in;
  OutputBuffer out;
  RequestParser parser;
  Request request;
  RequestBody body;
  Response response;
};

// The free workspaces. Each stays near the processor that gave it back, and of a processor's the latest is taken first,
// so that few stay warm in the cache while many connections wait. Thread safety: any thread. Blocking: none.
class WorkspacePool {
  struct Counted {
    Counted(std::size_t max_head_bytes, std::atomic<std::size_t>& counter) : workspace(max_head_bytes), count(counter) {
      count.fetch_add(1, std::memory_order_relaxed);
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { count.fetch_sub(1, std::memory_order_relaxed); }

    Workspace workspace;
    std::atomic<std::size_t>& count;
  };

 public:
  // While there are more workspaces than this, lent and free together, one that comes back is destroyed. So no burst of
  // many connections leaves more behind. The pool destroys free ones that lie long (weft::Pool).
  static constexpr std::size_t kMost = 4096;

  explicit WorkspacePool(std::size_t max_head_bytes)
      : pool_([this, max_head_bytes] { return Counted(max_head_bytes, count_); }) {}
  WorkspacePool(const WorkspacePool&) = delete;
  WorkspacePool& operator=(const WorkspacePool&) = delete;

  // How many workspaces there are, lent and free together.
  std::size_t size() const noexcept { return count_.load(std::memory_order_relaxed); }

  // A workspace for as long as the Loan lives. What is not given back by give_back() is destroyed: an exception may
  // leave a workspace in any state.
  class Loan {
   public:
    explicit Loan(WorkspacePool& pool) : pool_(pool), lease_(pool.pool_.get()) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { lease_.discard(); }

    Workspace& operator*() const noexcept { return lease_->workspace; }
    void give_back() noexcept {
      if (pool_.size() > kMost) return lease_.discard();
      lease_->workspace.reset();
      lease_.give_back();
    }

   private:
    WorkspacePool& pool_;
    Pool<Counted>::Lease lease_;
  };

 private:
  // Written only when a workspace is made or destroyed, so that every processor may read it for each burst. It outlives
  // the pool.
  std::atomic<std::size_t> count_{0};
  Pool<Counted> pool_;
};

}  // namespace weft::http::detail::http1
