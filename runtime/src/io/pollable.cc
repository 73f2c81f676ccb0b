#include "weft/io/pollable.h"

#include <sys/stat.h>

#include <string>

#include "runtime/src/base/clock.h"
#include "runtime/src/base/errno.h"
#include "runtime/src/io/descriptor.h"

namespace weft::io {
namespace {

using rt::Side;

Error why_not(int fd) {
  struct stat status;
  const std::string what = "pollable: fd " + std::to_string(fd);
  if (::fstat(fd, &status) != 0) return {rt::last_system_error(), what};
  const char* kind = nullptr;
  if (S_ISREG(status.st_mode)) kind = "a regular file";
  if (S_ISDIR(status.st_mode)) kind = "a directory";
  if (kind == nullptr) return {};
  return {rt::system_error(EPERM), what + " is " + kind + ", which is always ready"};
}

}  // namespace

class Pollable::Impl {
 public:
  Impl(int fd, rt::FdKind kind) : descriptor_(rt::make_descriptor(fd, kind)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    static_cast<void>(descriptor_->close());
    descriptor_->drop_owner();
  }
  rt::Descriptor& descriptor() const noexcept { return *descriptor_; }

 private:
  rt::Descriptor* const descriptor_;
};

Result<Pollable> Pollable::make(int fd, PollableOptions options) {
  if (Error error = why_not(fd)) return Unexpected(std::move(error));
  return Pollable(std::make_shared<const Impl>(fd, options.owns_fd ? rt::FdKind::file : rt::FdKind::borrowed));
}

std::error_code Pollable::wait_readable() const { return impl_->descriptor().wait_ready(Side::read); }
std::error_code Pollable::wait_writable() const { return impl_->descriptor().wait_ready(Side::write); }

void Pollable::set_deadline(TimePoint deadline) const {
  set_read_deadline(deadline);
  set_write_deadline(deadline);
}
void Pollable::set_read_deadline(TimePoint deadline) const {
  impl_->descriptor().set_deadline(Side::read, rt::to_nanos(deadline));
}
void Pollable::set_write_deadline(TimePoint deadline) const {
  impl_->descriptor().set_deadline(Side::write, rt::to_nanos(deadline));
}

std::error_code Pollable::close() const { return impl_->descriptor().close(); }

}  // namespace weft::io
