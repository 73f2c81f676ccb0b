#include "weft/net/conn.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "runtime/src/base/errno.h"

namespace weft::net {
namespace {

// How much of a file send_file() holds in memory when the kernel can't copy it.
constexpr std::size_t kFilePiece = 64 * 1024;

std::error_code not_supported() noexcept { return std::make_error_code(std::errc::operation_not_supported); }

}  // namespace

// --- what is optional of a stream ------------------------------------------------------------------------------------

std::error_code Stream::wait_readable() { return {}; }
void Stream::expect_end() {}
IoResult Stream::try_read(std::span<char>) { return {0, not_supported()}; }
std::error_code Stream::close_read() { return not_supported(); }
std::error_code Stream::close_write() { return not_supported(); }
std::error_code Stream::on_hang_up(std::function<void()>) { return not_supported(); }
std::error_code Stream::set_write_stall_timeout(std::chrono::nanoseconds) { return not_supported(); }
Address Stream::local_address() const { return {}; }
Address Stream::remote_address() const { return {}; }
std::string_view Stream::network() const { return {}; }

IoResult Stream::send_file(int file, std::uint64_t offset, std::size_t count) {
  const std::size_t size = std::min(count, kFilePiece);
  const auto buffer = std::make_unique_for_overwrite<char[]>(size);
  IoResult total;
  while (total.n < count && !total.ec) {
    const ssize_t n =
        ::pread(file, buffer.get(), std::min(size, count - total.n), static_cast<off_t>(offset + total.n));
    const int error = rt::last_errno();
    if (n > 0) {
      const std::string_view piece(buffer.get(), static_cast<std::size_t>(n));
      const IoResult written = writev({&piece, 1});
      total.n += written.n;
      total.ec = written.ec;
    } else if (n == 0) {
      total.ec = Errc::eof;
    } else if (error != EINTR) {
      total.ec = rt::system_error(error);
    }
  }
  return total;
}

// --- Conn ------------------------------------------------------------------------------------------------------------

IoResult Conn::read_full(std::span<char> buffer) const {
  IoResult total;
  while (total.n < buffer.size() && !total.ec) {
    const IoResult part = read(buffer.subspan(total.n));
    total.n += part.n;
    total.ec = part.ec;
  }
  return total;
}

Error Conn::error(std::string_view operation, std::error_code ec) const {
  if (!ec || ec == Condition::eof) return ec;  // the end of a stream is bare, as Go has it
  std::string what(operation);
  if (const std::string_view name = network(); !name.empty()) what.append(" ").append(name);
  const Address local = local_address();
  const Address remote = remote_address();
  if (!local.is_none()) what += " " + to_string(local);
  if (!remote.is_none()) what += (local.is_none() ? " " : "->") + to_string(remote);
  return {ec, what};
}

}  // namespace weft::net
