#include "http/src/mux/routing_tree.h"

#include <algorithm>

#include "http/src/message/chars.h"
#include "http/src/message/url.h"

namespace weft::http::detail {
namespace {

std::string_view unescape_segment(std::string_view segment, TextArena& text) {
  if (segment.find('%') == std::string_view::npos) return segment;
  char* const place = text.allocate(segment.size());
  return {place, unescape_to(place, segment, Unescape::path)};
}

}  // namespace

RoutingTree::Node& RoutingTree::Node::literal_child(std::string_view name) {
  auto place = std::lower_bound(literals.begin(), literals.end(), name, [](const auto& child, std::string_view key) {
    return std::string_view(child.first) < key;
  });
  if (place == literals.end() || place->first != name) {
    place = literals.emplace(place, std::string(name), std::make_unique<Node>());
  }
  return *place->second;
}

const RoutingTree::Node* RoutingTree::Node::find_literal(std::string_view name) const {
  const auto place =
      std::lower_bound(literals.begin(), literals.end(), name,
                       [](const auto& child, std::string_view key) { return std::string_view(child.first) < key; });
  return place != literals.end() && place->first == name ? place->second.get() : nullptr;
}

const RoutingTree::Node* RoutingTree::HostTable::find_method(std::string_view method) const {
  for (const auto& [name, node] : methods) {
    if (name == method) return &node;
  }
  return nullptr;
}

RoutingTree::RoutingTree(const std::vector<std::unique_ptr<Route>>& routes) {
  for (const auto& route : routes) {
    HostTable& table = table_for(route->pattern.host);
    const std::string& method = route->pattern.method;
    if (method.empty()) {
      insert(table.any_method, *route);
      continue;
    }
    auto place =
        std::find_if(table.methods.begin(), table.methods.end(), [&](const auto& m) { return m.first == method; });
    if (place == table.methods.end()) place = table.methods.emplace(place, method, Node());
    insert(place->second, *route);
  }
}

RoutingTree::HostTable& RoutingTree::table_for(const std::string& host) {
  if (host.empty()) return any_host_;
  for (HostTable& table : hosts_) {
    if (iequals(table.host, host)) return table;
  }
  hosts_.push_back({host, {}, {}});
  return hosts_.back();
}

void RoutingTree::insert(Node& root, const Route& route) {
  Node* node = &root;
  for (const Segment& segment : route.pattern.segments) {
    if (segment.kind == Segment::Kind::rest || segment.kind == Segment::Kind::end) {
      (segment.kind == Segment::Kind::rest ? node->rest : node->end) = &route;
      return;
    }
    if (segment.kind == Segment::Kind::literal) {
      node = &node->literal_child(segment.text);
    } else {
      if (!node->wildcard) node->wildcard = std::make_unique<Node>();
      node = node->wildcard.get();
    }
  }
  node->leaf = &route;
}

bool RoutingTree::match_path(const Node& node, std::string_view path, Ending ending, TextArena& text,
                             RouteMatch& match) {
  if (path.empty()) {
    if (ending == Ending::as_is) {
      match.route = node.leaf;
      return node.leaf != nullptr;
    }
    path = "/";
    ending = Ending::as_is;
  }
  if (path.size() == 1) {
    if (node.end != nullptr) {
      match.route = node.end;
      return true;
    }
  } else {
    const std::size_t slash = std::min(path.find('/', 1), path.size());
    const std::string_view segment = unescape_segment(path.substr(1, slash - 1), text);
    const std::string_view rest = path.substr(slash);
    const std::size_t count = match.count;
    if (const Node* const child = node.find_literal(segment)) {
      if (match_path(*child, rest, ending, text, match)) return true;
      match.count = count;
    }
    if (node.wildcard) {
      match.push(segment);
      if (match_path(*node.wildcard, rest, ending, text, match)) return true;
      match.count = count;
    }
  }
  if (node.rest != nullptr) {
    if (!node.rest->pattern.last().text.empty()) match.push(unescape_segment(path.substr(1), text));
    match.route = node.rest;
    return true;
  }
  return false;
}

bool RoutingTree::match_method(const HostTable& table, std::string_view method, std::string_view path, Ending ending,
                               TextArena& text, RouteMatch& match) {
  match.count = 0;
  if (const Node* const node = table.find_method(method);
      node != nullptr && match_path(*node, path, ending, text, match)) {
    return true;
  }
  match.count = 0;
  if (method == "HEAD") {
    if (const Node* const node = table.find_method("GET");
        node != nullptr && match_path(*node, path, ending, text, match)) {
      return true;
    }
    match.count = 0;
  }
  return match_path(table.any_method, path, ending, text, match);
}

bool RoutingTree::match(std::string_view host, std::string_view method, std::string_view path, Ending ending,
                        TextArena& text, RouteMatch& match) const {
  if (path.empty()) return false;
  for (const HostTable& table : hosts_) {
    if (iequals(table.host, host) && match_method(table, method, path, ending, text, match)) return true;
  }
  return match_method(any_host_, method, path, ending, text, match);
}

std::set<std::string_view> RoutingTree::methods(std::string_view host, std::string_view path, TextArena& text) const {
  std::set<std::string_view> found;
  if (path.empty()) return found;
  RouteMatch match;
  const auto look = [&](const HostTable& table) {
    for (const auto& [method, node] : table.methods) {
      for (const Ending ending : {Ending::as_is, Ending::with_slash}) {
        if (ending == Ending::with_slash && path.ends_with('/')) continue;
        match.count = 0;
        if (match_path(node, path, ending, text, match)) found.insert(method);
      }
    }
  };
  for (const HostTable& table : hosts_) {
    if (iequals(table.host, host)) look(table);
  }
  look(any_host_);
  if (found.contains("GET")) found.insert("HEAD");
  return found;
}

}  // namespace weft::http::detail
