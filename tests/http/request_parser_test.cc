// Tables of raw bytes and the verdict on them: whole, byte by byte, split at every point, and after another request.
#include "http/src/parser/request_parser.h"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace weft::http::detail {
namespace {

constexpr std::size_t kLimit = 4096;

// Returns the verdict on the first request in `pieces`, in one line: "GET /x host=a length=0 close ... | Name=value",
// or "400 detail" ("400 detail to HEAD"), or "more". Each piece is shown at another address, as a growing buffer would
// do it.
std::string verdict(const std::vector<std::string_view>& pieces, std::size_t limit = kLimit,
                    std::size_t* used = nullptr) {
  RequestParser parser(limit);
  std::string text;
  ParseStatus status = ParseStatus::need_more;
  for (const std::string_view piece : pieces) {
    std::string grown = text + std::string(piece);
    text.assign(grown.size(), '#');
    text.swap(grown);
    status = parser.parse(text);
    if (status != ParseStatus::need_more) break;
  }
  if (status == ParseStatus::need_more) return "more";
  if (status == ParseStatus::failed) {
    std::string reply = std::to_string(parser.error().status);
    if (!parser.error().detail.empty()) reply += " " + std::string(parser.error().detail);
    if (parser.method(text) == "HEAD") reply += " to HEAD";
    return reply;
  }
  if (used != nullptr) *used = parser.head_size();
  RequestHead head;
  Header header;
  parser.resolve(text, head, header);
  const RequestControl control = parser.control();
  std::string line = std::string(head.method) + " " + std::string(head.path);
  if (!head.query.empty()) line += " ?" + std::string(head.query);
  line += " host=" + std::string(head.host) + " " + std::to_string(head.version.major) + "." +
          std::to_string(head.version.minor);
  line += " length=" + std::to_string(head.content_length);
  if (control.close) line += " close";
  if (control.keep_alive_10) line += " keep-alive";
  if (control.expectation == Expectation::continue_100) line += " continue";
  if (control.expectation == Expectation::unknown) line += " expect?";
  for (const Header::Field& field : header) {
    line += " | " + std::string(field.name) + "=" + std::string(field.value);
  }
  return line;
}

struct Row {
  std::string_view raw;
  std::string_view want;
};

void check(const Row& row) {
  SCOPED_TRACE(testing::PrintToString(row.raw));
  const std::string want(row.want);
  EXPECT_EQ(verdict({row.raw}), want) << "whole";
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < row.raw.size(); ++i) bytes.push_back(row.raw.substr(i, 1));
  EXPECT_EQ(verdict(bytes), want) << "byte by byte";
  for (std::size_t i = 0; i <= row.raw.size(); ++i) {
    EXPECT_EQ(verdict({row.raw.substr(0, i), row.raw.substr(i)}), want) << "split at " << i;
  }
  // After another request, and with one after it.
  const std::string_view other = "GET /other HTTP/1.1\r\nHost: o\r\n\r\n";
  const std::string burst = std::string(other) + std::string(row.raw);
  std::size_t used = 0;
  EXPECT_EQ(verdict({burst}, kLimit, &used), "GET /other host=o 1.1 length=0");
  EXPECT_EQ(verdict({std::string_view(burst).substr(used)}), want) << "pipelined";
  if (want != "more") {
    const std::string followed = std::string(row.raw) + std::string(other);
    EXPECT_EQ(verdict({followed}), want) << "followed by another";
  }
}

TEST(RequestParser, AcceptsWhatIsWellFormed) {
  const Row rows[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=a 1.1 length=0"},
      {"GET /a/b?x=1&y=%zz HTTP/1.1\r\nHost: a:80\r\n\r\n", "GET /a/b ?x=1&y=%zz host=a:80 1.1 length=0"},
      {"GET /%2F%7e HTTP/1.1\r\nHost:a\r\n\r\n", "GET /%2F%7e host=a 1.1 length=0"},
      {"GET /? HTTP/1.1\r\nHost:\r\n\r\n", "GET / host= 1.1 length=0"},
      {"GET //a//b HTTP/1.1\r\nHost: a\r\n\r\n", "GET //a//b host=a 1.1 length=0"},
      {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET / host=a 1.2 length=0"},
      {"M-SEARCH / HTTP/1.1\r\nhOST: a\r\n\r\n", "M-SEARCH / host=a 1.1 length=0"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX:  \t v w \t \r\nY:\r\n\r\n", "GET / host=a 1.1 length=0 | X=v w | Y="},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\xff\r\n\r\n", "GET / host=a 1.1 length=0 | X=\xc3\xa9\xff"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n", "GET / host=a 1.1 length=0 | X=1 | x=2"},
      {"GET / HTTP/1.1\r\nHost: a\r\nx!#$%&'*+-.^_`|~: 1\r\n\r\n", "GET / host=a 1.1 length=0 | x!#$%&'*+-.^_`|~=1"},
      {"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / host=[::1]:8080 1.1 length=0"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST / host=a 1.1 length=0 | Content-Length=0"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\n",
       "POST / host=a 1.1 length=5 | Content-Length=0005"},
      {"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 9223372036854775807\r\n\r\n",
       "POST / host=a 1.1 length=9223372036854775807 | content-length=9223372036854775807"},
      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", "GET / host=a 1.1 length=4 | Content-Length=4"},
      {"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", "HEAD / host=a 1.1 length=4 | Content-Length=4"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "POST / host=a 1.1 length=-1"},
      {"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:CHUNKED \r\n\r\n", "POST / host=a 1.1 length=-1"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / host=a 1.1 length=0 close | Connection=close"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, ClosE\r\n\r\n",
       "GET / host=a 1.1 length=0 close | Connection=x, ClosE"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", "GET / host=a 1.1 length=0 | Connection=closed"},
      {"GET / HTTP/1.0\r\n\r\n", "GET / host= 1.0 length=0 close"},
      {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
       "GET / host= 1.0 length=0 keep-alive | Connection=Keep-Alive"},
      {"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
       "PUT / host=a 1.1 length=1 continue | Expect=100-Continue | Content-Length=1"},
      {"PUT / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "PUT / host=a 1.1 length=0 expect? | Expect=x"},
  };
  for (const Row& row : rows) check(row);
}

TEST(RequestParser, KnowsTheFormsOfTargets) {
  const Row rows[] = {
      {"GET http://b/x?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x ?q host=b 1.1 length=0"},
      {"GET HTTP://b:80 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=b:80 1.1 length=0"},
      {"GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET / ?q host=b 1.1 length=0"},
      {"GET https://[::1]/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=[::1] 1.1 length=0"},
      {"GET http://b/x HTTP/1.1\r\n\r\n", "400 missing required Host header"},
      {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://u@b/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://u:p@b/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://b:abc/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://b:65536/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://[zz]/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://a%zz/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET http://a%41:/ HTTP/1.1\r\nHost:\r\n\r\n", "GET / host=a%41: 1.1 length=0"},
      {"GET http://b/x HTTP/1.1\r\nHost: bad{host}\r\n\r\n", "400 malformed Host header"},
      {"GET ftp://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * host=a 1.1 length=0"},
      {"CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT  host=b:443 1.1 length=0"},
      {"CONNECT [::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT  host=[::1]:443 1.1 length=0"},
      {"CONNECT b:443 HTTP/1.1\r\n\r\n", "400 missing required Host header"},
      {"CONNECT b:443 HTTP/1.0\r\n\r\n", "CONNECT  host=b:443 1.0 length=0 close"},
      {"CONNECT b:443 HTTP/1.1\r\nHost: a b\r\n\r\n", "400 malformed Host header"},
      {"CONNECT b HTTP/1.1\r\nHost: b\r\n\r\n", "400"},
      {"CONNECT b: HTTP/1.1\r\nHost: b\r\n\r\n", "400"},
      {"CONNECT b:0 HTTP/1.1\r\nHost: b\r\n\r\n", "400"},
      {"CONNECT b:99999 HTTP/1.1\r\nHost: b\r\n\r\n", "400"},
      {"CONNECT :443 HTTP/1.1\r\nHost: b\r\n\r\n", "400"},
      {"CONNECT * HTTP/1.1\r\nHost: b\r\n\r\n", "400"},
      {"CONNECT [::1] HTTP/1.1\r\nHost: b\r\n\r\n", "400"},
      {"CONNECT u@b:443 HTTP/1.1\r\nHost: b\r\n\r\n", "400"},
      {"CONNECT /rpc HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT /rpc host=a 1.1 length=0"},
      {"CONNECT http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
  };
  for (const Row& row : rows) check(row);
}

TEST(RequestParser, RefusesMalformedStartLines) {
  const Row rows[] = {
      {"GET /\r\nHost: a\r\n\r\n", "400"},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400"},
      {"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET /% HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {std::string_view("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 28), "400"},
      {"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET / http/1.1\r\nHost: a\r\n\r\n", "400"},
      {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400"},
      {"GET / HTTP/11\r\nHost: a\r\n\r\n", "400"},
      {"GET / HTTP/x.1\r\nHost: a\r\n\r\n", "400"},
      {"GET / HTTP/1.1\nHost: a\r\n\r\n", "400"},
      {"GET / HTTP/1.1\rHost: a\r\n\r\n", "400"},
      {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 unsupported protocol version"},
      {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505 unsupported protocol version"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 unsupported protocol version"},
      {"\x16\x03\x01\x02\n", "400"},
      {"\x16\x03\x01\x02", "more"},
  };
  for (const Row& row : rows) check(row);
}

TEST(RequestParser, RefusesMalformedFields) {
  const Row rows[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\nFoo : b\r\n\r\n", "400 invalid header name"},
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 invalid header name"},
      {"GET / HTTP/1.1\r\nHost: a\r\nFo@o: b\r\n\r\n", "400 invalid header name"},
      {"GET / HTTP/1.1\r\nHost: a\r\nF\xc3\xb3o: b\r\n\r\n", "400 invalid header name"},
      {"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "400 invalid header name"},
      {"GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01z\r\n\r\n", "400 invalid header value"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fz\r\n\r\n", "400 invalid header value"},
      {std::string_view("GET / HTTP/1.1\r\nHost: a\r\nX: a\0z\r\n\r\n", 35), "400 invalid header value"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rz\r\n\r\n", "400 invalid header value"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", "400 invalid header value"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tY: b\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: no end", "more"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX@", "more"},
      {"GET / HTTP/1.1\r\nHost: a\r\n", "more"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\r", "more"},
  };
  for (const Row& row : rows) check(row);
}

TEST(RequestParser, ChecksHost) {
  const Row rows[] = {
      {"GET / HTTP/1.1\r\n\r\n", "400 missing required Host header"},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nhost: b\r\n\r\n", "400"},
      {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
      {"GET http://c/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 malformed Host header"},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 malformed Host header"},
      {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 malformed Host header"},
      {"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", "400 malformed Host header"},
      {"GET / HTTP/1.0\r\nHost: a:b\r\n\r\n", "400 malformed Host header"},
      {"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET / host=a: 1.1 length=0"},
      {"GET / HTTP/1.1\r\nHost:  \t\r\n\r\n", "GET / host= 1.1 length=0"},
      {"GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n", "400"},
  };
  for (const Row& row : rows) check(row);
  // All others are in authority_test.cc.
  for (const std::string host : {"[::1", "::1]", "[zz]", "[]", "a[b", "[1.2.3.4]", "[::1]x", "a:b:c", "localhost:abc",
                                 "localhost:-1", "localhost:65536", "a%zz", ":80", "[fe80::1%25eth0]"}) {
    check({"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "400 malformed Host header"});
  }
}

TEST(RequestParser, TellsTheMethodOfWhatItRefuses) {
  const Row rows[] = {
      {"HEAD / HTTP/1.1\r\n\r\n", "400 missing required Host header to HEAD"},
      {"HEAD / HTTP/1.1\r\nHost : a\r\n\r\n", "400 invalid header name to HEAD"},
      {"\r\n\r\nHEAD /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400 to HEAD"},
      {"HEAD / HTTP/2.0\r\n\r\n", "505 unsupported protocol version to HEAD"},
      {"HEAD / \r\n\r\n", "400 to HEAD"},
      {"HEAD\r\n\r\n", "400"},
      {"HEADER / HTTP/1.1\r\n\r\n", "400 missing required Host header"},
      {"HEAD@ / HTTP/1.1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHEAD : x\r\n\r\n", "400 invalid header name"},
  };
  for (const Row& row : rows) check(row);
}

TEST(RequestParser, LeavesNoRoomForSmuggling) {
  const Row rows[] = {
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: 1\r\ncontent-length:5\r\n\r\n",
       "POST / host=a 1.1 length=5 | Content-Length=5 | X=1"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
       "POST / host=a 1.1 length=-1 close"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
       "POST / host=a 1.1 length=-1 close"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Unsupported transfer encoding"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", "501 Unsupported transfer encoding"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", "501 Unsupported transfer encoding"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501 Unsupported transfer encoding"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
       "501 Unsupported transfer encoding"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "501 Unsupported transfer encoding"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       "501 Unsupported transfer encoding"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
       "501 Unsupported transfer encoding"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", "400 invalid header name"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b"
       "chunked\r\n\r\n",
       "400 invalid header value"},
      {"POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\n Transfer-Encoding: chunked\r\n\r\n", "400"},
      {"POST / HTTP/1.0\r\nContent-Length: 5\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
       "POST / host= 1.0 length=5 close keep-alive | Content-Length=5 | Connection=keep-alive"},
  };
  for (const Row& row : rows) check(row);
}

TEST(RequestParser, SkipsAFewEmptyLinesBeforeTheRequest) {
  const Row rows[] = {
      {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=a 1.1 length=0"},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=a 1.1 length=0"},
      {"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=a 1.1 length=0"},
      {"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"\r\n", "more"},
      {"\r\n\r\n\r\n\r\n", "more"},
      {"\r\n\r\n\r\n\r\n\r", "more"},
      {"\r\n\r\n\r\n\r\n\r\n", "400"},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"\r\n\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"\r\n GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {" \r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
  };
  for (const Row& row : rows) check(row);
}

TEST(RequestParser, LimitsTheHead) {
  const std::string prefix = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const std::string fits = prefix + std::string(kLimit - prefix.size() - 4, 'x') + "\r\n\r\n";
  ASSERT_EQ(fits.size(), kLimit);
  EXPECT_TRUE(verdict({fits}).starts_with("GET / host=a"));
  const std::string big = prefix + std::string(kLimit - prefix.size() - 3, 'x') + "\r\n\r\n";
  const std::string target = "GET /" + std::string(kLimit, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  // What is wrong lies past the limit and isn't looked at.
  const std::string late = prefix + std::string(kLimit, 'x') + "\x01\r\n\r\n";
  for (const std::string& raw : {big, target, late}) {
    EXPECT_EQ(verdict({raw}), "431");
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < raw.size(); ++i) bytes.push_back(std::string_view(raw).substr(i, 1));
    EXPECT_EQ(verdict(bytes), "431");
    for (std::size_t i = 0; i <= raw.size(); i += 97) {
      EXPECT_EQ(verdict({std::string_view(raw).substr(0, i), std::string_view(raw).substr(i)}), "431") << i;
    }
    const std::string head = "HEAD" + raw.substr(3);
    EXPECT_EQ(verdict({head}), "431 to HEAD");
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(verdict({std::string_view(head).substr(0, i), std::string_view(head).substr(i)}), "431 to HEAD") << i;
    }
  }
  EXPECT_EQ(verdict({std::string(kLimit + 1, 'H') + " /"}), "431");
}

TEST(RequestParser, LimitsTheNumberOfFields) {
  std::string raw = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::size_t i = 0; i < kMaxHeaderFields; ++i) raw += "X:\r\n";
  EXPECT_TRUE(verdict({raw + "\r\n"}, 1 << 20).starts_with("GET / host=a"));
  EXPECT_EQ(verdict({raw + "X:\r\n\r\n"}, 1 << 20), "431");
}

TEST(RequestParser, ServesOneRequestAfterAnother) {
  const std::string burst =
      "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: x\r\nContent-Length: 3\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: c\r\n\r\n";
  RequestParser parser(kLimit);
  std::string_view rest = burst;
  std::vector<std::string> seen;
  while (!rest.empty()) {
    parser.reset();
    ASSERT_EQ(parser.parse(rest), ParseStatus::complete);
    RequestHead head;
    Header header;
    parser.resolve(rest, head, header);
    seen.push_back(std::string(head.path) + " " + std::string(head.host) + " " + std::to_string(head.content_length) +
                   (parser.control().close ? " close" : "") + " " + std::to_string(header.size()));
    rest.remove_prefix(parser.head_size());
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"/1 a 3 close 3", "/2 b -1 0", "/3 c 0 0"}));
}

}  // namespace
}  // namespace weft::http::detail
