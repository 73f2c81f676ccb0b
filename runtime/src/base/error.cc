#include "weft/error.h"

#include <utility>

namespace weft {
namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "weft"; }

  std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::eof:
        return "EOF";
      case Errc::closed:
        return "use of closed network connection";
      case Errc::timeout:
        return "i/o timeout";
      case Errc::canceled:
        return "context canceled";
      case Errc::context_deadline_exceeded:
        return "context deadline exceeded";
    }
    return "unknown weft error " + std::to_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<Errc>(value)) {
      case Errc::eof:
        return Condition::eof;
      case Errc::closed:
        return Condition::closed;
      case Errc::timeout:
      case Errc::context_deadline_exceeded:
        return Condition::deadline_exceeded;
      case Errc::canceled:
        return Condition::canceled;
    }
    return {value, *this};
  }
};

class ConditionCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "weft condition"; }

  std::string message(int value) const override {
    switch (static_cast<Condition>(value)) {
      case Condition::eof:
        return "end of file";
      case Condition::closed:
        return "closed";
      case Condition::deadline_exceeded:
        return "deadline exceeded";
      case Condition::canceled:
        return "canceled";
    }
    return "unknown condition " + std::to_string(value);
  }
};

// An Error of text alone needs a code that is set and that equals no portable condition.
class TextCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "weft text"; }
  std::string message(int) const override { return "error"; }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category category;
  return category;
}

const std::error_category& condition_category() noexcept {
  static const ConditionCategory category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), error_category()}; }

std::error_condition make_error_condition(Condition condition) noexcept {
  return {static_cast<int>(condition), condition_category()};
}

namespace {

// Go's texts start in lower case ("connection refused"); strerror's do not.
std::string code_text(const std::error_code& code) {
  std::string text = code.message();
  const bool from_errno = code.category() == std::system_category() || code.category() == std::generic_category();
  if (from_errno && text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z') {
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  }
  return text;
}

}  // namespace

Error::Error(std::error_code code, std::string context)
    : code_(code), text_(std::make_shared<const std::string>(std::move(context) + ": " + code_text(code))) {}

Error Error::text(std::string message) {
  static const TextCategory category;
  Error error(std::error_code(1, category));
  error.text_ = std::make_shared<const std::string>(std::move(message));
  return error;
}

std::string Error::message() const {
  if (text_) return *text_;
  return code_ ? code_text(code_) : std::string("no error");
}

Error Error::wrap(std::string_view context) const {
  Error wrapped(code_);
  wrapped.text_ = std::make_shared<const std::string>(std::string(context) + ": " + message());
  return wrapped;
}

}  // namespace weft
