#include "runtime/image/blob_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "runtime/image/documents.hpp"
#include "runtime/image/names.hpp"
#include "schema/host/file.hpp"

namespace moored::image {
namespace {

constexpr std::size_t kChunkBytes = 256U << 10U;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

Unexpected mismatch(const std::string& what) {
  return Unexpected(Error{Code::corrupt, what, "DigestMismatch", {}, {}});
}

Status sync_directory(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) < 0) return failed("make " + path + " durable");
  return {};
}

Status copy_into(int from, BlobWriter& writer) {
  std::vector<char> buffer(kChunkBytes);
  for (;;) {
    const auto got = read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read a blob");
    if (got == 0) return {};
    MOORED_CHECK(writer.write({buffer.data(), static_cast<std::size_t>(got)}));
  }
}

}  // namespace

std::string make_scratch_name(const std::string& directory) {
  static std::atomic<unsigned> counter{0};
  return directory + '/' + std::to_string(getpid()) + '-' + std::to_string(++counter);
}

Result<BlobWriter> BlobWriter::create(const std::string& root) {
  auto path = make_scratch_name(root + "/ingest");
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  if (!fd) return failed("start a blob");
  return BlobWriter(root, std::move(path), std::move(fd));
}

BlobWriter::~BlobWriter() {
  if (fd_) unlink(path_.c_str());
}

Status BlobWriter::write(std::string_view bytes) {
  hash_.update(bytes);
  size_bytes_ += static_cast<std::int64_t>(bytes.size());
  while (!bytes.empty()) {
    const auto put = ::write(fd_.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("write a blob");
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

Result<Blob> BlobWriter::commit(const std::string& expected_digest, std::int64_t expected_size) {
  const Blob blob{"sha256:" + hash_.finish_hex(), size_bytes_};
  if (!expected_digest.empty() && blob.digest != expected_digest) {
    return mismatch("the blob " + expected_digest + " really is " + blob.digest);
  }
  if (expected_size >= 0 && blob.size_bytes != expected_size) {
    return mismatch("the blob " + blob.digest + " has " + std::to_string(blob.size_bytes) +
                    " bytes instead of " + std::to_string(expected_size));
  }
  if (fdatasync(fd_.get()) < 0) return failed("make a blob durable");
  const auto directory = root_ + "/blobs/sha256";
  if (rename(path_.c_str(), (directory + '/' + digest_hex(blob.digest)).c_str()) < 0) {
    return failed("keep a blob");
  }
  fd_.reset();
  MOORED_CHECK(sync_directory(directory));
  return blob;
}

Result<BlobStore> BlobStore::open(const std::string& root) {
  MOORED_CHECK(remove_tree(root + "/ingest"));
  MOORED_CHECK(make_directories(root + "/ingest"));
  MOORED_CHECK(make_directories(root + "/blobs/sha256"));
  return BlobStore(root);
}

std::string BlobStore::path(const std::string& digest) const {
  return root_ + "/blobs/sha256/" + digest_hex(digest);
}

bool BlobStore::contains(const std::string& digest) const {
  return is_digest(digest) && path_exists(path(digest));
}

Result<UniqueFd> BlobStore::open_blob(const std::string& digest) const {
  if (!is_digest(digest)) return fail(Code::invalid, "not a digest: " + digest);
  UniqueFd fd(::open(path(digest).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return failed("open blob " + digest);
  return fd;
}

Result<Blob> BlobStore::add_file(int fd, const std::string& digest, std::int64_t size_bytes) const {
  if (contains(digest)) return Blob{digest, size_bytes};
  MOORED_TRY(auto writer, start());
  MOORED_CHECK(copy_into(fd, writer));
  return writer.commit(digest, size_bytes);
}

Result<Blob> BlobStore::add_file(int fd) const {
  MOORED_TRY(auto writer, start());
  MOORED_CHECK(copy_into(fd, writer));
  return writer.commit();
}

Result<Blob> BlobStore::add_text(std::string_view text) const {
  MOORED_TRY(auto writer, start());
  MOORED_CHECK(writer.write(text));
  return writer.commit();
}

Result<std::string> BlobStore::read_document(const std::string& digest) const {
  if (!is_digest(digest)) return fail(Code::invalid, "not a digest: " + digest);
  MOORED_TRY(auto text, read_file(path(digest), kMaxDocumentBytes));
  if ("sha256:" + sha256_hex(text) != digest)
    return mismatch("the blob " + digest + " was changed");
  return text;
}

}  // namespace moored::image
