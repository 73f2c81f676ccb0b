// detect_content_type: guesses a media type from the first bytes (the WHATWG's MIME sniffing; Go's
// http.DetectContentType).
#pragma once

#include <string_view>

namespace weft::http {

// Looks at up to 512 bytes. Returns "application/octet-stream" when nothing else fits. Any thread; doesn't block. The
// text is a constant.
std::string_view detect_content_type(std::string_view data) noexcept;

}  // namespace weft::http
