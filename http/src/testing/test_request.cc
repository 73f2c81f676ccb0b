#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "http/src/message/request_access.h"
#include "http/src/message/trailers.h"
#include "http/src/parser/request_parser.h"
#include "weft/http/detail/request_host.h"
#include "weft/http/testing.h"
#include "weft/panic.h"

namespace weft::http::testing {
namespace {

constexpr std::size_t kMaxHead = 1024 * 1024;

bool holds_line_end(std::string_view text) { return text.find_first_of("\r\n") != std::string_view::npos; }

bool holds_line_end(const Header& header) {
  return std::any_of(header.begin(), header.end(), [](const Header::Field& field) {
    return holds_line_end(field.name) || holds_line_end(field.value);
  });
}

bool is_chunked(const RequestOptions& options) {
  return options.chunked || !options.trailer.empty() || options.header.has("Transfer-Encoding");
}

// Throws Panic for what would make another request, or a request that no client can send.
void check(const RequestOptions& options) {
  if (holds_line_end(options.method) || holds_line_end(options.target) || holds_line_end(options.host) ||
      holds_line_end(options.header)) {
    panic("http: a test request's start line or fields hold a line end");
  }
  if (holds_line_end(options.trailer)) panic("http: a test request's trailer holds a line end");
  if (is_chunked(options) && options.version < Version{1, 1}) {
    panic("http: a test request below HTTP/1.1 has no chunked body and no trailer");
  }
}

// `framing` is the length that the parser found, -1 for a chunked body.
void check_length(const RequestOptions& options, std::int64_t framing) {
  const auto length = is_chunked(options) ? -1 : static_cast<std::int64_t>(options.body.size());
  if (framing != length) panic("http: a test request's Content-Length isn't the length of its body");
}

std::string make_head(const RequestOptions& options) {
  std::string head = options.method + " " + options.target + " HTTP/" + std::to_string(options.version.major) + "." +
                     std::to_string(options.version.minor) + "\r\nHost: " + options.host + "\r\n";
  for (const Header::Field& field : options.header) {
    head.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  const bool framed = options.header.has("Content-Length") || options.header.has("Transfer-Encoding");
  if (!framed && (options.chunked || !options.trailer.empty())) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (!framed && !options.body.empty()) {
    head += "Content-Length: " + std::to_string(options.body.size()) + "\r\n";
  }
  return head + "\r\n";
}

[[noreturn]] void refuse(const detail::ParseError& error) {
  std::string text = "http: a server would refuse this test request: " + std::to_string(error.status);
  if (!error.detail.empty()) text.append(" ").append(error.detail);
  panic(text);
}

}  // namespace

class TestRequest::Impl final : public Body, public detail::RequestHost {
 public:
  explicit Impl(RequestOptions given) : options_(std::move(given)), rest_(options_.body), head_(make_head(options_)) {
    check(options_);
    detail::RequestParser parser(kMaxHead);
    if (parser.parse(head_) != detail::ParseStatus::complete) refuse(parser.error());
    parser.resolve(head_, detail::RequestAccess::head(request_), request_.header());
    check_length(options_, request_.content_length());
    detail::RequestAccess::attach(request_, *this, options_.context);
    request_.set_body(*this);
  }

  Request& request() noexcept { return request_; }

  IoResult read(std::span<char> buffer) override {
    if (rest_.empty()) {
      end_body();
      return {0, weft::make_error_code(weft::Errc::eof)};
    }
    const std::size_t n = rest_.copy(buffer.data(), buffer.size());
    rest_.remove_prefix(n);
    return {n, {}};
  }

  void on_context(const CancelFunc&) override {}
  net::Address local_address() const override { return options_.local_address; }
  net::Address remote_address() const override { return options_.remote_address; }
  std::string_view scheme() const noexcept override { return options_.scheme; }

 private:
  void end_body() {
    if (std::exchange(ended_, true)) return;
    for (const Header::Field& field : options_.trailer) {
      if (detail::may_be_trailer(field.name)) detail::RequestAccess::trailer(request_).add(field.name, field.value);
    }
  }

  const RequestOptions options_;
  std::string_view rest_;   // of the body
  const std::string head_;  // the request's views look into it
  Request request_;
  bool ended_ = false;
};

TestRequest::TestRequest(RequestOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
TestRequest::~TestRequest() { cancel(); }

Request& TestRequest::operator*() noexcept { return impl_->request(); }
void TestRequest::cancel() { detail::RequestAccess::cancel(impl_->request()); }

}  // namespace weft::http::testing
