// Workspace: what a connection needs while it works, and gives back while it waits: buffers, parser, request and
// response.
#pragma once

#include <memory>

#include "http/src/parser/request_parser.h"
#include "http/src/server/disconnect_watch.h"
#include "http/src/server/input_buffer.h"
#include "http/src/server/output_buffer.h"
#include "http/src/server/request_body.h"
#include "http/src/server/response.h"
#include "weft/http/request.h"

namespace weft::http::detail {

// Used for one connection at a time, by its goroutine alone. The parts refer to each other, so it stays where it is.
struct Workspace {
  explicit Workspace(std::size_t max_head_bytes)
      : parser(max_head_bytes), body(in, out, watch), response(out, body, request) {}

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

// Free workspaces, most recently used first, so that few stay warm in the cache while many connections wait.
// Thread safety: any thread. Sharded by processor; a shard's lock is held for a few instructions and never over
// anything that parks.
class WorkspacePool {
 public:
  explicit WorkspacePool(std::size_t max_head_bytes);
  ~WorkspacePool();

  std::unique_ptr<Workspace> acquire();
  // The workspace is reset.
  void release(std::unique_ptr<Workspace> workspace);

 private:
  struct Shard;

  Shard& shard() const noexcept;

  const std::size_t max_head_bytes_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace weft::http::detail
