// Looking at one remote and reading what it holds.
#include "gitsync/repo/mirror.hpp"

#include <git2.h>
#include <git2/sys/transport.h>

#include <algorithm>
#include <deque>
#include <unordered_set>
#include <utility>

#include "gitsync/repo/disk_use.hpp"
#include "gitsync/repo/handles.hpp"
#include "gitsync/repo/http.hpp"
#include "gitsync/repo/library.hpp"
#include "gitsync/repo/names.hpp"
#include "gitsync/repo/remote.hpp"
#include "schema/host/file.hpp"

namespace moored::git {
namespace {

// Limits against repositories that are built to exhaust the worker, far above honest ones.
constexpr std::size_t kMaxAncestry = 200'000;  // commits walked for the known one
constexpr std::size_t kMaxCommitBytes = 8U << 20U;
constexpr std::size_t kMaxTreeBytes = 16U << 20U;

// Our ids and theirs are the same twenty bytes.
git_oid to_oid(const ObjectId& id) {
  git_oid oid;
  git_oid_fromraw(&oid, id.bytes.data());
  return oid;
}

ObjectId from_oid(const git_oid& oid) {
  ObjectId id;
  std::copy(std::begin(oid.id), std::end(oid.id), id.bytes.begin());
  return id;
}

// The fault is in the repository: the same reference will fail again.
Unexpected not_a_commit(const std::string& reference) {
  return Unexpected(Error{Code::invalid, show_text(reference, 256) + " does not lead to a commit",
                          "NotACommit", {}, "point it at a commit"});
}

// Not found and not invalid: the push that makes it may come at any time.
Unexpected ref_not_found(const std::string& reference) {
  return Unexpected(Error{Code::not_found,
                          "the repository has no reference " + show_text(reference, 256),
                          "RefNotFound", {}, "push it, or name another branch or tag"});
}

// Seven to forty digits of an id: no full name of a reference looks so.
bool is_object_id(const std::string& text) {
  return text.size() >= 7 && text.size() <= 40 &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// A tree that names a blob as a tree, or the other way round.
Unexpected wrong_type(const ObjectId& id, std::string_view wanted) {
  return Unexpected(Error{Code::corrupt, "the object " + id.hex() + " is no " + std::string(wanted),
                          "ObjectCorrupt", {}, {}});
}

// Forced: a rewritten branch is followed, and said to be rewritten.
std::string refspec_for(const std::string& reference) {
  return '+' + reference + ':' + std::string(kTrackedRef);
}

}  // namespace

struct Mirror::State {
  SourceUrl url;
  MirrorOptions options;
  Repository repository;
  Odb odb;
  HttpClient http;
  std::size_t used = 0;  // bytes on disk, as of the last change
  std::optional<std::chrono::seconds> wait;  // that the last fetch was asked for

  // The object store is asked for once; asking again would count references up.
  Status attach(Repository opened) {
    repository = std::move(opened);
    git_odb* raw = nullptr;
    const int code = git_repository_odb(&raw, repository.get());
    if (code < 0) return Unexpected(library_error("open the object store", code));
    odb.reset(raw);
    return {};
  }
  Result<std::pair<std::size_t, git_object_t>> read_header(const ObjectId& id);
  Result<std::string> read_object(const ObjectId& id, git_object_t wanted);
  Result<ObjectId> peel(const std::string& reference, ObjectId id);
  Result<ObjectId> look_by_id(const std::string& digits);
  Result<ObjectId> look_locally(const std::string& reference);
  Result<ObjectId> ask_server(const std::string& reference, TransferMeter& meter);
  Result<ObjectId> look_remotely(const std::string& reference);
  Status fetch_branches();
  TransferMeter make_meter(const std::string& wanted);
  Status settle(const TransferMeter& meter);
  Status compact();
  Result<bool> is_ancestor(const ObjectId& known, const ObjectId& from);
};

Mirror::Mirror(std::unique_ptr<State> state) : state_(std::move(state)) {}
Mirror::~Mirror() = default;

// Touches no network: a mirror can be opened, and its commits loaded, while the server is away.
Result<std::unique_ptr<Mirror>> Mirror::open(const SourceUrl& url, MirrorOptions options) {
  MOORED_CHECK(start_library());
  auto state = std::make_unique<State>();
  state->url = url;
  state->options = std::move(options);
  state->http.set_access(state->options.access);
  // What is already on this disk is read in place: no copy, and no gigabyte in memory.
  if (url.transport == Transport::local) {
    MOORED_TRY(auto repository, open_repository(url.url));
    MOORED_CHECK(state->attach(std::move(repository)));
  } else {
    MOORED_TRY(auto repository, open_or_make_bare(state->options.directory));
    MOORED_CHECK(remove_leftovers(state->options.directory));
    MOORED_CHECK(state->attach(std::move(repository)));
    state->used = measure_disk_use(state->options.directory);
  }
  return std::unique_ptr<Mirror>(new Mirror(std::move(state)));
}

void Mirror::set_access(const ServerAccess& access) {
  state_->options.access = access;
  state_->http.set_access(access);
}

void Mirror::set_space(std::size_t bytes) { state_->options.space = bytes; }

std::optional<std::chrono::seconds> Mirror::asked_wait() const { return state_->wait; }

bool Mirror::is_copy() const { return state_->url.transport != Transport::local; }

// Size and type without inflating the object.
Result<std::pair<std::size_t, git_object_t>> Mirror::State::read_header(const ObjectId& id) {
  const git_oid oid = to_oid(id);
  std::size_t size = 0;
  git_object_t type = GIT_OBJECT_INVALID;
  const int code = git_odb_read_header(&size, &type, odb.get(), &oid);
  if (code < 0) return Unexpected(object_error(id, code));
  return std::make_pair(size, type);
}

// libgit2 checks the digest of what it inflates, so flipped bits are an error here.
Result<std::string> Mirror::State::read_object(const ObjectId& id, git_object_t wanted) {
  const git_oid oid = to_oid(id);
  git_odb_object* raw = nullptr;
  const int code = git_odb_read(&raw, odb.get(), &oid);
  if (code < 0) return Unexpected(object_error(id, code));
  const OdbObject object(raw);
  if (git_odb_object_type(raw) != wanted) return wrong_type(id, git_object_type2string(wanted));
  return std::string(static_cast<const char*>(git_odb_object_data(raw)),
                     git_odb_object_size(raw));
}

// Follows tags of tags to a commit, at most kMaxTagChain of them. A branch is a commit itself.
Result<ObjectId> Mirror::State::peel(const std::string& reference, ObjectId id) {
  const bool branch = reference.compare(0, 11, "refs/heads/") == 0;
  for (std::size_t hops = 0; hops <= kMaxTagChain; ++hops) {
    MOORED_TRY(const auto header, read_header(id));
    if (header.second == GIT_OBJECT_COMMIT) return id;
    if (header.second != GIT_OBJECT_TAG || branch || header.first > kMaxCommitBytes) break;
    MOORED_TRY(const std::string tag, read_object(id, GIT_OBJECT_TAG));
    // A tag begins with "object " and forty digits; libgit2's own parser would also judge the
    // tagger.
    const auto target = ObjectId::from_hex(std::string_view(tag).substr(7, 40));
    if (tag.compare(0, 7, "object ") != 0 || !target) break;
    id = *target;
  }
  return not_a_commit(reference);
}

// A commit by its id needs no look at the remote once the mirror has it. What has begun to be
// written out is an id as well, as long as only one object begins so.
Result<ObjectId> Mirror::State::look_by_id(const std::string& digits) {
  git_oid wanted;
  if (git_oid_fromstrn(&wanted, digits.data(), digits.size()) < 0) return ref_not_found(digits);
  git_oid oid;
  int code = git_odb_exists_prefix(&oid, odb.get(), &wanted, digits.size());
  if (code == GIT_ENOTFOUND && url.transport != Transport::local) {
    MOORED_CHECK(fetch_branches());
    code = git_odb_exists_prefix(&oid, odb.get(), &wanted, digits.size());
  }
  if (code == GIT_EAMBIGUOUS) {
    return Unexpected(Error{Code::invalid, "several objects begin with " + digits,
                            "AmbiguousReference", {}, "write more digits of the commit"});
  }
  if (code == GIT_ENOTFOUND) return ref_not_found(digits);
  if (code < 0) return Unexpected(library_error("look for " + digits, code));
  return from_oid(oid);
}

// Reads the reference as it is now; nothing of it is cached between looks.
Result<ObjectId> Mirror::State::look_locally(const std::string& reference) {
  git_oid oid;
  const int code = git_reference_name_to_id(&oid, repository.get(), reference.c_str());
  if (code == GIT_ENOTFOUND) return ref_not_found(reference);
  if (code < 0) return Unexpected(library_error("read " + show_text(reference, 256), code));
  return from_oid(oid);
}

// The limits and the server of one conversation, and what of its references is asked for. What is
// left of the mirror's space is the most that a fetch may bring.
TransferMeter Mirror::State::make_meter(const std::string& wanted) {
  TransferMeter meter;
  meter.wanted = wanted;
  meter.advertisement_limit = options.advertisement_limit;
  meter.pack_limit = std::min(options.pack_limit, options.space - std::min(options.space, used));
  meter.progress = options.progress;
  meter.url = &url;
  meter.access = &options.access;
  meter.http = &http;
  return meter;
}

// Asks for the references and fetches only when ours is elsewhere.
Result<ObjectId> Mirror::State::ask_server(const std::string& reference, TransferMeter& meter) {
  RemoteSession session(repository.get(), meter);
  MOORED_CHECK(session.connect());
  MOORED_TRY(const auto found, session.find_reference(reference));
  if (!found) return ref_not_found(reference);
  const ObjectId id = from_oid(*found);
  // A pack is put in place whole, so an object that is here has everything it leads to.
  if (git_odb_exists(odb.get(), &*found) != 0) {
    MOORED_CHECK(track(repository.get(), *found));
    return id;
  }
  MOORED_CHECK(session.download(refspec_for(reference)));
  MOORED_CHECK(keep_branches(repository.get(), {}));
  return id;
}

// The conversation is over before the mirror is put in order: it holds on to the repository. Why a
// fetch failed is what counts, whatever comes of putting in order.
Result<ObjectId> Mirror::State::look_remotely(const std::string& reference) {
  TransferMeter meter = make_meter(reference);
  auto found = ask_server(reference, meter);
  Status settled = settle(meter);
  if (found && !settled) return Unexpected(std::move(settled).error());
  return found;
}

// For a commit that is not here: all branches, and what they lead to.
Status Mirror::State::fetch_branches() {
  TransferMeter meter = make_meter("refs/heads/");
  Status fetched = fetch_everything(repository.get(), meter);
  Status settled = settle(meter);
  return fetched ? std::move(settled) : std::move(fetched);
}

// Every fetch leaves a pack and an open descriptor; a fresh mirror beside the old one joins them.
// That leaves out what was rewritten, so that a mirror without space may have some at the next
// look.
Status Mirror::State::settle(const TransferMeter& meter) {
  wait = meter.wait;
  if (meter.pack_bytes == 0) return {};
  const auto packs = count_packs(options.directory);
  const bool refused = !meter.exceeded.empty() && packs > 1;
  if (packs > options.max_packs || refused) MOORED_CHECK(compact());
  used = measure_disk_use(options.directory);
  return {};
}

Status Mirror::State::compact() {
  MOORED_CHECK(write_compacted(repository.get(), options.directory));
  // Handles are released before the files go, as libgit2 keeps packs mapped and would read on in
  // the deleted ones.
  odb.reset();
  repository.reset();
  MOORED_CHECK(swap_in_compacted(options.directory));
  MOORED_TRY(auto reopened, open_or_make_bare(options.directory));
  return attach(std::move(reopened));
}

// Breadth first from the new commit, so that the usual case ends after a step or two.
Result<bool> Mirror::State::is_ancestor(const ObjectId& known, const ObjectId& from) {
  std::unordered_set<ObjectId, ObjectIdHash> seen{from};
  std::deque<ObjectId> waiting{from};
  while (!waiting.empty() && seen.size() < kMaxAncestry) {
    const ObjectId id = waiting.front();
    waiting.pop_front();
    if (id == known) return true;
    const auto raw = read_object(id, GIT_OBJECT_COMMIT);
    if (!raw) continue;  // a shallow repository ends here
    MOORED_TRY(const auto commit, parse_commit(id, *raw));
    for (const auto& parent : commit.parents) {
      if (seen.insert(parent).second) waiting.push_back(parent);
    }
  }
  return false;
}

// History counts as rewritten when the known commit is no ancestor of the new one; without a known
// commit there is nothing to compare with.
Result<Head> Mirror::fetch(const std::string& reference, const std::string& known_sha) {
  ObjectId found;
  state_->wait.reset();
  if (is_object_id(reference)) {
    MOORED_TRY(found, state_->look_by_id(reference));
  } else {
    MOORED_CHECK(check_reference_name(reference));
    MOORED_TRY(found, is_copy() ? state_->look_remotely(reference)
                                : state_->look_locally(reference));
  }
  MOORED_TRY(const ObjectId commit, state_->peel(reference, found));
  // A pinned commit is no reference of the server; ours keeps it when packs are joined.
  if (is_copy() && is_object_id(reference)) {
    MOORED_CHECK(track(state_->repository.get(), to_oid(commit)));
  }
  Head head;
  MOORED_TRY(head.commit, read_commit(commit));
  const auto known = ObjectId::from_hex(known_sha);
  head.changed = !known || *known != commit;
  if (known && head.changed) {
    MOORED_TRY(const bool ancestor, state_->is_ancestor(*known, commit));
    head.history_rewritten = !ancestor;
  }
  return head;
}

// The message may be long, but not without end.
Result<CommitHeader> Mirror::read_commit(const ObjectId& id) {
  MOORED_TRY(const auto header, state_->read_header(id));
  if (header.second != GIT_OBJECT_COMMIT) return not_a_commit(id.hex());
  if (header.first > kMaxCommitBytes) {
    return fail(Code::exhausted, "the commit " + id.hex() + " is larger than 8 MiB");
  }
  MOORED_TRY(const std::string raw, state_->read_object(id, GIT_OBJECT_COMMIT));
  return parse_commit(id, raw);
}

// A tree of this size would have hundreds of thousands of entries.
Result<std::string> Mirror::read_tree(const ObjectId& id) {
  MOORED_TRY(const auto header, state_->read_header(id));
  if (header.second != GIT_OBJECT_TREE) return wrong_type(id, "tree");
  if (header.first > kMaxTreeBytes) {
    return Unexpected(Error{Code::exhausted, "the tree " + id.hex() + " is larger than 16 MiB",
                            "TreeLimit", {}, {}});
  }
  return state_->read_object(id, GIT_OBJECT_TREE);
}

// Lets the loader add up sizes and refuse a tree before any of its bytes are inflated.
Result<std::size_t> Mirror::read_blob_size(const ObjectId& id) {
  MOORED_TRY(const auto header, state_->read_header(id));
  if (header.second != GIT_OBJECT_BLOB) return wrong_type(id, "blob");
  return header.first;
}

// Without a limit of its own: callers have judged the size before.
Result<std::string> Mirror::read_blob(const ObjectId& id) {
  return state_->read_object(id, GIT_OBJECT_BLOB);
}

// Everything in it can be fetched again.
Status discard_mirror(const std::string& directory) { return remove_tree(directory); }

}  // namespace moored::git
