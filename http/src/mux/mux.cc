#include "weft/http/mux.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "http/src/message/authority.h"
#include "http/src/message/request_access.h"
#include "http/src/message/url.h"
#include "http/src/mux/routing_tree.h"
#include "weft/http/helpers.h"
#include "weft/http/status.h"

namespace weft::http {

using detail::RequestAccess;
using detail::Route;
using detail::RouteMatch;
using detail::RoutingTree;

// Requests read `tree` without a lock. Null says that routes were added since the last tree was built. Trees that were
// replaced stay until the table goes, because a request may still walk them. There is one for each registration that
// came after a request.
struct ServeMux::Table {
  std::atomic<const RoutingTree*> tree{nullptr};
  std::mutex mutex;  // guards the members below; never held over anything that parks
  std::vector<std::unique_ptr<Route>> routes;
  std::vector<std::unique_ptr<RoutingTree>> trees;

  const RoutingTree& current() {
    if (const RoutingTree* const built = tree.load(std::memory_order_acquire)) return *built;
    const std::lock_guard lock(mutex);
    if (const RoutingTree* const built = tree.load(std::memory_order_relaxed)) return *built;
    trees.push_back(std::make_unique<RoutingTree>(routes));
    tree.store(trees.back().get(), std::memory_order_release);
    return *trees.back();
  }
};

namespace {

// Whether the match leaves nothing to a `rest` at the end of the pattern.
bool is_exact(const RouteMatch& match, std::string_view path, RoutingTree::Ending ending) {
  const detail::Pattern& pattern = match.route->pattern;
  if (pattern.last().kind != detail::Segment::Kind::rest) return true;
  const bool slash_added = ending == RoutingTree::Ending::with_slash;
  if (!slash_added && !path.ends_with('/')) return false;
  const auto slashes = std::count(path.begin(), path.end(), '/') + (slash_added ? 1 : 0);
  return pattern.segments.size() == static_cast<std::size_t>(slashes);
}

void redirect_to(ResponseWriter& w, Request& r, std::string location, int code) {
  if (!r.query().empty()) {
    location += '?';
    location += r.query();
  }
  redirect(w, r, location, code);
}

void refuse_method(ResponseWriter& w, const std::set<std::string_view>& methods) {
  std::string allow;
  for (const std::string_view method : methods) {
    if (!allow.empty()) allow += ", ";
    allow += method;
  }
  w.header().set("Allow", allow);
  error(w, status_text(kStatusMethodNotAllowed), kStatusMethodNotAllowed);
}

}  // namespace

ServeMux::ServeMux() : table_(std::make_shared<Table>()) {}

void ServeMux::handle(std::string_view pattern, Handler handler, SourceLocation where) const {
  auto route = std::make_unique<Route>();
  route->pattern = detail::parse_pattern(pattern);
  if (!handler) throw PatternError("http: empty handler for pattern \"" + std::string(pattern) + "\"");
  route->handler = std::move(handler);
  route->where = std::string(where.file) + ":" + std::to_string(where.line);
  const std::lock_guard lock(table_->mutex);
  for (const auto& other : table_->routes) {
    if (!detail::conflict(route->pattern, other->pattern)) continue;
    throw PatternError("pattern \"" + route->pattern.text + "\" (registered at " + route->where +
                       ") conflicts with pattern \"" + other->pattern.text + "\" (registered at " + other->where +
                       "): " + detail::describe_conflict(route->pattern, other->pattern));
  }
  table_->routes.push_back(std::move(route));
  table_->tree.store(nullptr, std::memory_order_release);
}

void ServeMux::operator()(ResponseWriter& w, Request& r) const {
  using Ending = RoutingTree::Ending;
  if (r.target() == "*") {
    if (r.version() >= Version{1, 1}) w.header().set("Connection", "close");
    return w.write_header(kStatusBadRequest);
  }
  const RoutingTree& tree = table_->current();
  detail::TextArena& text = RequestAccess::text(r);
  // CONNECT gives its host without a change, and its path isn't cleaned. Where no pattern has a host, ports may stay.
  const bool connect = r.method() == "CONNECT";
  const bool keep_port = connect || !tree.has_hosts();
  const std::string_view host = keep_port ? r.host() : detail::strip_port(r.host());
  std::string_view path = r.raw_path();
  const bool clean = connect || RequestAccess::head(r).plain_path || detail::is_clean_path(path);
  if (!clean) path = text.copy(detail::clean_path(path));

  RouteMatch match;
  const bool found = tree.match(host, r.method(), path, Ending::as_is, text, match);
  if ((!found || !is_exact(match, path, Ending::as_is)) && !path.empty() && !path.ends_with('/')) {
    RouteMatch subtree;
    if (tree.match(host, r.method(), path, Ending::with_slash, text, subtree) &&
        is_exact(subtree, path, Ending::with_slash)) {
      RequestAccess::set_pattern(r, subtree.route->pattern.text);
      return redirect_to(w, r, detail::clean_path(path) + "/", kStatusTemporaryRedirect);
    }
  }
  if (found) RequestAccess::set_pattern(r, match.route->pattern.text);
  if (!clean) return redirect_to(w, r, std::string(path), kStatusMovedPermanently);
  if (!found) {
    const auto methods = tree.methods(host, path, text);
    return methods.empty() ? not_found(w, r) : refuse_method(w, methods);
  }
  std::size_t next = 0;
  for (const detail::Segment& segment : match.route->pattern.segments) {
    const bool named = segment.kind == detail::Segment::Kind::wildcard || segment.kind == detail::Segment::Kind::rest;
    if (!named || segment.text.empty()) continue;
    RequestAccess::add_path_value(r, segment.text, match.value(next++));
  }
  match.route->handler(w, r);
}

}  // namespace weft::http
