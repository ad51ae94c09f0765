#include "schema/base/error.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "schema/base/assert.hpp"

namespace moored {
namespace {

constexpr std::array<CodeTraits, 9> kTraits{{
    {Code::invalid, "invalid", false, 422, "Invalid", 1},
    {Code::not_found, "not_found", false, 404, "NotFound", 1},
    {Code::conflict, "conflict", true, 409, "Conflict", 1},
    {Code::denied, "denied", false, 403, "Forbidden", 1},
    {Code::unavailable, "unavailable", true, 503, "ServiceUnavailable", 1},
    {Code::timeout, "timeout", true, 504, "Timeout", 1},
    {Code::exhausted, "exhausted", true, 429, "TooManyRequests", 1},
    {Code::corrupt, "corrupt", false, 500, "InternalError", 1},
    {Code::internal, "internal", true, 500, "InternalError", 1},
}};

}  // namespace

const CodeTraits& traits(Code code) {
  const auto index = static_cast<std::size_t>(code);
  MOORED_ASSERT(index < kTraits.size() && kTraits[index].code == code);
  return kTraits[index];
}

Error&& Error::context(std::string_view what) && {
  message = std::string(what) + ": " + message;
  return std::move(*this);
}

Error&& Error::because(std::string_view word) && {
  reason = word;
  return std::move(*this);
}

Error&& Error::at(Place where) && {
  place = std::move(where);
  return std::move(*this);
}

Error&& Error::mend(std::string_view how) && {
  fix = how;
  return std::move(*this);
}

std::string Error::text() const {
  std::string out;
  if (!place.file.empty()) {
    out += place.file;
    if (place.line > 0) {
      out += ':' + std::to_string(place.line);
      if (place.column > 0) out += ':' + std::to_string(place.column);
    }
    out += ": ";
  }
  if (!place.field.empty()) out += place.field + ": ";
  out += message;
  if (!fix.empty()) out += " (" + fix + ")";
  return out;
}

void Diagnostics::add_error(Error error) {
  ++error_count_;
  if (errors_.size() < kMaxDiagnostics) errors_.push_back(std::move(error));
}

void Diagnostics::add_warning(Error warning) {
  ++warning_count_;
  if (warnings_.size() < kMaxDiagnostics) warnings_.push_back(std::move(warning));
}

void Diagnostics::take(Diagnostics other) {
  const auto cut_errors = other.error_count_ - other.errors_.size();
  const auto cut_warnings = other.warning_count_ - other.warnings_.size();
  for (auto& error : other.errors_) add_error(std::move(error));
  for (auto& warning : other.warnings_) add_warning(std::move(warning));
  error_count_ += cut_errors;
  warning_count_ += cut_warnings;
}

Error system_error(std::string_view what, int error_number) {
  Code code = Code::internal;
  switch (error_number) {
    case ENOENT: case ESRCH: case ENXIO: case ENODEV: code = Code::not_found; break;
    case EACCES: case EPERM: case EROFS: code = Code::denied; break;
    case EEXIST: case EBUSY: case ENOTEMPTY: code = Code::conflict; break;
    case EINVAL: case ENOTDIR: case EISDIR: case ELOOP: case ENAMETOOLONG:
      code = Code::invalid; break;
    case ENOSPC: case EMFILE: case ENFILE: case ENOMEM: case EDQUOT: code = Code::exhausted; break;
    case EAGAIN: case ECONNREFUSED: case ECONNRESET: case EPIPE: case EINTR: case EIO:
      code = Code::unavailable; break;
    case ETIMEDOUT: code = Code::timeout; break;
    default: break;
  }
  return Error{code, std::string(what) + ": " + std::strerror(error_number), {}, {}, {}};
}

}  // namespace moored
