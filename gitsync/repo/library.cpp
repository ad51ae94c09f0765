// The settings that keep libgit2 away from the machine's own configuration.
#include "gitsync/repo/library.hpp"

#include <git2.h>

#include <array>
#include <mutex>
#include <optional>

#include "gitsync/repo/names.hpp"
#include "gitsync/repo/transport.hpp"

namespace moored::git {
namespace {

// Objects are read once and kept parsed by us, so a small cache is enough.
constexpr ssize_t kObjectCacheBytes = 32 << 20;
constexpr std::size_t kMappedWindowBytes = 256U << 20U;
constexpr std::size_t kMappedFiles = 64;

// Everything that files in home or system directories could say is left out: an insteadOf there
// would send us to another server.
Status apply_settings() {
  if (git_libgit2_init() < 0) return Unexpected(library_error("start libgit2", -1));
  int failed = 0;
  for (const int level : {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL,
                          GIT_CONFIG_LEVEL_PROGRAMDATA}) {
    failed |= git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
  }
  failed |= git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "");
  failed |= git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, kObjectCacheBytes);
  failed |= git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, kMappedWindowBytes);
  failed |= git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, kMappedFiles);
  failed |= git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
  failed |= git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
  // A local source may belong to somebody else: it is only read, and nothing of it is run.
  failed |= git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
  if (failed != 0) return Unexpected(library_error("set libgit2 up", -1));
  return register_counted_transports();
}

// libgit2 has one message for many causes; the words in it are all there is.
bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

struct Row {
  Code code;
  std::string_view reason;
};

// "unexpected http status code: 503" becomes FetchHTTP, a redirect RedirectRefused.
Row classify_http(std::string_view message) {
  constexpr std::string_view kStatus = "status code: ";
  const std::size_t at = message.find(kStatus);
  if (at != std::string_view::npos && message.substr(at + kStatus.size(), 1) == "3") {
    return {Code::denied, "RedirectRefused"};
  }
  if (contains(message, "redirect")) return {Code::denied, "RedirectRefused"};
  return {Code::unavailable, "FetchHTTP"};
}

// From the return code, then the words of the message, then the class of the error.
Row classify(int code, int error_class, std::string_view message) {
  if (code == GIT_EAUTH || contains(message, "authentication")) return {Code::denied, "AuthFailed"};
  const bool object = error_class == GIT_ERROR_ODB;
  if (code == GIT_ENOTFOUND && object) return {Code::corrupt, "ObjectMissing"};
  if (code == GIT_EMISMATCH) return {Code::corrupt, "ObjectCorrupt"};
  if (contains(message, "No space left")) return {Code::exhausted, "DiskFull"};
  if (contains(message, "status code") || contains(message, "redirect") ||
      contains(message, "content-type")) {
    return classify_http(message);
  }
  switch (error_class) {
    case GIT_ERROR_SSL: return {Code::denied, "TlsRefused"};
    case GIT_ERROR_INDEXER: return {Code::corrupt, "PackCorrupt"};
    case GIT_ERROR_ZLIB:
    case GIT_ERROR_ODB:
    case GIT_ERROR_OBJECT: return {Code::corrupt, "ObjectCorrupt"};
    case GIT_ERROR_NOMEMORY: return {Code::exhausted, "MemoryLimit"};
    default: return {Code::unavailable, "FetchFailed"};
  }
}

}  // namespace

Status start_library() {
  static std::once_flag once;
  static std::optional<Error> failure;
  std::call_once(once, [] {
    Status status = apply_settings();
    if (!status) failure = std::move(status).error();
  });
  if (failure) return Unexpected(*failure);
  return {};
}

// For --version and for the log of a strange failure.
std::string library_version() {
  std::array<int, 3> version{};
  git_libgit2_version(&version[0], &version[1], &version[2]);
  return std::to_string(version[0]) + '.' + std::to_string(version[1]) + '.' +
         std::to_string(version[2]);
}

// Messages may quote the server, so they are made safe to show.
Error library_error(std::string_view what, int code) {
  const git_error* last = git_error_last();
  const std::string message = last == nullptr ? "unknown failure" : show_text(last->message, 256);
  const Row row = classify(code, last == nullptr ? GIT_ERROR_NONE : last->klass, message);
  return Error{row.code, std::string(what) + ": " + message, std::string(row.reason), {}, {}};
}

}  // namespace moored::git
