#include "runtime/image/unpack.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include "runtime/image/layer_writer.hpp"
#include "runtime/image/merged_tree.hpp"
#include "schema/codec/text.hpp"

namespace moored::image {
namespace {

struct FreeArchive {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using ArchivePointer = std::unique_ptr<archive, FreeArchive>;

// What libarchive's callback needs: the stream, and the error it cannot carry.
struct Source {
  LayerStream stream;
  std::optional<Error> error;
};

// Called by libarchive, in C: nothing may be thrown through it, the error waits in Source.
la_ssize_t read_source(archive* reader, void* context, const void** buffer) {
  auto& source = *static_cast<Source*>(context);
  const auto bytes = source.stream.read();
  if (!bytes) {
    source.error = bytes.error();
    archive_set_error(reader, EIO, "stream");
    return ARCHIVE_FATAL;
  }
  *buffer = bytes->data();
  return static_cast<la_ssize_t>(bytes->size());
}

// Our own error comes first: libarchive knows only that the stream failed, not why.
Unexpected archive_error(archive* reader, const Source& source) {
  if (source.error) return Unexpected(*source.error);
  const char* text = archive_error_string(reader);
  return Unexpected(Error{Code::invalid,
                          "the archive cannot be read: " + std::string(text != nullptr ? text : ""),
                          "ManifestInvalid",
                          {},
                          {}});
}

// The local form is the bytes as they are; libarchive has none when it cannot convert them.
std::string text_of(const char* local, const char* utf8) {
  if (local != nullptr) return local;
  return utf8 != nullptr ? utf8 : "";
}

// Hard links first: libarchive gives them the file type of what they link to.
LayerEntry::Type type_of(archive_entry* entry) {
  using Type = LayerEntry::Type;
  if (archive_entry_hardlink(entry) != nullptr) return Type::hardlink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return Type::file;
    case AE_IFDIR:
      return Type::directory;
    case AE_IFLNK:
      return Type::symlink;
    case AE_IFIFO:
      return Type::fifo;
    default:
      return Type::device;
  }
}

// A copy: libarchive's entry is overwritten by the next header.
LayerEntry make_entry(archive_entry* entry) {
  LayerEntry out;
  out.type = type_of(entry);
  out.name = text_of(archive_entry_pathname(entry), archive_entry_pathname_utf8(entry));
  if (out.type == LayerEntry::Type::hardlink) {
    out.target = text_of(archive_entry_hardlink(entry), archive_entry_hardlink_utf8(entry));
  } else if (out.type == LayerEntry::Type::symlink) {
    out.target = text_of(archive_entry_symlink(entry), archive_entry_symlink_utf8(entry));
  }
  out.mode = archive_entry_perm(entry);
  out.uid = archive_entry_uid(entry);
  out.gid = archive_entry_gid(entry);
  out.mtime_seconds = archive_entry_mtime(entry);
  out.size_bytes = archive_entry_size(entry);
  archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    out.attributes.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  return out;
}

// Reads a file's content piece by piece from the archive.
ContentReader make_content_reader(archive* reader, const Source& source) {
  return [reader, &source]() -> Result<ContentPiece> {
    const void* buffer = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    for (;;) {
      const int code = archive_read_data_block(reader, &buffer, &size, &offset);
      if (code == ARCHIVE_EOF) return ContentPiece{};
      if (code < ARCHIVE_WARN) return archive_error(reader, source);
      if (size > 0) return ContentPiece{offset, {static_cast<const char*>(buffer), size}};
    }
  };
}

Status read_entries(archive* reader, Source& source, LayerWriter& writer) {
  const auto content = make_content_reader(reader, source);
  for (;;) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(reader, &entry);
    if (code == ARCHIVE_EOF) return {};
    if (code < ARCHIVE_WARN || entry == nullptr) return archive_error(reader, source);
    const auto made = make_entry(entry);
    if (made.name.empty()) {
      return Unexpected(
          Error{Code::invalid, "an entry of the archive has no name", "ManifestInvalid", {}, {}});
    }
    MOORED_CHECK(writer.add(made, content));
  }
}

std::int64_t number_of(const Value& map, std::string_view key) {
  const auto* value = map.find(key);
  std::int64_t number = 0;
  if (value != nullptr) {
    std::from_chars(value->scalar.data(), value->scalar.data() + value->scalar.size(), number);
  }
  return number;
}

std::string string_of(const Value& map, std::string_view key) {
  const auto* value = map.find(key);
  return value == nullptr ? std::string() : value->scalar;
}

}  // namespace

Result<UnpackReport> unpack(const UnpackRequest& request) {
  Source source{LayerStream(request.source, request.limits), std::nullopt};
  const ArchivePointer reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_empty(reader.get());
  if (archive_read_open(reader.get(), &source, nullptr, &read_source, nullptr) != ARCHIVE_OK) {
    return archive_error(reader.get(), source);
  }
  MergedTree tree(request.target, request.lowers);
  LayerWriter writer(tree, request.limits, request.as_layer);
  MOORED_CHECK(read_entries(reader.get(), source, writer));
  MOORED_CHECK(writer.finish());
  MOORED_CHECK(source.stream.drain());
  UnpackReport report;
  report.digest = source.stream.finish_digest();
  report.compressed_bytes = source.stream.compressed_bytes();
  report.uncompressed_bytes = source.stream.uncompressed_bytes();
  report.entries = writer.tally().entries;
  report.file_bytes = writer.tally().bytes;
  report.warnings = writer.tally().warnings;
  return report;
}

std::string write_report(const Result<UnpackReport>& report) {
  auto value = Value::make_map();
  if (!report) {
    value.put("code", Value::of_text(std::string(traits(report.error().code).name)));
    value.put("reason", Value::of_text(report.error().reason));
    value.put("message", Value::of_text(report.error().message));
    return write_json(value);
  }
  value.put("digest", Value::of_text(report->digest));
  value.put("compressed", Value::of_integer(report->compressed_bytes));
  value.put("uncompressed", Value::of_integer(report->uncompressed_bytes));
  value.put("entries", Value::of_integer(report->entries));
  value.put("bytes", Value::of_integer(report->file_bytes));
  auto warnings = Value::make_list();
  for (const auto& text : report->warnings)
    warnings.items.push_back(Value::of_text(text));
  value.put("warnings", std::move(warnings));
  return write_json(value);
}

Result<UnpackReport> read_report(std::string_view json) {
  MOORED_TRY(const auto value, read_json(json));
  const auto code = string_of(value, "code");
  for (int i = 0; !code.empty() && i <= static_cast<int>(Code::internal); ++i) {
    if (traits(static_cast<Code>(i)).name != code) continue;
    return Unexpected(Error{
        static_cast<Code>(i), string_of(value, "message"), string_of(value, "reason"), {}, {}});
  }
  UnpackReport report;
  report.digest = string_of(value, "digest");
  if (report.digest.empty()) return fail(Code::internal, "the unpacker gave no digest");
  report.compressed_bytes = number_of(value, "compressed");
  report.uncompressed_bytes = number_of(value, "uncompressed");
  report.entries = number_of(value, "entries");
  report.file_bytes = number_of(value, "bytes");
  if (const auto* warnings = value.find("warnings")) {
    for (const auto& item : warnings->items)
      report.warnings.push_back(item.scalar);
  }
  return report;
}

}  // namespace moored::image
