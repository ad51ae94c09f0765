#include "runtime/image/tar_writer.hpp"

#include <array>
#include <cstdio>
#include <cstring>

namespace moored::image {
namespace {

constexpr std::size_t kBlock = 512;
// What eleven and seven octal digits hold; larger numbers travel in a pax record.
constexpr std::int64_t kMaxOctal11 = 077777777777;
constexpr std::int64_t kMaxOctal7 = 07777777;

// Places of the fields of a ustar header. Source: POSIX, pax, "ustar Interchange Format".
struct Place {
  std::size_t offset;
  std::size_t size;
};
constexpr Place kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12},
    kTime{136, 12}, kSum{148, 8}, kType{156, 1}, kLink{157, 100}, kMagic{257, 8};

using Header = std::array<char, kBlock>;

// Cut at the field's size: a longer text stands in full in the pax record before it.
void put_text(Header& header, Place place, std::string_view text) {
  std::memcpy(header.data() + place.offset, text.data(), std::min(text.size(), place.size));
}

// Zeros in front, and the field's last byte stays NUL, as old readers want it.
void put_octal(Header& header, Place place, std::int64_t value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%0*llo", static_cast<int>(place.size - 1),
                static_cast<unsigned long long>(value));
  put_text(header, place, std::string_view(text.data()).substr(0, place.size - 1));
}

// The sum counts its own field as eight blanks. Six digits, NUL, blank.
void put_sum(Header& header) {
  put_text(header, kSum, "        ");
  unsigned sum = 0;
  for (const char c : header)
    sum += static_cast<unsigned char>(c);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%06o", sum);
  put_text(header, kSum, {text.data(), 7});
}

// "LENGTH key=value\n", where the length counts itself.
std::string make_record(const std::string& key, const std::string& value) {
  const auto rest = ' ' + key + '=' + value + '\n';
  std::size_t length = rest.size();
  while (std::to_string(length).size() + rest.size() != length) {
    length = std::to_string(length).size() + rest.size();
  }
  return std::to_string(length) + rest;
}

// The type flags of ustar.
char type_of(LayerEntry::Type type) {
  switch (type) {
    case LayerEntry::Type::file:
      return '0';
    case LayerEntry::Type::hardlink:
      return '1';
    case LayerEntry::Type::symlink:
      return '2';
    case LayerEntry::Type::device:
      return '3';
    case LayerEntry::Type::directory:
      return '5';
    case LayerEntry::Type::fifo:
      return '6';
  }
  return '0';
}

// Empty for most entries: a pax header costs two blocks, so only what does not fit goes
// there.
std::string make_extensions(const LayerEntry& entry) {
  std::string out;
  if (entry.name.size() > kName.size) out += make_record("path", entry.name);
  if (entry.target.size() > kLink.size) out += make_record("linkpath", entry.target);
  if (entry.size_bytes > kMaxOctal11) out += make_record("size", std::to_string(entry.size_bytes));
  if (entry.uid > kMaxOctal7) out += make_record("uid", std::to_string(entry.uid));
  if (entry.gid > kMaxOctal7) out += make_record("gid", std::to_string(entry.gid));
  for (const auto& [name, value] : entry.attributes) {
    out += make_record("SCHILY.xattr." + name, value);
  }
  return out;
}

}  // namespace

Status TarWriter::put_header(const LayerEntry& entry, char type) {
  Header header{};
  put_text(header, kName, entry.name);
  put_octal(header, kMode, entry.mode & 07777);
  put_octal(header, kUid, std::min(entry.uid, kMaxOctal7));
  put_octal(header, kGid, std::min(entry.gid, kMaxOctal7));
  put_octal(header, kSize, std::min(entry.size_bytes, kMaxOctal11));
  put_octal(header, kTime, std::max<std::int64_t>(0, std::min(entry.mtime_seconds, kMaxOctal11)));
  header[kType.offset] = type;
  put_text(header, kLink, entry.target);
  put_text(header, kMagic, std::string_view("ustar\00000", 8));
  put_sum(header);
  return sink_({header.data(), header.size()});
}

Status TarWriter::add(const LayerEntry& entry) {
  if (const auto extensions = make_extensions(entry); !extensions.empty()) {
    LayerEntry carrier;
    carrier.name = "pax";
    carrier.size_bytes = static_cast<std::int64_t>(extensions.size());
    MOORED_CHECK(put_header(carrier, 'x'));
    in_file_ = 0;
    MOORED_CHECK(put(extensions));
    MOORED_CHECK(end_file());
  }
  in_file_ = 0;
  return put_header(entry, type_of(entry.type));
}

Status TarWriter::put(std::string_view bytes) {
  in_file_ += static_cast<std::int64_t>(bytes.size());
  return sink_(bytes);
}

Status TarWriter::end_file() {
  const auto rest = static_cast<std::size_t>(in_file_) % kBlock;
  in_file_ = 0;
  if (rest == 0) return {};
  return sink_(std::string(kBlock - rest, '\0'));
}

// Two zero blocks mark the end; readers warn about an archive that just stops.
Status TarWriter::finish() {
  return sink_(std::string(2 * kBlock, '\0'));
}

}  // namespace moored::image
