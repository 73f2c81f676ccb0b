// The libFuzzer entry for the decoder of chunked bodies.
//
// The first byte says where the input is cut in two. Whatever the bytes are, the body, the trailer and the verdict
// don't depend on the cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

#include "http/src/parser/chunked.h"

namespace {

using weft::http::detail::ChunkedDecoder;

struct Outcome {
  std::string body;
  std::string trailer;
  std::error_code error;
  bool done = false;
  std::size_t used = 0;
};

void feed(ChunkedDecoder& decoder, std::string_view input, std::size_t max_data, Outcome& outcome) {
  while (!input.empty() && !decoder.done() && !decoder.error()) {
    const ChunkedDecoder::Step step = decoder.decode(input, max_data);
    if (step.consumed > input.size() || step.data.size() > max_data) std::abort();
    outcome.body += step.data;
    outcome.used += step.consumed;
    input.remove_prefix(step.consumed);
  }
  outcome.error = decoder.error();
  outcome.done = decoder.done();
  if (outcome.done) outcome.trailer = decoder.trailer();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  Outcome whole;
  ChunkedDecoder one;
  feed(one, input, 1 << 20, whole);

  const std::size_t cut = input.size() * data[0] / 256;
  Outcome split;
  ChunkedDecoder two;
  feed(two, input.substr(0, cut), 1 + data[0] % 7, split);
  feed(two, input.substr(cut), 1 + data[0] % 5, split);
  if (whole.body != split.body || whole.error != split.error || whole.done != split.done || whole.used != split.used ||
      whole.trailer != split.trailer) {
    std::abort();
  }
  return 0;
}
