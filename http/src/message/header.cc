#include "weft/http/header.h"

#include <algorithm>

#include "http/src/message/chars.h"

namespace weft::http {

using detail::iequals;

Header::Header(std::initializer_list<Field> fields) {
  for (const Field& field : fields) add(field.name, field.value);
}

Header::Header(const Header& other) {
  fields_.reserve(other.fields_.size());
  for (const Field& field : other.fields_) add(field.name, field.value);
}

Header& Header::operator=(const Header& other) {
  if (this != &other) {
    Header copy(other);
    *this = std::move(copy);
  }
  return *this;
}

Header::Field* Header::find(std::string_view name) noexcept {
  for (Field& field : fields_) {
    if (iequals(field.name, name)) return &field;
  }
  return nullptr;
}

std::string_view Header::get(std::string_view name) const noexcept {
  for (const Field& field : fields_) {
    if (iequals(field.name, name)) return field.value;
  }
  return {};
}

bool Header::has(std::string_view name) const noexcept { return const_cast<Header*>(this)->find(name) != nullptr; }

std::vector<std::string_view> Header::values(std::string_view name) const {
  std::vector<std::string_view> found;
  for (const Field& field : fields_) {
    if (iequals(field.name, name)) found.push_back(field.value);
  }
  return found;
}

void Header::set(std::string_view name, std::string_view value) {
  Field* const first = find(name);
  if (first == nullptr) return add(name, value);
  first->value = text_.copy(value);
  const auto rest = fields_.begin() + (first - fields_.data()) + 1;
  // The others are compared with this field's own name, because `name` may be a view of a field that goes.
  const std::string_view kept = first->name;
  fields_.erase(std::remove_if(rest, fields_.end(), [kept](const Field& f) { return iequals(f.name, kept); }),
                fields_.end());
}

void Header::add(std::string_view name, std::string_view value) {
  const std::string_view own_name = text_.copy(name);
  fields_.push_back({own_name, text_.copy(value)});
}

std::size_t Header::erase(std::string_view name) noexcept {
  return std::erase_if(fields_, [name](const Field& field) { return iequals(field.name, name); });
}

void Header::clear() noexcept {
  fields_.clear();
  text_.clear();
}

bool has_token(std::string_view value, std::string_view token) noexcept {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    if (iequals(detail::trim(value.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) break;
    value.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace weft::http
