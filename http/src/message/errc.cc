#include "weft/http/errc.h"

#include <string>

namespace weft::http {
namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "weft.http"; }

  std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::server_closed:
        return "http: Server closed";
      case Errc::body_not_allowed:
        return "http: request method or response status code does not allow body";
      case Errc::content_length:
        return "http: wrote more than the declared Content-Length";
      case Errc::body_too_large:
        return "http: request body too large";
      case Errc::body_closed:
        return "http: invalid Read on closed Body";
      case Errc::unexpected_eof:
        return "unexpected EOF";
      case Errc::malformed_chunk:
        return "malformed chunked encoding";
      case Errc::chunk_line_too_long:
        return "header line too long";
      case Errc::trailer_too_long:
        return "http: suspiciously long trailer after chunked body";
      case Errc::malformed_trailer:
        return "malformed trailer";
      case Errc::not_supported:
        return "feature not supported";
      case Errc::hijacked:
        return "http: connection has been hijacked";
    }
    return "unknown http error " + std::to_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<Errc>(value)) {
      case Errc::server_closed:
        return weft::make_error_condition(Condition::closed);
      case Errc::not_supported:
        return std::make_error_condition(std::errc::not_supported);
      default:
        return {value, *this};
    }
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), error_category()}; }

}  // namespace weft::http
