// ServeMux: finds the handler for a request (Go 1.22's http.ServeMux).
//
//   weft::http::ServeMux mux;
//   mux.handle("GET /users/{id}", show_user);              // HEAD too
//   mux.handle("POST /users/{$}", create_user);            // "/users/" and nothing below it
//   mux.handle("/static/{path...}", serve_file);           // any method, the rest of the path
//   mux.handle("admin.example.com/", admin);               // one host only, everything below "/"
//
// A pattern is "[METHOD ][HOST]/[PATH]". `{name}` matches one whole segment, `{name...}` at the end matches all that is
// left, and `{$}` at the end says that nothing is left. A path that ends in '/' matches everything below it. Segments
// are compared unescaped, but only a '/' that the client sent as '/' separates them: "%2F" stays inside its segment.
// Neither the port of the request's host counts nor the case of its letters. As in Go an IPv6 address loses its
// brackets together with its port, so that "::1/" is the pattern for "[::1]:80", and "[::1]/" the one for "[::1]".
//
// When several patterns match, the most specific one wins: the one whose requests are a part of the other's. A pattern
// with a host beats one without. Two patterns that overlap where neither is more specific can't both be registered. The
// order of registration never matters.
#pragma once

#include <memory>
#include <string_view>

#include <weft/http/request.h>
#include <weft/http/response_writer.h>
#include <weft/panic.h>
#include <weft/source_location.h>

namespace weft::http {

// A pattern can't be registered, because of its syntax or because it conflicts with another one. The text of a conflict
// names both patterns and where they come from.
class PatternError : public Panic {
 public:
  using Panic::Panic;
};

// Thread safety: a ServeMux is a handle; copies name the same table. handle() and requests may run at the same time.
// handle() is const, as the methods of all handles are: it changes the table and not the handle.
// Lifetime: the table lives as long as a handle, and the handlers live as long as the table.
// Blocking: only what the handlers do. Looking up a request takes no lock and allocates nothing unless the path holds
// escapes.
class ServeMux {
 public:
  ServeMux();

  // Throws PatternError for a bad pattern, an empty handler, or a conflict. `where` is the caller, for the text of a
  // conflict.
  void handle(std::string_view pattern, Handler handler, SourceLocation where = SourceLocation::current()) const;

  // Serves one request, so that a ServeMux is a Handler itself. A request that no pattern matches gets
  //   301 to the clean path ("//", "." and ".." removed), with the query;
  //   307 to the path with '/' at its end, with the query, when only that one is registered;
  //   405 with Allow when other methods would match;  400 for the target "*";  else 404.
  void operator()(ResponseWriter& w, Request& r) const;

 private:
  struct Table;
  std::shared_ptr<Table> table_;
};

}  // namespace weft::http
