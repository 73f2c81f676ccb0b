// Escapes and paths of URLs (RFC 3986; Go's path.Clean on escaped paths).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weft::http::detail {

enum class Unescape { path, query };  // `query` makes '+' a space

// Returns the text with "A" for "%41"; nothing when an escape is broken.
std::optional<std::string> unescape(std::string_view text, Unescape mode);

// Writes the unescaped text to `out`, which has room for text.size(), and returns its size. Broken escapes stay as they
// are.
std::size_t unescape_to(char* out, std::string_view text, Unescape mode);

// Whether clean_path() would change nothing.
bool is_clean_path(std::string_view path);

// Returns the path without empty, "." and ".." segments. It begins with '/', and ends with '/' if `path` did.
std::string clean_path(std::string_view path);

}  // namespace weft::http::detail
