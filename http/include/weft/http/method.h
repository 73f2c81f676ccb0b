// The common request methods (RFC 9110 section 9). A method is any token; these are names for the usual ones.
#pragma once

#include <string_view>

namespace weft::http {

inline constexpr std::string_view kMethodGet = "GET";
inline constexpr std::string_view kMethodHead = "HEAD";
inline constexpr std::string_view kMethodPost = "POST";
inline constexpr std::string_view kMethodPut = "PUT";
inline constexpr std::string_view kMethodPatch = "PATCH";
inline constexpr std::string_view kMethodDelete = "DELETE";
inline constexpr std::string_view kMethodConnect = "CONNECT";
inline constexpr std::string_view kMethodOptions = "OPTIONS";
inline constexpr std::string_view kMethodTrace = "TRACE";

}  // namespace weft::http
