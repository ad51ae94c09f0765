// The daemon's side of the worker: processes, deadlines and what was sent before.
#include "gitsync/follow/worker_reader.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <variant>

#include "gitsync/follow/messages.hpp"
#include "gitsync/follow/mirror_home.hpp"
#include "gitsync/follow/secrets.hpp"
#include "gitsync/repo/url.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/host/worker_process.hpp"
#include "schema/validate/pod_security.hpp"

namespace moored {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

// A ceiling for what a source may ask for.
constexpr milliseconds kLongestFetch{120'000};

// What a unit's last complete load gave, so that unchanged files need not be sent again.
struct KnownFile {
  std::string path;
  std::string id;
  std::vector<Object> objects;
};
using KnownFiles = std::vector<std::shared_ptr<const KnownFile>>;

// How long a call may take: in total, and without any word from the worker.
struct Patience {
  milliseconds total;
  milliseconds idle;
};

// Nonsense is our own fault, silence and death may pass.
Error lost(const Error& cause) {
  return Error{cause.code == Code::corrupt ? Code::internal : Code::unavailable,
               "the git worker was lost: " + cause.message, "WorkerLost", {}, {}};
}

}  // namespace

// One source's process and what it has told us. Used by one call at a time.
class SourceWorker {
 public:
  SourceWorker(const WorkerReader::Options& options, std::string home, int stop)
      : options_(options), home_(std::move(home)), stop_(stop) {}

  // Sets the worker to a directory of this machine, or with an empty one to a server: each kind
  // has other rights, so that a process of the other kind is ended.
  void serve(const std::string& local) {
    if (local != local_) end();
    local_ = local;
  }

  // Ends the process and forgets what it knew: a new one is told everything again.
  void end();

  // Sends a request and gives every reply but signs of life to take, until take returns true.
  Status call(const git::Request& request, const Patience& patience,
              const std::function<Result<bool>(git::Reply&&)>& take) {
    Status status = start();
    if (status) status = exchange(request, patience, take);
    if (!status) end();
    return status;
  }

  std::map<git::UnitKey, KnownFiles> known;  // at most git::kMaxUnits

 private:
  Status start();
  Status exchange(const git::Request& request, const Patience& patience,
                  const std::function<Result<bool>(git::Reply&&)>& take);
  Result<std::string> next_message(const Patience& patience, Steady::time_point started);

  const WorkerReader::Options& options_;
  const std::string home_;
  std::string local_;
  const int stop_;
  WorkerProcess worker_;
};

// A process per source: what one repository does to libgit2 stays out of the daemon and of the
// others. It is started anew after any failure, with the next call.
Status SourceWorker::start() {
  if (worker_) return {};
  WorkerOrder order{options_.program, {"--local", local_}, options_.user};
  if (local_.empty()) {
    const auto [uid, gid] = options_.user.value_or(std::pair(::geteuid(), ::getegid()));
    MOORED_CHECK(git::prepare_mirror_home(home_, uid, gid));
    order.arguments = {"--mirror", home_};
  }
  MOORED_TRY(worker_, WorkerProcess::start(order, stop_));
  return {};
}

// The whole group, because a worker may have started another program, such as ssh.
void SourceWorker::end() {
  worker_.end();
  known.clear();
}

// Whichever ends first: the total time, or the time without any word.
Result<std::string> SourceWorker::next_message(const Patience& patience,
                                               Steady::time_point started) {
  const auto spent = std::chrono::duration_cast<milliseconds>(Steady::now() - started);
  const milliseconds left = std::max(patience.total - spent, milliseconds(0));
  return worker_.channel().receive(std::min(left, patience.idle));
}

// Errors here end the process: after half an answer the two sides would no longer agree on what
// comes next. Errors that the worker tells are replies and go to take.
Status SourceWorker::exchange(const git::Request& request, const Patience& patience,
                              const std::function<Result<bool>(git::Reply&&)>& take) {
  const auto started = Steady::now();
  // A worker that died since the last call shows here.
  auto sent = worker_.channel().send(git::encode_request(request),
                                     std::min(patience.total, patience.idle));
  if (!sent) return Unexpected(lost(sent.error()));
  for (;;) {
    auto message = next_message(patience, started);
    if (!message) {
      if (message.error().code != Code::timeout) return Unexpected(lost(message.error()));
      return Unexpected(Error{Code::timeout, "the git server did not answer in time",
                              "FetchTimeout", {}, "look at the server and the network"});
    }
    auto reply = git::decode_reply(*message);
    if (!reply) return Unexpected(lost(reply.error()));
    // The idle limit starts anew with the next receive.
    if (std::holds_alternative<git::ProgressReply>(*reply)) continue;
    auto done = take(*std::move(reply));
    if (!done) return Unexpected(lost(done.error()));
    if (*done) return {};
  }
}

struct WorkerReader::State {
  explicit State(Options wanted)
      : options(std::move(wanted)), stop(::eventfd(0, EFD_CLOEXEC)),
        space(options.mirror_root, options.space) {}

  // A worker with the lock that keeps a second call of its source out.
  struct Slot {
    std::mutex mutex;
    std::optional<SourceWorker> worker;
    std::uint64_t used = 0;
  };
  using Slots = std::map<std::string, std::shared_ptr<Slot>>;

  std::shared_ptr<Slot> slot_of(const std::string& id);
  void let_go(const std::string& id, std::shared_ptr<Slot> slot);
  // id: of the worker. source: of the objects; empty for a directory.
  Result<LoadedTree> load(const std::string& id, const std::string& local,
                          const std::string& source, git::LoadTreeRequest request);

  struct Pool {
    Slots slots;
    std::uint64_t counter = 0;
  };
  void end_oldest_idle(Pool& all) const;

  Options options;
  UniqueFd stop;
  git::MirrorSpace space;
  Guarded<Pool> pool;
};

namespace {

// Names of Kubernetes hold no underscore, so namespace_name is one directory for one source.
std::string mirror_name(std::string id) {
  std::replace(id.begin(), id.end(), '/', '_');
  return id.empty() || id.front() == '.' ? '_' + id : id;
}

// The operator's words for a source, else those for every other one, else no limit.
git::SourceRights rights_of(const std::map<std::string, git::SourceRights>& rights,
                            const std::string& id) {
  auto found = rights.find(id);
  if (found == rights.end()) found = rights.find("*");
  return found == rights.end() ? git::SourceRights{} : found->second;
}

// The directory of a local repository; empty for a server, and for what the worker will refuse.
std::string local_directory(const SourceSpec& source) {
  const auto url = git::check_source_url(source.url, source.allow_local);
  return url && url->transport == git::Transport::local ? url->url : std::string();
}

}  // namespace

// A slot that only the pool holds serves no call, so its process can go.
void WorkerReader::State::end_oldest_idle(Pool& all) const {
  while (all.slots.size() > options.max_workers) {
    auto oldest = all.slots.end();
    for (auto slot = all.slots.begin(); slot != all.slots.end(); ++slot) {
      const bool idle = slot->second.use_count() == 1;
      const bool older = oldest == all.slots.end() || slot->second->used < oldest->second->used;
      if (idle && older) oldest = slot;
    }
    if (oldest == all.slots.end()) return;
    all.slots.erase(oldest);
  }
}

// The slot that is handed out counts as used, so it cannot be the one that has to go.
std::shared_ptr<WorkerReader::State::Slot> WorkerReader::State::slot_of(const std::string& id) {
  return pool.with([&](Pool& all) {
    auto& slot = all.slots[id];
    if (!slot) {
      slot = std::make_shared<Slot>();
      slot->worker.emplace(options, options.mirror_root + '/' + mirror_name(id), stop.get());
    }
    slot->used = ++all.counter;
    const auto kept = slot;
    end_oldest_idle(all);
    return kept;
  });
}

// A call that came meanwhile holds the slot and keeps it.
void WorkerReader::State::let_go(const std::string& id, std::shared_ptr<Slot> slot) {
  pool.with([&](Pool& all) {
    const auto found = all.slots.find(id);
    const bool ours = found != all.slots.end() && found->second == slot;
    if (ours && slot.use_count() == 2) all.slots.erase(found);
  });
}

// Under the source's lock, so that a call that comes meanwhile finds neither a worker that is about
// to be killed nor half a mirror. What cannot be removed goes with the daemon's next start.
void WorkerReader::forget(const std::string& id) {
  const auto slot = state_->slot_of(id);
  {
    const std::lock_guard lock(slot->mutex);
    slot->worker->end();
    const std::string home = state_->options.mirror_root + '/' + mirror_name(id);
    for (const auto& path : {home, home + ".moving"}) {
      const auto removed = remove_tree(path);
      if (removed || removed.error().code == Code::not_found) continue;
      log(LogLevel::warning, "the mirror of a source that is gone cannot be removed",
          {{"source", id}, {"error", removed.error().text()}});
    }
  }
  state_->let_go(id, slot);
}

// What was moved but not finished belongs to a mirror as well.
Status WorkerReader::remove_mirrors_except(const std::vector<std::string>& ids) {
  const auto names = list_directory(state_->options.mirror_root);
  if (!names) return {};
  std::set<std::string> kept;
  for (const auto& id : ids) {
    kept.insert(mirror_name(id));
    kept.insert(mirror_name(id) + ".moving");
  }
  for (const auto& name : *names) {
    if (kept.count(name) == 0) MOORED_CHECK(remove_tree(state_->options.mirror_root + '/' + name));
  }
  return {};
}

namespace {

FetchAnswer ask_head(SourceWorker& worker, const git::FetchRequest& request,
                     const Patience& patience) {
  std::optional<FetchAnswer> answer;
  MOORED_CHECK(worker.call(request, patience, [&](git::Reply&& reply) -> Result<bool> {
    if (auto* head = std::get_if<git::HeadReply>(&reply)) {
      answer = SourceHead{head->commit, head->changed, head->history_rewritten};
    } else if (auto* failed = std::get_if<git::ErrorReply>(&reply)) {
      answer = FetchAnswer(Unexpected(std::move(failed->error)));
      answer->wait = failed->wait;
    } else {
      return fail(Code::corrupt, "an answer that fits no fetch");
    }
    return true;
  }));
  return *std::move(answer);
}

}  // namespace

// Processes are started with the first request of their source.
WorkerReader::WorkerReader(Options options) : state_(std::make_unique<State>(std::move(options))) {}
WorkerReader::~WorkerReader() = default;

// The descriptor stays readable, so later calls end as well.
void WorkerReader::stop() {
  static_cast<void>(::eventfd_write(state_->stop.get(), 1));
}

// Whoever waits for the lock waits for the same source and no other.
FetchAnswer WorkerReader::fetch(const SourceSpec& source, const std::string& known_sha) {
  MOORED_CHECK(make_directories(state_->options.mirror_root, 0711));
  const auto slot = state_->slot_of(source.id);
  const std::lock_guard lock(slot->mutex);
  const std::string local = local_directory(source);
  slot->worker->serve(local);
  MOORED_TRY(auto access, git::read_access(source, state_->options.secrets_directory));
  const std::string mirror = mirror_name(source.id);
  const std::size_t room = local.empty() ? state_->space.room_for(mirror) : 0;
  const git::FetchRequest request{{source.url, source.allow_local}, source.reference, known_sha,
                                  std::move(access.credentials), std::move(access.proxy), room};
  // The source's own timeout counts, up to our limit.
  const Patience patience{std::min(source.timeout, kLongestFetch), state_->options.idle_limit};
  auto head = ask_head(*slot->worker, request, patience);
  if (local.empty() && (!head || head->changed)) state_->space.measure(mirror);
  if (!head) head.error() = state_->space.explain(std::move(head).error(), room);
  return head;
}

namespace {

// Puts the replies of one load together with what is known of the unit from before.
class LoadAnswer {
 public:
  // source: which the objects are from.
  LoadAnswer(KnownFiles& known, std::string source) : known_(known), source_(std::move(source)) {}

  // True when the load is over. Errors: corrupt.
  Result<bool> take(git::Reply&& reply) {
    if (auto* file = std::get_if<git::FileReply>(&reply)) {
      take_file(std::move(*file));
      return false;
    }
    if (const auto* kept = std::get_if<git::KeptReply>(&reply)) return take_kept(*kept);
    if (auto* loaded = std::get_if<git::LoadedReply>(&reply)) {
      finish(std::move(*loaded));
    } else if (auto* failed = std::get_if<git::ErrorReply>(&reply)) {
      error_ = std::move(failed->error);
    } else {
      return fail(Code::corrupt, "an answer that fits no load");
    }
    return true;
  }

  // The tree is moved out, so the answer is used up by asking for it.
  Result<LoadedTree> result() && {
    if (error_) return Unexpected(*std::move(error_));
    return std::move(tree_);
  }

 private:
  Result<bool> take_kept(const git::KeptReply& kept) {
    const std::size_t left = known_.size() - at_;
    if (kept.skipped > left || kept.kept > left - kept.skipped) {
      return fail(Code::corrupt, "files that were never sent");
    }
    at_ += kept.skipped;
    for (std::size_t i = 0; i < kept.kept; ++i) next_.push_back(known_[at_++]);
    open_ = nullptr;
    return false;
  }

  // Long files come in several messages one after another.
  void take_file(git::FileReply&& file) {
    if (open_ == nullptr || open_->path != file.path || open_->id != file.id) {
      auto fresh = std::make_shared<KnownFile>();
      fresh->path = std::move(file.path);
      fresh->id = std::move(file.id);
      open_ = fresh.get();
      next_.push_back(std::move(fresh));
    }
    for (const auto& object : file.objects) {
      Provenance provenance = object.provenance();
      provenance.file = open_->path;
      provenance.source = source_;
      open_->objects.push_back(object.with_provenance(std::move(provenance)));
    }
  }

  void finish(git::LoadedReply&& loaded) {
    // A refused tree has no files; what was known before stays known.
    tree_.complete = loaded.complete;
    tree_.diagnostics = std::move(loaded.diagnostics);
    tree_.blobs_read = loaded.blobs_read;
    tree_.blobs_total = loaded.blobs_total;
    tree_.rendered_at = loaded.rendered_at;
    tree_.validated_at = loaded.validated_at;
    if (!loaded.complete) return;
    tree_.objects.reserve(next_.size());
    for (const auto& file : next_) {
      tree_.objects.insert(tree_.objects.end(), file->objects.begin(), file->objects.end());
    }
    known_ = std::move(next_);
  }

  KnownFiles& known_;
  const std::string source_;
  std::size_t at_ = 0;         // in known_
  KnownFiles next_;
  KnownFile* open_ = nullptr;  // the last of next_, while it may go on
  LoadedTree tree_;
  std::optional<Error> error_;
};

}  // namespace

Result<LoadedTree> WorkerReader::State::load(const std::string& id, const std::string& local,
                                             const std::string& source,
                                             git::LoadTreeRequest request) {
  MOORED_CHECK(make_directories(options.mirror_root, 0711));
  const auto slot = slot_of(id);
  const std::lock_guard lock(slot->mutex);
  slot->worker->serve(local);
  auto& known = slot->worker->known;
  const git::UnitKey unit = git::key_of(request);
  if (known.size() >= git::kMaxUnits && known.find(unit) == known.end()) known.clear();
  request.fresh = known.find(unit) == known.end();
  request.policy = options.policy;
  request.host = options.host;
  const auto floor = options.source_floors.find(id);
  if (floor != options.source_floors.end()) {
    request.policy = tighten(std::move(request.policy), floor->second);
  }
  // Taken out for the time of the call, because end() clears the map when the worker is lost.
  KnownFiles files = std::move(known[unit]);
  LoadAnswer answer(files, source);
  MOORED_CHECK(slot->worker->call(
      request, {options.load_limit, options.load_limit},
      [&](git::Reply&& reply) { return answer.take(std::move(reply)); }));
  known[unit] = std::move(files);
  return std::move(answer).result();
}

// The worker knows paths inside the tree; which source they belong to is added on this side.
Result<LoadedTree> WorkerReader::load(const SourceSpec& source, const LoadRequest& request) {
  git::LoadTreeRequest wanted;
  wanted.repository = {source.url, source.allow_local};
  wanted.sha = request.sha;
  wanted.path = request.path;
  wanted.target_namespace = request.target_namespace;
  wanted.rights = rights_of(state_->options.rights, source.id);
  wanted.ignore = source.ignore;
  return state_->load(source.id, local_directory(source), source.id, std::move(wanted));
}

// Directories share one worker; its name cannot be that of a source, which holds a slash.
Result<LoadedTree> WorkerReader::load_directory(const std::string& directory,
                                                const std::string& target_namespace) {
  git::LoadTreeRequest wanted;
  wanted.directory = directory;
  wanted.target_namespace = target_namespace;
  return state_->load("_directories", directory, {}, std::move(wanted));
}

}  // namespace moored
