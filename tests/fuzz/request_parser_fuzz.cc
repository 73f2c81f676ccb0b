// The libFuzzer entry for the request parser.
//
// The first byte says where the input is cut in two. Whatever the bytes are, the verdict doesn't depend on the cut,
// every view that the parser gives lies inside the head, and the host that it gives is an authority or nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/src/message/authority.h"
#include "http/src/parser/request_parser.h"

namespace {

using namespace weft::http;
using namespace weft::http::detail;

constexpr std::size_t kLimit = 2048;

void require(bool condition) {
  if (!condition) std::abort();
}

bool inside(std::string_view outer, std::string_view inner) {
  return inner.empty() || inner == "/" ||
         (inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size());
}

std::string describe(const RequestParser& parser, ParseStatus status, std::string_view input) {
  if (status == ParseStatus::need_more) return "more";
  if (status == ParseStatus::failed) {
    return std::to_string(parser.error().status) + " " + std::string(parser.error().detail) + " " +
           std::string(parser.method(input));
  }
  require(parser.head_size() <= input.size() && parser.head_size() <= kLimit);
  const std::string_view whole = input.substr(0, parser.head_size());
  RequestHead head;
  Header header;
  parser.resolve(input, head, header);
  std::string text = std::to_string(parser.head_size()) + " " + std::to_string(head.content_length) +
                     (parser.control().close ? " close" : "") + " " + std::to_string(head.version.minor);
  for (const std::string_view view : {head.method, head.target, head.path, head.query, head.host}) {
    require(inside(whole, view));
    text.append("\n").append(view);
  }
  if (!head.host.empty()) {
    const auto authority = parse_authority(head.host);
    require(authority && inside(head.host, authority->host) && inside(head.host, strip_port(head.host)));
  }
  for (const Header::Field& field : header) {
    require(!field.name.empty() && inside(whole, field.name) && inside(whole, field.value));
    text.append("\n").append(field.name).append(":").append(field.value);
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string input(reinterpret_cast<const char*>(data + 1), size - 1);
  RequestParser whole(kLimit);
  const std::string want = describe(whole, whole.parse(input), input);

  const std::size_t cut = input.size() * data[0] / 256;
  RequestParser split(kLimit);
  const std::string front = input.substr(0, cut);
  ParseStatus status = split.parse(front);
  // When the whole head stands before the cut, the parser judges it there.
  const std::string got =
      status == ParseStatus::need_more ? describe(split, split.parse(input), input) : describe(split, status, front);
  require(got == want);
  return 0;
}
