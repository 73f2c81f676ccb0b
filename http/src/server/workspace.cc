#include "http/src/server/workspace.h"

#include <mutex>
#include <utility>
#include <vector>

#include "http/src/message/request_access.h"
#include "runtime/src/base/spin_mutex.h"
#include "weft/go.h"

namespace weft::http::detail {
namespace {

constexpr unsigned kShards = 16;
// About 8 KiB each.
constexpr std::size_t kKeptPerShard = 256;

}  // namespace

void Workspace::reset() noexcept {
  in.reset();
  out.reset();
  parser.reset();
  RequestAccess::clear(request);
}

struct alignas(64) WorkspacePool::Shard {
  rt::SpinMutex mutex;  // guards free
  std::vector<std::unique_ptr<Workspace>> free;
};

WorkspacePool::WorkspacePool(std::size_t max_head_bytes)
    : max_head_bytes_(max_head_bytes), shards_(std::make_unique<Shard[]>(kShards)) {
  for (unsigned i = 0; i < kShards; ++i) shards_[i].free.reserve(kKeptPerShard);
}

WorkspacePool::~WorkspacePool() = default;

WorkspacePool::Shard& WorkspacePool::shard() const noexcept {
  return shards_[static_cast<unsigned>(processor_id()) % kShards];
}

std::unique_ptr<Workspace> WorkspacePool::acquire() {
  {
    Shard& mine = shard();
    const std::lock_guard lock(mine.mutex);
    if (!mine.free.empty()) {
      std::unique_ptr<Workspace> workspace = std::move(mine.free.back());
      mine.free.pop_back();
      return workspace;
    }
  }
  return std::make_unique<Workspace>(max_head_bytes_);
}

void WorkspacePool::release(std::unique_ptr<Workspace> workspace) {
  Shard& mine = shard();
  const std::lock_guard lock(mine.mutex);
  if (mine.free.size() < kKeptPerShard) mine.free.push_back(std::move(workspace));
}

}  // namespace weft::http::detail
