// Workspace: what a connection needs while it works, and gives back while it waits: buffers, parser, request and
// response.
#pragma once

#include <cstddef>

#include "http/src/http1/disconnect_watch.h"
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
      : parser(max_head_bytes), body(in, out, watch, RequestAccess::trailer(request)), response(out, body, request) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Forgets what the last connection left.
  void reset() noexcept;

  InputBuffer in;
  OutputBuffer out;
  RequestParser parser;
  Request request;
  DisconnectWatch watch;
  RequestBody body;
  Response response;
};

// The free workspaces. Those that were used last are taken first, so that few stay warm in the cache while many
// connections wait. Thread safety: any thread.
class WorkspacePool {
 public:
  explicit WorkspacePool(std::size_t max_head_bytes) : pool_([max_head_bytes] { return Workspace(max_head_bytes); }) {}

  // A workspace for as long as the Loan lives. What is not given back by give_back() is destroyed: an exception may
  // leave a workspace in any state.
  class Loan {
   public:
    explicit Loan(WorkspacePool& pool) : lease_(pool.pool_.get()) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { lease_.discard(); }

    Workspace& operator*() const noexcept { return *lease_; }
    void give_back() noexcept {
      lease_->reset();
      lease_.give_back();
    }

   private:
    Pool<Workspace>::Lease lease_;
  };

 private:
  Pool<Workspace> pool_;
};

}  // namespace weft::http::detail::http1
