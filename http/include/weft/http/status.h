// Status codes and their texts (RFC 9110 section 15, the IANA registry; Go's http.StatusText).
#pragma once

#include <string_view>

namespace weft::http {

inline constexpr int kStatusContinue = 100;
inline constexpr int kStatusSwitchingProtocols = 101;
inline constexpr int kStatusEarlyHints = 103;
inline constexpr int kStatusOk = 200;
inline constexpr int kStatusCreated = 201;
inline constexpr int kStatusAccepted = 202;
inline constexpr int kStatusNoContent = 204;
inline constexpr int kStatusResetContent = 205;
inline constexpr int kStatusPartialContent = 206;
inline constexpr int kStatusMovedPermanently = 301;
inline constexpr int kStatusFound = 302;
inline constexpr int kStatusSeeOther = 303;
inline constexpr int kStatusNotModified = 304;
inline constexpr int kStatusTemporaryRedirect = 307;
inline constexpr int kStatusPermanentRedirect = 308;
inline constexpr int kStatusBadRequest = 400;
inline constexpr int kStatusUnauthorized = 401;
inline constexpr int kStatusForbidden = 403;
inline constexpr int kStatusNotFound = 404;
inline constexpr int kStatusMethodNotAllowed = 405;
inline constexpr int kStatusRequestTimeout = 408;
inline constexpr int kStatusConflict = 409;
inline constexpr int kStatusGone = 410;
inline constexpr int kStatusPreconditionFailed = 412;
inline constexpr int kStatusRequestEntityTooLarge = 413;
inline constexpr int kStatusUnsupportedMediaType = 415;
inline constexpr int kStatusRangeNotSatisfiable = 416;
inline constexpr int kStatusExpectationFailed = 417;
inline constexpr int kStatusUnprocessableEntity = 422;
inline constexpr int kStatusTooManyRequests = 429;
inline constexpr int kStatusRequestHeaderFieldsTooLarge = 431;
inline constexpr int kStatusInternalServerError = 500;
inline constexpr int kStatusNotImplemented = 501;
inline constexpr int kStatusBadGateway = 502;
inline constexpr int kStatusServiceUnavailable = 503;
inline constexpr int kStatusGatewayTimeout = 504;
inline constexpr int kStatusHttpVersionNotSupported = 505;

// Returns "OK" for 200, nothing for a code that isn't registered. The text is a constant. Any thread; doesn't block.
std::string_view status_text(int code) noexcept;

// False for 1xx, 204, 205 and 304, whose responses have no body (RFC 9110 section 15). Go allows one for 205.
constexpr bool body_allowed_for_status(int code) noexcept {
  return code >= 200 && code != kStatusNoContent && code != kStatusResetContent && code != kStatusNotModified;
}

}  // namespace weft::http
