// The worker's answers. It trusts neither the repository nor, in form, the daemon.
#include "gitsync/follow/worker.hpp"

#include <unordered_map>
#include <utility>

#include "gitsync/load/disk.hpp"
#include "gitsync/render/plain.hpp"
#include "gitsync/repo/url.hpp"
#include "schema/host/memory.hpp"

namespace moored::git {
namespace {

constexpr Duration kProgressInterval = std::chrono::seconds(1);
// Nothing was asked for so long: it is quiet, and may stay so.
constexpr std::chrono::milliseconds kQuietTime{10'000};
// Keeps one file of many documents within the size of a message.
constexpr std::size_t kObjectsPerMessage = 256;
// So many files parsed leave memory behind that the next, smaller loads do not need.
constexpr std::size_t kLargeLoad = 64;

// The commit was made safe to show when it was read.
HeadReply to_reply(const Head& head) {
  HeadReply reply;
  reply.commit.sha = head.commit.id.hex();
  reply.commit.author = head.commit.author;
  reply.commit.subject = head.commit.subject;
  reply.commit.committed_at = head.commit.committed_at;
  reply.changed = head.changed;
  reply.history_rewritten = head.history_rewritten;
  return reply;
}

}  // namespace

// One request after the other. The end of the daemon is the ordinary end of this process, whereas
// garbage on the socket is an error that the exit code tells.
Status WorkerService::run() {
  for (;;) {
    // Between two looks there may be hours.
    const auto next = channel_.await(kQuietTime);
    if (!next && next.error().code == Code::timeout) return_idle_memory();
    const auto message = channel_.receive(std::chrono::milliseconds(-1));
    if (!message && message.error().code == Code::corrupt) return Unexpected(message.error());
    if (!message) return {};  // the daemon has gone
    MOORED_TRY(const Request request, decode_request(*message));
    MOORED_CHECK(std::visit([&](const auto& body) { return answer(body); }, request));
  }
}

// At most one sign of life a second, however fast the bytes come.
void WorkerService::report_progress() {
  const MonoTime now = clock_.now().mono;
  if (now - last_progress_ < kProgressInterval) return;
  last_progress_ = now;
  // A daemon that has gone is noticed by the next receive.
  static_cast<void>(channel_.send(encode_reply(ProgressReply{})).has_value());
}

// Ordinary errors are answers; only a broken socket ends the worker.
Status WorkerService::send_error(Error error, std::optional<std::chrono::seconds> wait) {
  return channel_.send(encode_reply(ErrorReply{std::move(error), wait}));
}

// One mirror stays open; another URL for the same source opens it again.
Result<Mirror*> WorkerService::open_mirror(const RepositoryRef& repository) {
  if (mirror_ && mirror_url_ == repository.url) return mirror_.get();
  mirror_.reset();
  MOORED_TRY(const SourceUrl url, check_source_url(repository.url, repository.allow_local));
  // The daemon starts one kind of worker for directories of this machine and another for servers.
  if (mirror_directory_.empty() != (url.transport == Transport::local)) {
    return fail(Code::internal, "this worker is not for such a repository");
  }
  MirrorOptions options;
  options.directory = mirror_directory_;
  options.progress = [this] { report_progress(); };
  MOORED_TRY(mirror_, Mirror::open(url, std::move(options)));
  mirror_url_ = repository.url;
  return mirror_.get();
}

Status WorkerService::answer(const FetchRequest& request) {
  auto mirror = open_mirror(request.repository);
  if (!mirror) return send_error(std::move(mirror).error());
  (*mirror)->set_access(
      {request.credentials, request.proxy, request.repository.allow_local});
  (*mirror)->set_space(request.space);
  auto head = (*mirror)->fetch(request.reference, request.known_sha);
  if (head) return channel_.send(encode_reply(to_reply(*head)));
  const auto wait = (*mirror)->asked_wait();
  // A handle that has seen an error is not used again: a repaired repository works at once.
  mirror_.reset();
  return send_error(std::move(head).error(), wait);
}

// Find, judge whether it may be taken as it is, then read.
Result<LoadedSet> WorkerService::load_commit(Mirror& mirror, const LoadTreeRequest& request,
                                             Unit& unit) {
  MOORED_TRY(ManifestSet manifests, unit.tree.list(mirror, request.sha, request.path,
                                                    request.ignore));
  check_plain(manifests.kustomizations, manifests.diagnostics);
  return unit.tree.load(
      mirror, manifests,
      {request.target_namespace, request.policy, request.host, request.rights}, clock_);
}

// A directory stands for a unit that is planned before it is committed; it has no mirror.
Result<LoadedSet> WorkerService::load(const LoadTreeRequest& request, Unit& unit) {
  if (!request.directory.empty()) {
    MOORED_TRY(ManifestSet manifests, list_directory_manifests(request.directory));
    check_plain(manifests.kustomizations, manifests.diagnostics);
    DirectoryReader reader(request.directory);
    const LoadOptions options{request.target_namespace, request.policy, request.host,
                              request.rights};
    return unit.directory.load(manifests, reader, options, clock_);
  }
  MOORED_TRY(Mirror* const mirror, open_mirror(request.repository));
  auto set = load_commit(*mirror, request, unit);
  if (!set && set.error().code == Code::corrupt) {
    // Our own copy is thrown away, so that the next look fetches what is whole again.
    const bool copy = mirror->is_copy();
    mirror_.reset();
    if (copy) MOORED_CHECK(discard_mirror(mirror_directory_));
  }
  return set;
}

Status WorkerService::answer(const LoadTreeRequest& request) {
  const UnitKey key = key_of(request);
  // Forgetting costs a full load of each unit and nothing else.
  if (units_.size() >= kMaxUnits && units_.find(key) == units_.end()) units_.clear();
  Unit& unit = units_[key];
  auto set = load(request, unit);
  if (!set) return send_error(std::move(set).error());
  if (set->complete) MOORED_CHECK(send_files(*set, request.fresh, unit));
  LoadedReply reply;
  reply.complete = set->complete;
  reply.diagnostics = std::move(set->diagnostics);
  reply.blobs_read = set->blobs_read;
  reply.blobs_total = set->files.size();
  reply.rendered_at = set->rendered_at;
  reply.validated_at = set->validated_at;
  const bool large = reply.blobs_read >= kLargeLoad || !std::exchange(loaded_, true);
  MOORED_CHECK(channel_.send(encode_reply(reply)));
  // After the answer, for which somebody waits.
  if (large) return_idle_memory();
  return {};
}

Status WorkerService::send_file(const LoadedFile& file) {
  FileReply reply{file.path, file.id, {}};
  for (const auto& object : file.objects) {
    reply.objects.push_back(object);
    if (reply.objects.size() < kObjectsPerMessage) continue;
    MOORED_CHECK(channel_.send(encode_reply(reply)));
    reply.objects.clear();
  }
  return channel_.send(encode_reply(reply));
}

// Files of a refused commit are not sent, so both sides keep the last complete load. Of one that
// has changed little, only the differences travel, and the runs of files between them.
Status WorkerService::send_files(const LoadedSet& set, bool fresh, Unit& unit) {
  // The daemon may have forgotten what this process remembers, and says so with fresh.
  if (fresh) unit.sent.clear();
  // By content and path, as a refused commit in between has made them anew.
  const auto is_same = [](const LoadedFilePtr& sent, const LoadedFilePtr& file) {
    return sent == file || (sent->id == file->id && sent->path == file->path);
  };
  std::unordered_map<std::string_view, std::size_t> places;
  KeptReply run;
  std::size_t at = 0;  // in what was sent
  const auto finish_run = [&]() -> Status {
    if (run.kept == 0) return {};
    return channel_.send(encode_reply(std::exchange(run, {})));
  };
  for (const auto& file : set.files) {
    if (at < unit.sent.size() && is_same(unit.sent[at], file)) {
      ++at;
      ++run.kept;
      continue;
    }
    if (at < unit.sent.size() && unit.sent[at]->path == file->path) {  // another content
      MOORED_CHECK(finish_run());
      MOORED_CHECK(send_file(*file));
      ++at;
      ++run.skipped;
      continue;
    }
    if (places.empty()) {
      for (std::size_t i = 0; i < unit.sent.size(); ++i) places.emplace(unit.sent[i]->path, i);
    }
    MOORED_CHECK(finish_run());
    const auto place = places.find(file->path);
    // One that lies further back is sent again: files change their order hardly ever.
    const bool ahead = place != places.end() && place->second >= at;
    if (!ahead || !is_same(unit.sent[place->second], file)) {
      MOORED_CHECK(send_file(*file));
    } else {
      run = {run.skipped + place->second - at, 1};
      at = place->second + 1;
    }
  }
  MOORED_CHECK(finish_run());
  unit.sent = set.files;
  return {};
}

}  // namespace moored::git
