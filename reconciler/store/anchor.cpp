#include "reconciler/store/anchor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>

#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

namespace moored::store {
namespace {

// One sector, so that a power cut leaves the old line or the new one.
constexpr std::size_t kAnchorBytes = 512;

std::string anchor_path(const std::string& directory) {
  return directory + "/audit.head";
}

std::string text_in(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  return value == nullptr ? std::string() : value->scalar;
}

// Nothing for text that is no number from 0 on.
std::optional<std::int64_t> number_in(const Value& map, std::string_view name) {
  const std::string text = text_in(map, name);
  std::int64_t number = 0;
  const auto end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (text.empty() || read.ec != std::errc{} || read.ptr != end || number < 0) return std::nullopt;
  return number;
}

}  // namespace

Result<AnchorFile> AnchorFile::open(const std::string& directory) {
  const std::string path = anchor_path(directory);
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return Unexpected(system_error(path, errno));
  return AnchorFile(std::move(file));
}

// Padded to its full length, because a shorter line must not leave the end of a longer one.
Status AnchorFile::write(const Anchor& anchor) const {
  Value line = Value::make_map();
  line.put("seq", Value::of_integer(anchor.audit.seq));
  line.put("hash", Value::of_text(anchor.audit.hash));
  line.put("resourceVersion", Value::of_integer(anchor.resource_version));
  line.put("storeId", Value::of_text(anchor.store_id));
  std::string text = write_json(line);
  if (text.size() >= kAnchorBytes) return fail(Code::internal, "the store's id is too long");
  text.resize(kAnchorBytes - 1, ' ');
  text += '\n';
  const auto written = ::pwrite(file_.get(), text.data(), text.size(), 0);
  if (written == static_cast<ssize_t>(text.size())) return {};
  return Unexpected(system_error("audit.head", written < 0 ? errno : ENOSPC));
}

std::optional<Anchor> read_anchor(const std::string& directory) {
  const auto text = read_file(anchor_path(directory), kAnchorBytes);
  if (!text) return std::nullopt;
  const auto line = read_json(*text);
  if (!line || !line->is_map()) return std::nullopt;
  const auto seq = number_in(*line, "seq");
  const auto version = number_in(*line, "resourceVersion");
  Anchor anchor;
  anchor.store_id = text_in(*line, "storeId");
  anchor.audit.hash = text_in(*line, "hash");
  if (!seq || !version || anchor.audit.hash.size() != 64) return std::nullopt;
  anchor.audit.seq = *seq;
  anchor.resource_version = *version;
  return anchor;
}

}  // namespace moored::store
