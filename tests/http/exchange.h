// One request and its recorded response, without a connection: for tests of handlers.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "http/src/message/request_access.h"
#include "http/src/parser/request_parser.h"
#include "weft/http/request.h"
#include "weft/http/response_writer.h"

namespace weft::http::test {

// Keeps what a handler writes.
class Recorder final : public ResponseWriter {
 public:
  Header& header() override { return header_; }
  void write_header(int code) override {
    if (status == 0) status = code;
  }
  IoResult write(std::string_view data) override {
    write_header(200);
    body += data;
    return {data.size(), {}};
  }
  std::error_code flush() override { return {}; }

  int status = 0;
  std::string body;

 private:
  Header header_;
};

// A request out of its raw head.
class RawRequest {
 public:
  explicit RawRequest(std::string raw) : raw_(std::move(raw)) {
    detail::RequestParser parser(1 << 20);
    if (parser.parse(raw_) != detail::ParseStatus::complete)
      throw std::invalid_argument("bad request in a test: " + raw_);
    parser.resolve(raw_, detail::RequestAccess::head(request), request.header());
  }
  RawRequest(std::string_view method, std::string_view target, std::string_view host = "h")
      : RawRequest(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
                   "\r\n\r\n") {}

 private:
  std::string raw_;

 public:
  Request request;
};

}  // namespace weft::http::test
