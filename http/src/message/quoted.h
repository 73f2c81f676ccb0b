// Text from outside in log lines: what a client sent, what an exception says, what a handler passes on.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace weft::http::detail {

// Returns the text in double quotes, with line ends, control characters, quotes, backslashes and broken UTF-8 escaped.
// So it neither ends its line nor passes for what stands around it.
inline std::string quoted(std::string_view text) { return fmt::format("{:?}", text); }

}  // namespace weft::http::detail
