// libgit2's remotes and repositories on disk, for Mirror alone.
#include "gitsync/repo/remote.hpp"

#include <git2.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <utility>

#include "gitsync/repo/address.hpp"
#include "gitsync/repo/library.hpp"
#include "gitsync/repo/names.hpp"
#include "gitsync/repo/ssh.hpp"
#include "schema/host/file.hpp"

namespace moored::git {
namespace {

// Both callbacks know the conversation by the meter.
int ask_for_credentials(git_credential** out, const char*, const char* user, unsigned allowed,
                        void* payload) {
  return answer_credentials(out, user, allowed, *static_cast<TransferMeter*>(payload));
}

int ask_about_certificate(git_cert* certificate, int valid, const char*, void* payload) {
  return judge_certificate(certificate, valid == 1, *static_cast<TransferMeter*>(payload));
}

// Also called while deltas are resolved, when no bytes come any more.
int report_progress(const git_indexer_progress*, void* payload) {
  const auto* meter = static_cast<const TransferMeter*>(payload);
  if (meter->progress) meter->progress();
  return 0;
}

// The meter must outlive every call made with these; libgit2 keeps the bare pointer.
git_remote_callbacks make_callbacks(TransferMeter& meter) {
  git_remote_callbacks callbacks;
  git_remote_init_callbacks(&callbacks, GIT_REMOTE_CALLBACKS_VERSION);
  callbacks.credentials = &ask_for_credentials;
  callbacks.certificate_check = &ask_about_certificate;
  callbacks.transfer_progress = &report_progress;
  callbacks.payload = &meter;
  return callbacks;
}

constexpr const char* kPackDirectory = "/objects/pack";
constexpr std::string_view kBranchRefs = "refs/moored/heads/";

bool ends_with(const std::string& name, std::string_view end) {
  return name.size() > end.size() &&
         name.compare(name.size() - end.size(), std::string::npos, end) == 0;
}

// These keep their own reason, whenever they come.
bool is_code_of_denial(int code) { return code == GIT_EAUTH || code == GIT_ECERTIFICATE; }

}  // namespace

void FreeHandle::operator()(git_repository* handle) const { git_repository_free(handle); }
void FreeHandle::operator()(git_odb* handle) const { git_odb_free(handle); }
void FreeHandle::operator()(git_odb_object* handle) const { git_odb_object_free(handle); }
void FreeHandle::operator()(git_remote* handle) const { git_remote_free(handle); }
void FreeHandle::operator()(git_packbuilder* handle) const { git_packbuilder_free(handle); }
void FreeHandle::operator()(git_object* handle) const { git_object_free(handle); }
void FreeHandle::operator()(git_reference_iterator* handle) const {
  git_reference_iterator_free(handle);
}
void FreeHandle::operator()(git_revwalk* handle) const { git_revwalk_free(handle); }

// Not searched upwards: the path is the repository or there is none.
Result<Repository> open_repository(const std::string& path) {
  git_repository* raw = nullptr;
  const int code =
      git_repository_open_ext(&raw, path.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr);
  if (code == GIT_ENOTFOUND) {
    return Unexpected(Error{Code::not_found, "there is no Git repository at " + show_text(path),
                            "RepositoryNotFound", {}, "give the path of a repository"});
  }
  if (code < 0) return Unexpected(library_error("open " + show_text(path), code));
  return Repository(raw);
}

// Bare: nothing is ever checked out, so no hook, filter or symbolic link of the repository is
// followed. NO_REINIT, because the directory was just found to be absent or was removed.
Result<Repository> open_or_make_bare(const std::string& directory) {
  if (path_exists(directory)) {
    git_repository* raw = nullptr;
    if (git_repository_open_bare(&raw, directory.c_str()) == 0) return Repository(raw);
    // A crash in the middle of making it leaves such a directory.
    MOORED_CHECK(remove_tree(directory));
  }
  git_repository_init_options options;
  git_repository_init_options_init(&options, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
  options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH |
                  GIT_REPOSITORY_INIT_NO_REINIT;
  options.mode = 0700;
  git_repository* raw = nullptr;
  const int code = git_repository_init_ext(&raw, directory.c_str(), &options);
  if (code < 0) return Unexpected(library_error("make the mirror " + directory, code));
  return Repository(raw);
}

// Short names are refused: "main" may be a branch and a tag at once, and Git would choose in
// silence.
Status check_reference_name(const std::string& reference) {
  int valid = 0;
  const bool full = reference == "HEAD" || reference.compare(0, 5, "refs/") == 0;
  if (full && git_reference_name_is_valid(&valid, reference.c_str()) == 0 && valid == 1) return {};
  return Unexpected(Error{Code::invalid,
                          "\"" + show_text(reference, 256) + "\" is no full reference name",
                          "InvalidValue", {}, "write refs/heads/NAME or refs/tags/NAME"});
}

// Whatever libgit2 calls it: the object is either not there or not whole.
Error object_error(const ObjectId& id, int code) {
  Error error = library_error("read the object " + id.hex(), code);
  if (code == GIT_ENOTFOUND) {
    return Error{Code::corrupt, "the object " + id.hex() + " is missing", "ObjectMissing", {},
                 "repair the repository with git fsck"};
  }
  error.code = Code::corrupt;
  error.reason = "ObjectCorrupt";
  error.fix = "repair the repository with git fsck";
  return error;
}

// The reference keeps the commit reachable for compacting; 1 is force, so a rewritten branch moves
// it as well. A look that found nothing new writes nothing.
Status point(git_repository* repository, const std::string& name, const git_oid& id) {
  git_oid known;
  const bool same = git_reference_name_to_id(&known, repository, name.c_str()) == 0 &&
                    git_oid_equal(&known, &id) != 0;
  if (same) return {};
  git_reference* reference = nullptr;
  const int code = git_reference_create(&reference, repository, name.c_str(), &id, 1, nullptr);
  git_reference_free(reference);
  if (code < 0) return Unexpected(library_error("note the reference", code));
  return {};
}

Status track(git_repository* repository, const git_oid& id) {
  return point(repository, std::string(kTrackedRef), id);
}

// An unreadable directory counts as none: compacting is never urgent.
std::size_t count_packs(const std::string& directory) {
  const auto names = list_directory(directory + kPackDirectory);
  if (!names) return 0;
  return static_cast<std::size_t>(std::count_if(
      names->begin(), names->end(), [](const auto& name) { return ends_with(name, ".pack"); }));
}

// What an indexer that was killed has written so far counts as disk and is never used again; an
// index without its pack neither.
Status remove_leftovers(const std::string& directory) {
  const auto names = list_directory(directory + kPackDirectory);
  if (!names) return {};
  for (const auto& name : *names) {
    const std::string stem = name.substr(0, name.rfind('.'));
    const bool whole = (ends_with(name, ".pack") || ends_with(name, ".idx")) &&
                       std::binary_search(names->begin(), names->end(), stem + ".pack") &&
                       std::binary_search(names->begin(), names->end(), stem + ".idx");
    if (!whole) MOORED_CHECK(remove_tree(directory + kPackDirectory + '/' + name));
  }
  return {};
}

Result<std::vector<std::string>> list_references(git_repository* repository,
                                                 const std::string& pattern) {
  git_reference_iterator* raw = nullptr;
  int code = git_reference_iterator_glob_new(&raw, repository, pattern.c_str());
  const ReferenceIterator iterator(raw);
  std::vector<std::string> names;
  const char* name = nullptr;
  while (code == 0 && (code = git_reference_next_name(&name, raw)) == 0) names.emplace_back(name);
  if (code != GIT_ITEROVER) return Unexpected(library_error("list the mirror's references", code));
  return names;
}

Status keep_branches(git_repository* repository, const std::set<std::string>& kept) {
  MOORED_TRY(const auto names, list_references(repository, std::string(kBranchRefs) + '*'));
  for (const auto& name : names) {
    if (kept.count(name.substr(kBranchRefs.size())) != 0) continue;
    const int code = git_reference_remove(repository, name.c_str());
    if (code < 0) return Unexpected(library_error("forget a branch", code));
  }
  return {};
}

// Takes what a reference leads to: its tags one by one, its commits as the start of a walk. False
// when it leads to no commit, and there is nothing to keep.
Result<bool> insert_reference(git_repository* repository, git_packbuilder* builder,
                              git_revwalk* walk, git_oid id) {
  for (std::size_t hops = 0; hops <= kMaxTagChain; ++hops) {
    git_object* raw = nullptr;
    if (git_object_lookup(&raw, repository, &id, GIT_OBJECT_ANY) < 0) return false;
    const LooseObject object(raw);
    int code = 0;
    if (git_object_type(raw) == GIT_OBJECT_COMMIT) {
      code = git_revwalk_push(walk, &id);
      if (code < 0) return Unexpected(library_error("walk the mirror", code));
      return true;
    }
    if (git_object_type(raw) != GIT_OBJECT_TAG) return false;
    code = git_packbuilder_insert(builder, &id, nullptr);
    if (code < 0) return Unexpected(library_error("keep a tag", code));
    // The object is a tag, and the handle of one is the same struct.
    git_oid_cpy(&id, git_tag_target_id(reinterpret_cast<const git_tag*>(raw)));
  }
  return false;
}

// Only what our references reach is taken over; the rest is the past.
Status write_compacted(git_repository* old_repository, const std::string& directory) {
  const std::string fresh = directory + ".new";
  MOORED_CHECK(remove_tree(fresh));
  MOORED_TRY(const auto repository, open_or_make_bare(fresh));
  MOORED_TRY(const auto names, list_references(old_repository, "refs/moored/*"));
  git_packbuilder* raw_builder = nullptr;
  git_revwalk* raw_walk = nullptr;
  int code = git_packbuilder_new(&raw_builder, old_repository);
  const PackBuilder builder(raw_builder);
  if (code == 0) code = git_revwalk_new(&raw_walk, old_repository);
  const RevisionWalk walk(raw_walk);
  if (code < 0) return Unexpected(library_error("join the packs of the mirror", code));
  std::map<std::string, git_oid> kept;
  for (const auto& name : names) {
    git_oid id;
    if (git_reference_name_to_id(&id, old_repository, name.c_str()) < 0) continue;
    MOORED_TRY(const bool leads, insert_reference(old_repository, raw_builder, raw_walk, id));
    if (leads) kept.emplace(name, id);
  }
  if (kept.empty()) return {};  // a pack of nothing would be one that cannot be read
  code = git_packbuilder_insert_walk(raw_builder, raw_walk);
  const std::string packs = fresh + kPackDirectory;
  if (code == 0) code = git_packbuilder_write(raw_builder, packs.c_str(), 0, nullptr, nullptr);
  if (code < 0) return Unexpected(library_error("join the packs of the mirror", code));
  for (const auto& [name, id] : kept) MOORED_CHECK(point(repository.get(), name, id));
  return {};
}

Status swap_in_compacted(const std::string& directory) {
  // A crash between the two steps leaves no mirror, which the next look fetches afresh.
  MOORED_CHECK(remove_tree(directory));
  if (std::rename((directory + ".new").c_str(), directory.c_str()) != 0) {
    return Unexpected(system_error("rename " + directory + ".new", errno));
  }
  return {};
}

RemoteSession::RemoteSession(git_repository* repository, TransferMeter& meter)
    : repository_(repository), meter_(meter), scope_(meter) {}

RemoteSession::~RemoteSession() {
  if (remote_) git_remote_disconnect(remote_.get());
}

// The meter knows best why bytes were refused.
Error RemoteSession::explain(std::string_view what, int code, bool downloading) const {
  if (meter_.failure) return Error(*meter_.failure).context(what);
  Error error = library_error(what, code);
  if (!meter_.exceeded.empty()) {
    error.code = Code::exhausted;
    error.reason = meter_.exceeded;
    if (error.reason == "DiskBudget") {
      error.fix = "take large files out of the history, or follow a repository that holds less";
    }
  } else if (code == GIT_ECERTIFICATE) {
    error.code = Code::denied;
    error.reason = "TlsRefused";
  } else if (!downloading && error.message.find("malformed URL") != std::string::npos) {
    // Our own URL was judged before; this one came with a redirect.
    error.code = Code::denied;
    error.reason = "RedirectRefused";
  } else if (downloading && !is_code_of_denial(code) &&
             (error.reason == "FetchFailed" || error.reason == "ObjectCorrupt")) {
    error.code = Code::corrupt;
    error.reason = "PackCorrupt";
  }
  return error;
}

// For ssh libgit2 connects to whatever a name leads to, so it is given an address that was judged;
// the name stays in the meter, for known_hosts. Our own transports judge where they connect.
Result<std::vector<std::string>> RemoteSession::find_targets() const {
  const SourceUrl& url = *meter_.url;
  if (url.transport != Transport::ssh) return std::vector<std::string>{url.url};
  const bool allow_local = meter_.access != nullptr && meter_.access->allow_local;
  MOORED_TRY(const auto addresses, find_addresses(url.host, allow_local));
  // In user@host:path libgit2 takes the first colon for the end of the host.
  const bool with_colons = url.url.find("://") != std::string::npos;
  std::vector<std::string> targets;
  for (const auto& address : addresses) {
    if (!with_colons && address.find(':') != std::string::npos) continue;
    targets.push_back(with_address(url, address));
  }
  if (!targets.empty()) return targets;
  return Unexpected(Error{Code::unavailable, "the server has IPv6 addresses only", "FetchFailed",
                          {}, "write the URL as ssh://user@host/path"});
}

// A server that has said anything is the right one, whatever it said.
Status RemoteSession::connect() {
  MOORED_TRY(const auto targets, find_targets());
  Status status;
  for (const auto& target : targets) {
    status = connect_to(target);
    const bool another = !status && !meter_.failure && meter_.advertisement_bytes == 0 &&
                         status.error().reason == "FetchFailed";
    if (!another) return status;
  }
  return status;
}

// Without insteadOf of the mirror's configuration: nothing may lead elsewhere, and libgit2 1.5
// loses 20 KiB for each line of it that it compares the URL with, which is 120 KiB a look.
Status RemoteSession::connect_to(const std::string& target) {
  git_remote* raw = nullptr;
  git_remote_create_options naming;
  git_remote_create_options_init(&naming, GIT_REMOTE_CREATE_OPTIONS_VERSION);
  naming.repository = repository_;
  naming.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF;
  int code = git_remote_create_with_opts(&raw, target.c_str(), &naming);
  if (code < 0) return Unexpected(library_error("name the remote", code));
  remote_.reset(raw);
  // No configuration, and neither proxy nor redirect of libgit2's: our http transport sees to both.
  git_remote_connect_options options;
  git_remote_connect_options_init(&options, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
  options.callbacks = make_callbacks(meter_);
  options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
  code = git_remote_connect_ext(raw, GIT_DIRECTION_FETCH, &options);
  if (code < 0) return Unexpected(explain("look at the remote", code, false));
  return {};
}

Result<std::optional<git_oid>> RemoteSession::find_reference(const std::string& reference) {
  const git_remote_head** heads = nullptr;
  std::size_t count = 0;
  const int code = git_remote_ls(&heads, &count, remote_.get());
  if (code < 0) return Unexpected(explain("list the references", code, false));
  for (std::size_t i = 0; i < count; ++i) {
    if (reference == heads[i]->name) return std::optional<git_oid>(heads[i]->oid);
  }
  return std::optional<git_oid>();
}

// Over the connection that listed the references, so nothing can change in between.
Status RemoteSession::download(const std::string& refspec) {
  std::string text = refspec;
  char* pointer = text.data();
  const git_strarray refspecs{&pointer, 1};
  git_fetch_options options;
  git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
  options.callbacks = make_callbacks(meter_);
  options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
  options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
  int code = git_remote_download(remote_.get(), &refspecs, &options);
  if (code < 0) return Unexpected(explain("fetch", code, true));
  code = git_remote_update_tips(remote_.get(), &options.callbacks, 0,
                                GIT_REMOTE_DOWNLOAD_TAGS_NONE, nullptr);
  if (code < 0) return Unexpected(explain("note what was fetched", code, true));
  return {};
}

// The branches that the server has, without refs/heads/.
Result<std::set<std::string>> RemoteSession::list_branches() {
  constexpr std::string_view kHeads = "refs/heads/";
  const git_remote_head** heads = nullptr;
  std::size_t count = 0;
  const int code = git_remote_ls(&heads, &count, remote_.get());
  if (code < 0) return Unexpected(explain("list the references", code, false));
  std::set<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view name = heads[i]->name;
    if (name.substr(0, kHeads.size()) == kHeads) names.emplace(name.substr(kHeads.size()));
  }
  return names;
}

// libgit2 cannot ask every server for a bare id, so the branches are taken; those that the server
// has no longer would be kept by every compacting.
Status fetch_everything(git_repository* repository, TransferMeter& meter) {
  RemoteSession session(repository, meter);
  MOORED_CHECK(session.connect());
  MOORED_TRY(const auto branches, session.list_branches());
  MOORED_CHECK(session.download("+refs/heads/*:" + std::string(kBranchRefs) + '*'));
  return keep_branches(repository, branches);
}

}  // namespace moored::git
