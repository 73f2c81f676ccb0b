// HeaderAccess: how the parser fills a Header without copying.
#pragma once

#include "weft/http/header.h"

namespace weft::http::detail {

struct HeaderAccess {
  // Adds a field whose text lives as long as the header's present contents.
  static void add_view(Header& header, std::string_view name, std::string_view value) {
    header.fields_.push_back({name, value});
  }
};

}  // namespace weft::http::detail
