// Blobs by digest on disk: written once, verified while they are written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/result.hpp"
#include "schema/host/sha256.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::image {

// What a finished blob is.
struct Blob {
  std::string digest;  // sha256:<hex>
  std::int64_t size_bytes = 0;
};

// A blob under way: a file in ingest/ that is renamed when it is whole. Gone if never committed.
class BlobWriter {
 public:
  // Errors: exhausted, denied.
  static Result<BlobWriter> create(const std::string& root);
  BlobWriter(BlobWriter&&) = default;
  BlobWriter& operator=(BlobWriter&&) = delete;
  ~BlobWriter();

  Status write(std::string_view bytes);
  std::int64_t size_bytes() const { return size_bytes_; }
  // Makes it durable under its digest. expected_digest empty and expected_size -1: whatever came.
  // Errors: corrupt (DigestMismatch), exhausted (the disk is full).
  Result<Blob> commit(const std::string& expected_digest = {}, std::int64_t expected_size = -1);

 private:
  BlobWriter(std::string root, std::string path, UniqueFd fd)
      : root_(std::move(root)), path_(std::move(path)), fd_(std::move(fd)) {}

  std::string root_;
  std::string path_;
  UniqueFd fd_;
  Sha256 hash_;
  std::int64_t size_bytes_ = 0;
};

// The directory of a store: blobs/sha256 and ingest below root. Thread safe.
class BlobStore {
 public:
  // Makes the directories and throws away what an earlier process left half written.
  static Result<BlobStore> open(const std::string& root);

  bool contains(const std::string& digest) const;
  std::string path(const std::string& digest) const;
  Result<BlobWriter> start() const { return BlobWriter::create(root_); }
  // Copies a file of which digest and size are known. Present already: nothing is read.
  Result<Blob> add_file(int fd, const std::string& digest, std::int64_t size_bytes) const;
  // Copies a file of which nothing is known.
  Result<Blob> add_file(int fd) const;
  Result<Blob> add_text(std::string_view text) const;
  // A small document. Errors: not_found, exhausted, corrupt (it no longer fits its digest).
  Result<std::string> read_document(const std::string& digest) const;
  Result<UniqueFd> open_blob(const std::string& digest) const;

 private:
  explicit BlobStore(std::string root) : root_(std::move(root)) {}
  std::string root_;
};

// Makes a name that nobody else uses below a directory of this process's own.
std::string make_scratch_name(const std::string& directory);

}  // namespace moored::image
