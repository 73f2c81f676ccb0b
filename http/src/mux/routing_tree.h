// RoutingTree: patterns as a tree of hosts, methods and path segments.
//
// A tree is built once and then only read, by any number of threads. At each level a literal is tried before a
// wildcard, and a wildcard before the rest. The search leaves a branch that leads to no pattern and tries the next one.
// Because no two patterns conflict, the first match is the most specific one.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/src/mux/pattern.h"
#include "weft/http/detail/text_arena.h"
#include "weft/http/response_writer.h"

namespace weft::http::detail {

struct Route {
  Pattern pattern;
  Handler handler;
  std::string where;  // file:line of its registration
};

// What the wildcards of a route matched, in their order.
struct RouteMatch {
  const Route* route = nullptr;
  std::size_t count = 0;
  // Only the first `count` values are initialised.
  struct Value {
    const char* data;
    std::size_t size;
  };
  std::array<Value, kMaxWildcards> values;

  RouteMatch() {}  // NOLINT(modernize-use-equals-default): that one would clear the values
  void push(std::string_view value) { values[count++] = {value.data(), value.size()}; }
  std::string_view value(std::size_t i) const { return {values[i].data, values[i].size}; }
};

class RoutingTree {
 public:
  // `routes` outlive the tree.
  explicit RoutingTree(const std::vector<std::unique_ptr<Route>>& routes);

  // Whether `path` is looked up as it is or with a '/' put at its end.
  enum class Ending : bool { as_is, with_slash };

  // Whether any pattern has a host. Where none has, the host that match() and methods() are given makes no difference.
  bool has_hosts() const noexcept { return !hosts_.empty(); }

  // Looks up a host (without port), method and escaped path. Values are views of `path`, or of `text` where escapes
  // were resolved. Returns whether there is a match.
  bool match(std::string_view host, std::string_view method, std::string_view path, Ending ending, TextArena& text,
             RouteMatch& match) const;

  // The methods that would match host and path, sorted.
  std::set<std::string_view> methods(std::string_view host, std::string_view path, TextArena& text) const;

 private:
  struct Node {
    const Route* leaf = nullptr;  // its pattern ends here
    const Route* end = nullptr;   // its pattern goes on with {$}
    const Route* rest = nullptr;  // its pattern goes on with `rest`
    std::unique_ptr<Node> wildcard;
    std::vector<std::pair<std::string, std::unique_ptr<Node>>> literals;  // sorted

    Node& literal_child(std::string_view name);
    const Node* find_literal(std::string_view name) const;
  };
  struct HostTable {
    std::string host;
    std::vector<std::pair<std::string, Node>> methods;
    Node any_method;

    const Node* find_method(std::string_view method) const;
  };

  static void insert(Node& node, const Route& route);
  static bool match_path(const Node& node, std::string_view path, Ending ending, TextArena& text, RouteMatch& match);
  static bool match_method(const HostTable& table, std::string_view method, std::string_view path, Ending ending,
                           TextArena& text, RouteMatch& match);
  HostTable& table_for(const std::string& host);

  std::vector<HostTable> hosts_;
  HostTable any_host_;
};

}  // namespace weft::http::detail
