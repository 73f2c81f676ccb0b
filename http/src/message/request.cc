#include "weft/http/request.h"

#include <algorithm>

#include "http/src/message/request_access.h"
#include "http/src/message/url.h"
#include "weft/http/errc.h"

namespace weft::http {
namespace {

class EmptyBody final : public Body {
 public:
  IoResult read(std::span<char>) override { return {0, weft::make_error_code(weft::Errc::eof)}; }
};

EmptyBody empty_body;

}  // namespace

Request::Request() : body_(&empty_body) {}

std::string_view Request::path() const {
  if (!decoded_path_) {
    const std::string_view raw = head_.path;
    if (head_.plain_path || raw.find('%') == std::string_view::npos) {
      decoded_path_ = raw;
    } else {
      char* const text = text_.allocate(raw.size());
      decoded_path_ = std::string_view(text, detail::unescape_to(text, raw, detail::Unescape::path));
    }
  }
  return *decoded_path_;
}

std::optional<std::string> Request::query_value(std::string_view name) const {
  std::string_view rest = head_.query;
  while (!rest.empty()) {
    const std::size_t amp = rest.find('&');
    const std::string_view pair = rest.substr(0, amp);
    const std::size_t equals = pair.find('=');
    if (detail::unescape(pair.substr(0, equals), detail::Unescape::query) == name) {
      if (equals == std::string_view::npos) return std::string();
      if (auto value = detail::unescape(pair.substr(equals + 1), detail::Unescape::query)) return value;
    }
    if (amp == std::string_view::npos) break;
    rest.remove_prefix(amp + 1);
  }
  return std::nullopt;
}

Result<std::string> Request::read_body(std::size_t limit) {
  constexpr std::size_t kStep = 4096;
  // One byte past the limit tells that there is more.
  const std::size_t most = limit + (limit < std::string::npos / 2 ? 1 : 0);
  std::string content;
  if (head_.content_length > 0 && static_cast<std::uint64_t>(head_.content_length) > limit) {
    return Unexpected(Error(make_error_code(Errc::body_too_large)));
  }
  // A declared length is only a promise: room grows with what really comes.
  std::size_t size = 0;
  while (true) {
    if (size == content.size()) {
      const std::size_t declared = head_.content_length > 0 ? static_cast<std::size_t>(head_.content_length) : 0;
      const std::size_t first = std::clamp(declared + 1, kStep, 64 * kStep);
      content.resize(std::min(std::max(size * 2, first), most));
    }
    const IoResult got = body_->read({content.data() + size, content.size() - size});
    size += got.n;
    if (size > limit) return Unexpected(Error(make_error_code(Errc::body_too_large)));
    if (got.ec == Condition::eof) break;
    if (got.ec) return Unexpected(Error(got.ec));
  }
  content.resize(size);
  return content;
}

const Context& Request::context() {
  if (!context_) {
    auto [made, cancel] = with_cancel(base_context_ != nullptr ? *base_context_ : background());
    context_ = std::move(made);
    cancel_ = std::move(cancel);
    if (host_ != nullptr) host_->on_context(cancel_);
  }
  return *context_;
}

void Request::set_context(Context made) {
  context();  // what the handler's return cancels
  context_ = std::move(made);
}

std::string_view Request::path_value(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < std::min(path_value_count_, kInlinePathValues); ++i) {
    if (path_values_[i].name == name) return path_values_[i].value;
  }
  for (const PathValue& more : more_path_values_) {
    if (more.name == name) return more.value;
  }
  return {};
}

net::Address Request::remote_address() const { return host_ != nullptr ? host_->remote_address() : net::Address(); }
net::Address Request::local_address() const { return host_ != nullptr ? host_->local_address() : net::Address(); }

namespace detail {

void RequestAccess::clear(Request& request) {
  request.header_.clear();
  if (!request.trailer_.empty()) request.trailer_.clear();
  if (request.context_) {
    request.context_.reset();
    request.cancel_ = {};
  }
  request.pattern_ = {};
  request.path_value_count_ = 0;
  if (!request.more_path_values_.empty()) request.more_path_values_.clear();
  request.decoded_path_.reset();
  request.text_.clear();
}

void RequestAccess::add_path_value(Request& request, std::string_view name, std::string_view value) {
  const Request::PathValue entry{name, value};
  if (request.path_value_count_ < Request::kInlinePathValues) {
    request.path_values_[request.path_value_count_] = entry;
  } else {
    request.more_path_values_.push_back(entry);
  }
  ++request.path_value_count_;
}

}  // namespace detail

}  // namespace weft::http
