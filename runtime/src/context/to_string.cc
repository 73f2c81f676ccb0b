// to_string(Context): Go's String() methods of contexts.
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "runtime/src/base/clock.h"
#include "runtime/src/context/node.h"
#include "runtime/src/sched/caller_clock.h"
#include "weft/context.h"

namespace weft {
namespace {

constexpr std::uint64_t kMicrosecond = 1000;
constexpr std::uint64_t kMillisecond = 1000 * kMicrosecond;
constexpr std::uint64_t kSecond = 1000 * kMillisecond;

// Returns value / unit without trailing zeros: "1.5".
std::string decimal(std::uint64_t value, std::uint64_t unit) {
  std::string text = std::to_string(value / unit);
  std::string fraction = std::to_string(unit + value % unit).substr(1);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (!fraction.empty()) text += "." + fraction;
  return text;
}

// Returns a - b for b >= 0, and the least number there is instead of an overflow.
rt::Nanos saturating_sub(rt::Nanos a, rt::Nanos b) noexcept {
  rt::Nanos difference = 0;
  return __builtin_sub_overflow(a, b, &difference) ? std::numeric_limits<rt::Nanos>::min() : difference;
}

// Returns a duration as Go prints a time.Duration: "1h0m0.5s", "1.5ms", "0s".
std::string duration_text(rt::Nanos duration) {
  const bool negative = duration < 0;
  const std::uint64_t n = negative ? 0 - static_cast<std::uint64_t>(duration) : static_cast<std::uint64_t>(duration);
  std::string text = negative ? "-" : "";
  if (n == 0) return "0s";
  if (n < kMicrosecond) return text + decimal(n, 1) + "ns";
  if (n < kMillisecond) return text + decimal(n, kMicrosecond) + "\u00b5s";
  if (n < kSecond) return text + decimal(n, kMillisecond) + "ms";
  const std::uint64_t minutes = n / (60 * kSecond);
  if (minutes >= 60) text += std::to_string(minutes / 60) + "h";
  if (minutes >= 1) text += std::to_string(minutes % 60) + "m";
  return text + decimal(n % (60 * kSecond), kSecond) + "s";
}

// Returns the name in a signature of detail::context_key_signature(): GCC has "... [with Key = NAME]", Clang has
// "... [Key = NAME]".
std::string key_name(std::string_view signature) {
  constexpr std::string_view kBefore = "Key = ";
  std::string name(signature);
  if (const std::size_t begin = name.find(kBefore); begin != std::string::npos) {
    name = name.substr(begin + kBefore.size());
    name.pop_back();
  }
  constexpr std::string_view kGccsUnnamed = "{anonymous}";
  for (std::size_t at = 0; (at = name.find(kGccsUnnamed, at)) != std::string::npos;)
    name.replace(at, kGccsUnnamed.size(), "(anonymous namespace)");
  return name;
}

}  // namespace

namespace detail {

void ContextNode::append_name(std::string& text) const { text += ".WithoutCancel"; }

void ValueNode::append_name(std::string& text) const {
  text += ".WithValue(" + key_name(*static_cast<const char* const*>(key())) + ")";
}

void CancelNode::append_name(std::string& text) const { text += ".WithCancel"; }

void DeadlineNode::append_name(std::string& text) const {
  const rt::Nanos at = deadline();
  const std::uint64_t distance = at < 0 ? 0 - static_cast<std::uint64_t>(at) : static_cast<std::uint64_t>(at);
  fmt::format_to(std::back_inserter(text), ".WithDeadline(m={}{}.{:09} [{}])", at < 0 ? '-' : '+', distance / kSecond,
                 distance % kSecond, duration_text(saturating_sub(at, rt::caller_now())));
}

}  // namespace detail

std::string to_string(const Context& context) {
  std::vector<const detail::ContextNode*> nodes;
  for (const detail::ContextNode* node = context.node(); node != nullptr; node = node->parent()) nodes.push_back(node);
  std::string text = "context.Background";
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) (*node)->append_name(text);
  return text;
}

}  // namespace weft
