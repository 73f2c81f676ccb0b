// What handlers say most: errors, redirects (Go's http.Error, http.NotFound, http.Redirect).
#pragma once

#include <string>
#include <string_view>

#include <weft/http/request.h>
#include <weft/http/response_writer.h>

namespace weft::http {

// Answers with `code` and `message` plus a line end as plain text. Content-Length and Content-Encoding, which would
// describe another body, are removed. Nothing should be written after it.
void error(ResponseWriter& w, std::string_view message, int code);

// "404 page not found"
void not_found(ResponseWriter& w, Request& r);

// Sends the client to `url`, with a 3xx code. A relative one is resolved against the request's path and cleaned; a '/'
// at the end and the query stay. GET gets a line of HTML too, unless Content-Type is set.
void redirect(ResponseWriter& w, Request& r, std::string_view url, int code);

// `text` for HTML: & < > " ' escaped.
std::string html_escape(std::string_view text);

}  // namespace weft::http
