#include "gitsync/repo/advertisement.hpp"

#include <charconv>
#include <optional>

#include "gitsync/repo/object_id.hpp"

namespace moored::git {
namespace {

constexpr std::size_t kLengthDigits = 4;
constexpr std::size_t kIdDigits = 40;
constexpr std::string_view kPeeled = "^{}";

// The size of the packet that begins here, its length digits included. Nothing: it is none. The
// short lengths are marks such as the end of a list and have no line.
std::optional<std::size_t> packet_size(std::string_view text) {
  std::size_t size = 0;
  const char* const end = text.data() + kLengthDigits;
  const auto read = std::from_chars(text.data(), end, size, 16);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return size < kLengthDigits ? kLengthDigits : size;
}

}  // namespace

// A line of a reference is its id, a space and its name; the first one goes on with a zero byte and
// the capabilities.
bool AdvertisementFilter::is_kept(std::string_view line) const {
  const bool reference = line.size() > kIdDigits && line[kIdDigits] == ' ' &&
                         ObjectId::from_hex(line.substr(0, kIdDigits)).has_value();
  if (wanted_.empty() || !reference || line.find('\0') != std::string_view::npos) return true;
  std::string_view name = line.substr(kIdDigits + 1);
  if (!name.empty() && name.back() == '\n') name.remove_suffix(1);
  if (wanted_.back() == '/') return name.substr(0, wanted_.size()) == wanted_;
  if (name.substr(0, wanted_.size()) != wanted_) return false;
  name.remove_prefix(wanted_.size());
  return name.empty() || name == kPeeled;
}

void AdvertisementFilter::take(std::string_view bytes, std::string& out) {
  pending_.append(bytes);
  std::string_view left = pending_;
  while (!broken_ && left.size() >= kLengthDigits) {
    const auto size = packet_size(left);
    broken_ = !size;
    if (broken_ || *size > left.size()) break;
    const auto line = left.substr(kLengthDigits, *size - kLengthDigits);
    if (is_kept(line)) out.append(left.substr(0, *size));
    left.remove_prefix(*size);
  }
  pending_.erase(0, pending_.size() - left.size());
  if (broken_) finish(out);
}

void AdvertisementFilter::finish(std::string& out) {
  out.append(pending_);
  pending_.clear();
}

}  // namespace moored::git
