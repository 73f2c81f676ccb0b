// ResponseHost: what a response asks of the connection that it goes out on.
#pragma once

#include <string_view>
#include <system_error>

#include "weft/http/hijacked.h"
#include "weft/time_point.h"

namespace weft::http::detail::http1 {

// Thread safety: none. The goroutine that serves the connection calls it.
class ResponseHost {
 public:
  // Whether the connection ends after this response, because the server shuts down.
  virtual bool last_response() = 0;
  virtual void log(std::string_view line) const = 0;

  // Deadlines that last until the end of the present request. The one for writes rules the present response alone: the
  // whole responses before it are sent first, which may park. Returns the error of that.
  virtual void set_handlers_read_deadline(TimePoint deadline) = 0;
  virtual std::error_code set_handlers_write_deadline(TimePoint deadline) = 0;

  // Takes the connection out of the server, with the bytes that were read and nobody has used.
  virtual Hijacked hijack() = 0;

 protected:
  ~ResponseHost() = default;
};

}  // namespace weft::http::detail::http1
