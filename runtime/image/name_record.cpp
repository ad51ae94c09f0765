#include "runtime/image/name_record.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "runtime/image/names.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

namespace moored::image {
namespace {

constexpr std::size_t kMaxRecordBytes = 64U << 10U;
// In the order of NameRecord::Origin.
constexpr std::array<std::string_view, 3> kOrigins{"imported", "pulled", "replaced"};

}  // namespace

// The full name stands inside because the file is called by a hash, which cannot be read back.
Status write_record(const std::string& path, const NameRecord& record) {
  auto value = Value::make_map();
  value.put("name", Value::of_text(record.name));
  value.put("digest", Value::of_text(record.digest));
  const auto origin = kOrigins[static_cast<std::size_t>(record.origin)];
  value.put("origin", Value::of_text(std::string(origin)));
  return write_file_durably(path, write_json(value), 0600);
}

Result<NameRecord> read_record(const std::string& path) {
  MOORED_TRY(const auto text, read_file(path, kMaxRecordBytes));
  MOORED_TRY(const auto value, read_json(text, path));
  const auto* name = value.find("name");
  const auto* digest = value.find("digest");
  if (name == nullptr || digest == nullptr || !is_digest(digest->scalar)) {
    return fail(Code::corrupt, path + " does not name an image");
  }
  // Records of earlier versions do not say it: those were all imported.
  const auto* said = value.find("origin");
  const auto* origin = said == nullptr ? kOrigins.begin()
                                       : std::find(kOrigins.begin(), kOrigins.end(), said->scalar);
  if (origin == kOrigins.end()) return fail(Code::corrupt, path + " has an unknown origin");
  return NameRecord{name->scalar, digest->scalar,
                    static_cast<NameRecord::Origin>(origin - kOrigins.begin())};
}

}  // namespace moored::image
