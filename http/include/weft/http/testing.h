// Tests of handlers without a network: a request to give and a recorder to look at afterwards (Go's package httptest).
//
//   weft::http::testing::TestRequest request({.method = "POST", .target = "/users?x=1", .body = "{}"});
//   weft::http::testing::Recorder recorder;
//   handler(recorder, request);
//   EXPECT_EQ(recorder.code(), 201);
//   EXPECT_EQ(recorder.sent_header().get("Location"), "/users/7");
//
// A library for the tests of programs. Nothing here opens a connection, and nothing here blocks. Handlers that wait
// (for a context, a channel, a mutex) are called from a goroutine, as elsewhere.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <weft/context.h>
#include <weft/error.h>
#include <weft/http/header.h>
#include <weft/http/request.h>
#include <weft/http/response_writer.h>
#include <weft/http/version.h>
#include <weft/net/conn.h>
#include <weft/panic.h>

namespace weft::http::testing {

// A ResponseWriter that keeps what a handler writes. It holds the rules of the server's own writer as far as they need
// no client: the header is fixed by write_header(), a second call of it is ignored, and a status without a body refuses
// one. It adds no fields, compares no Content-Length, and supports neither deadlines nor full duplex nor hijack().
//
// Thread safety: none; one goroutine at a time. Lifetime: what is asked of the recorder lives as long as the recorder,
// and until the next call that writes.
class Recorder final : public ResponseWriter {
 public:
  // The handler's side.
  Header& header() override { return header_; }
  void write_header(int code) override;
  IoResult write(std::string_view data) override;
  std::error_code flush() override;
  int status() const noexcept override { return status_; }
  std::uint64_t bytes_written() const noexcept override { return body_.size(); }

  // What a client would have seen once the handler has returned. 200 when the handler wrote nothing.
  int code() const noexcept { return status_ != 0 ? status_ : 200; }
  // The fields as they were when write_header() fixed them; as they are now when nothing was written.
  const Header& sent_header() const noexcept { return status_ != 0 ? sent_header_ : header_; }
  const std::string& body() const noexcept { return body_; }
  // The trailer fields that header() holds now: those with kTrailerPrefix, and those that were announced before the
  // body in a Trailer field. Fields that may not be trailers are left out. None where the server would send no chunks:
  // for a status without a body, or after the handler has set a Content-Length. The recorder doesn't know its request,
  // so it can't tell that the answer to HEAD, or to HTTP/1.0, has no trailer either.
  Header trailer() const;
  // The handler has called flush().
  bool flushed() const noexcept { return flushed_; }
  // The 1xx codes that were sent before the response.
  const std::vector<int>& interim() const noexcept { return interim_; }

 private:
  Header header_;
  Header sent_header_;
  std::string body_;
  std::vector<int> interim_;
  int status_ = 0;
  bool flushed_ = false;
};

// What a TestRequest is made of.
struct RequestOptions {
  std::string method = "GET";
  // Any form that a start line may hold: "/path?query", "http://host/path", "host:port" for CONNECT, "*".
  std::string target = "/";
  std::string host = "example.com";
  // 1.0 or 1.1.
  Version version = {};
  // More fields. Content-Length, or Transfer-Encoding for a chunked body, is added where neither is here. A
  // Content-Length that is here must be the length of the body.
  Header header = {};
  std::string body = {};
  // The body is announced as one whose end alone tells its length, so that content_length() is -1.
  bool chunked = false;
  // What Request::trailer() is once the body was read; makes the body chunked.
  Header trailer = {};
  // What Request::context() is made from.
  Context context = {};
  std::string scheme = "http";
  net::Address remote_address = {};
  net::Address local_address = {};
};

// A request as the server would hand it to a handler: it went through the server's own parser.
//
// Thread safety: none; one goroutine at a time. Lifetime: the request and every view that comes out of it live as long
// as the TestRequest.
class TestRequest {
 public:
  // Throws Panic for what the server would refuse, and for what no client can say: a line end in a field or in the
  // start line, a Content-Length that isn't the body's, chunks or a trailer below HTTP/1.1. The text says how.
  explicit TestRequest(RequestOptions options = {});
  TestRequest(const TestRequest&) = delete;
  TestRequest& operator=(const TestRequest&) = delete;
  ~TestRequest();

  Request& operator*() noexcept;
  Request* operator->() noexcept { return &**this; }
  operator Request&() noexcept { return **this; }  // NOLINT(google-explicit-constructor): handler(recorder, request)

  // Ends the request's context, as the handler's return does, or a client that goes away.
  void cancel();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace weft::http::testing
