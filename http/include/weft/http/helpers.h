// Answers that handlers give often: errors and redirects (Go's http.Error, http.NotFound, http.Redirect).
//
// Thread safety and blocking: those of the ResponseWriter. An error of a write is dropped; the connection ends with the
// handler.
#pragma once

#include <string>
#include <string_view>

#include <weft/http/request.h>
#include <weft/http/response_writer.h>

namespace weft::http {

// Answers with `code` and `message` plus a line end as plain text. Content-Length and Content-Encoding, which would
// describe another body, are removed. Nothing should be written after it.
void error(ResponseWriter& w, std::string_view message, int code);

// Answers with 404 and "404 page not found".
void not_found(ResponseWriter& w, Request& r);

// Sends the client to `url`, with a 3xx code. A relative URL is resolved against the request's path and cleaned; a '/'
// at its end and its query stay. GET gets a line of HTML, too, unless Content-Type is set.
void redirect(ResponseWriter& w, Request& r, std::string_view url, int code);

// Returns `text` for HTML, with & < > " ' escaped. Any thread; doesn't block.
std::string html_escape(std::string_view text);

}  // namespace weft::http
