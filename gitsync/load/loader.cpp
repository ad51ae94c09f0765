// One load: parse what is new, take the rest from the last one, judge the whole.
#include "gitsync/load/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "gitsync/load/parse_all.hpp"
#include "schema/codec/locate.hpp"

namespace moored::git {
namespace {

// All size errors have one cure.
Error size_error(std::string_view reason, std::string message, const std::string& path) {
  return Error{Code::exhausted, std::move(message), std::string(reason), Place{path, 0, 0, {}},
               "split the file, or keep what is no manifest out of the path"};
}

// Puts the path into everything a file's parse has said.
void report_file(const Diagnostics& diagnostics, const std::string& path, Diagnostics& all) {
  Diagnostics named;
  for (Error error : diagnostics.errors()) {
    error.place.file = path;
    named.add_error(std::move(error));
  }
  for (Error warning : diagnostics.warnings()) {
    warning.place.file = path;
    named.add_warning(std::move(warning));
  }
  for (std::size_t n = named.error_count(); n < diagnostics.error_count(); ++n) {
    named.add_error(Error{Code::invalid, "and more", {}, Place{path, 0, 0, {}}, {}});
  }
  all.take(std::move(named));
}

// What the reading and the judging of a commit have said, in the order of files and lines: a
// person meets the first error first.
Diagnostics in_order(const Diagnostics& said) {
  const auto earlier = [](const Error& left, const Error& right) {
    return std::tie(left.place.file, left.place.line, left.place.column) <
           std::tie(right.place.file, right.place.line, right.place.column);
  };
  auto errors = said.errors();
  auto warnings = said.warnings();
  std::stable_sort(errors.begin(), errors.end(), earlier);
  std::stable_sort(warnings.begin(), warnings.end(), earlier);
  Diagnostics sorted;
  for (auto& error : errors) sorted.add_error(std::move(error));
  for (auto& warning : warnings) sorted.add_warning(std::move(warning));
  // Past the limit they are only counted.
  for (auto n = sorted.error_count(); n < said.error_count(); ++n) sorted.add_error({});
  for (auto n = sorted.warning_count(); n < said.warning_count(); ++n) sorted.add_warning({});
  return sorted;
}

// The suffix decides how the bytes are read.
bool is_json_path(const std::string& path) {
  return path.size() >= 5 && path.compare(path.size() - 5, 5, ".json") == 0;
}

// Copies share the parsed value; only the provenance is new.
std::vector<Object> with_file(const std::vector<Object>& objects, const std::string& path) {
  std::vector<Object> named;
  named.reserve(objects.size());
  for (const auto& object : objects) {
    Provenance provenance = object.provenance();
    provenance.file = path;
    named.push_back(object.with_provenance(std::move(provenance)));
  }
  return named;
}

// Objects for other machines are read and checked, so that a mistake shows everywhere, and then
// left out before anything is said about the set.
std::vector<Object> for_host(const std::vector<Object>& objects, const std::string& host,
                             Diagnostics& diagnostics) {
  std::vector<Object> ours;
  ours.reserve(objects.size());
  for (const auto& object : objects) {
    auto wanted = is_for_host(object, host);
    if (wanted && *wanted) ours.push_back(object);
    if (!wanted) diagnostics.add_error(std::move(wanted).error());
  }
  return ours;
}

// Errors about whole objects point at the start of the document: moves them to the field that
// they name. The files are read again, which costs only who made a mistake.
Diagnostics with_fields(Diagnostics judged, const ManifestSet& manifests, FileReader& reader) {
  if (judged.ok()) return judged;
  std::map<std::string, FieldLocator> locators;
  Diagnostics placed;
  for (Error error : judged.errors()) {
    const auto& path = error.place.file;
    const auto file = std::find_if(manifests.files.begin(), manifests.files.end(),
                                   [&](const ManifestFile& known) { return known.path == path; });
    if (file != manifests.files.end() && locators.count(path) == 0) {
      const auto text = reader.read(*file);
      if (text) locators.emplace(path, FieldLocator(*text, path));
    }
    if (const auto found = locators.find(path); found != locators.end()) {
      found->second.refine(error.place);
    }
    placed.add_error(std::move(error));
  }
  for (std::size_t n = placed.error_count(); n < judged.error_count(); ++n) {
    placed.add_error(Error{Code::invalid, "and more", {}, {}, {}});
  }
  for (const Error& warning : judged.warnings()) placed.add_warning(warning);
  return placed;
}

}  // namespace

// One load under way.
class ManifestLoader::Run {
 public:
  Run(Memory& memory, const ManifestSet& manifests, FileReader& reader, const LoadOptions& options)
      : memory_(memory), manifests_(manifests), reader_(reader), options_(options) {
    // Remembered objects are in their namespaces already, and those for others left out.
    if (memory_.options.target_namespace != options.target_namespace) memory_ = {};
    same_objects_ = memory_.options.host == options.host;
    set.diagnostics = manifests.diagnostics;
  }

  Status read_files();
  // Also when files failed: the person sees all errors in one pass.
  void judge();
  void remember();

  LoadedSet set;

 private:
  using BlobPtr = std::shared_ptr<const ParsedBlob>;

  LoadedFilePtr find_known(const ManifestFile& file);
  BlobPtr find_blob(const ManifestFile& file);
  Status read_blobs(std::size_t from);
  Result<LoadedFilePtr> load_file(const ManifestFile& file, std::size_t place);
  Result<std::optional<ParseTask>> read_one(const ManifestFile& file, ParsedBlob& blob);
  bool take(const ManifestFile& file, LoadedFilePtr loaded);
  bool exchange_is_faultless();

  Memory& memory_;
  const ManifestSet& manifests_;
  FileReader& reader_;
  const LoadOptions& options_;
  bool same_objects_ = false;
  std::size_t cursor_ = 0;                                        // in the remembered files
  std::unordered_map<std::string_view, std::size_t> by_path_;     // of those; made in need
  std::unordered_map<std::string, BlobPtr> by_content_;           // new ones, and known in need
  std::size_t searches_ = 0;                                      // for a content, one by one
  std::vector<std::size_t> unknown_;                              // places of files in manifests_
  std::vector<bool> kept_;                                        // of the remembered files
  std::vector<LoadedFilePtr> added_;
  std::size_t bytes_ = 0;
  std::size_t documents_ = 0;
  bool faultless_ = false;
};

namespace {

std::string content_key(const std::string& id, bool json) {
  return id + (json ? " json" : " yaml");
}

}  // namespace

// Both lists are in the order of the tree, so that they mostly go along side by side.
LoadedFilePtr ManifestLoader::Run::find_known(const ManifestFile& file) {
  const auto& files = memory_.files;
  kept_.resize(files.size(), false);
  if (!same_objects_) return nullptr;
  if (cursor_ >= files.size() || files[cursor_]->path != file.path) {
    if (by_path_.empty()) {
      for (std::size_t i = 0; i < files.size(); ++i) by_path_.emplace(files[i]->path, i);
    }
    const auto found = by_path_.find(file.path);
    if (found == by_path_.end()) return nullptr;
    cursor_ = found->second;
  }
  const std::size_t at = cursor_++;
  if (files[at]->id != file.id || kept_[at]) return nullptr;
  kept_[at] = true;
  return files[at];
}

// The same content under another path, or in the load before.
// A few are looked for one by one, as an index of all would cost more.
ManifestLoader::Run::BlobPtr ManifestLoader::Run::find_blob(const ManifestFile& file) {
  constexpr std::size_t kSearches = 16;
  const bool json = is_json_path(file.path);
  const auto indexed = [&]() -> BlobPtr {
    const auto found = by_content_.find(content_key(file.id, json));
    return found == by_content_.end() ? nullptr : found->second;
  };
  if (auto blob = indexed()) return blob;
  if (searches_ > kSearches) return nullptr;
  if (searches_++ < kSearches) {
    const auto same = std::find_if(
        memory_.files.begin(), memory_.files.end(),
        [&](const auto& known) { return known->id == file.id && known->blob->json == json; });
    return same == memory_.files.end() ? nullptr : (*same)->blob;
  }
  for (const auto& known : memory_.files) {
    by_content_.emplace(content_key(known->id, known->blob->json), known->blob);
  }
  return indexed();
}

// The size comes from the object's header: a gigabyte of zeros is refused without being inflated.
// Nothing: there is nothing to parse.
Result<std::optional<ParseTask>> ManifestLoader::Run::read_one(const ManifestFile& file,
                                                               ParsedBlob& blob) {
  MOORED_TRY(blob.bytes, reader_.read_size(file));
  blob.json = is_json_path(file.path);
  auto& diagnostics = blob.parsed.diagnostics;
  if (blob.bytes > kMaxBlobBytes) {
    diagnostics.add_error(size_error("BlobLimit",
                                     fmt::format("the file has {} bytes, more than any blob may "
                                                 "have", blob.bytes), {}));
    return std::optional<ParseTask>();
  }
  if (blob.bytes > kMaxManifestBytes) {
    diagnostics.add_error(size_error(
        "SizeLimit",
        fmt::format("the file has {} bytes, a manifest may have {}", blob.bytes,
                    kMaxManifestBytes), {}));
    return std::optional<ParseTask>();
  }
  MOORED_TRY(std::string text, reader_.read(file));
  return std::optional<ParseTask>(ParseTask{std::move(text), file.path, &blob.parsed});
}

// Reads what comes next and is not known, some of it at once, so that it can be parsed side by
// side. from: in unknown_.
Status ManifestLoader::Run::read_blobs(std::size_t from) {
  constexpr std::size_t kFilesAtOnce = 256;
  constexpr std::size_t kBytesAtOnce = 4U << 20U;
  std::vector<ParseTask> tasks;
  std::size_t bytes = 0;
  for (std::size_t i = from; i < unknown_.size(); ++i) {
    if (tasks.size() >= kFilesAtOnce || bytes >= kBytesAtOnce) break;
    if (bytes_ + bytes > kMaxSourceBytes) break;
    const auto& file = manifests_.files[unknown_[i]];
    if (find_blob(file)) continue;
    auto blob = std::make_shared<ParsedBlob>();
    auto task = read_one(file, *blob);
    if (!task) {
      task.error().place.file = file.path;
      return Unexpected(std::move(task).error().context(file.path));
    }
    bytes += blob->bytes;
    if (*task) tasks.push_back(**std::move(task));
    by_content_.emplace(content_key(file.id, blob->json), std::move(blob));
    ++set.blobs_read;
  }
  parse_all(tasks, options_.target_namespace);
  return {};
}

// Errors are said for every path that the content lies under. False: the limit of one load.
bool ManifestLoader::Run::take(const ManifestFile& file, LoadedFilePtr loaded) {
  const auto& said = loaded->diagnostics;
  if (said.error_count() + said.warning_count() > 0) set.diagnostics.take(said);
  bytes_ += loaded->blob->bytes;
  documents_ += loaded->blob->parsed.documents;
  // A running sum, so that the rest is not even read.
  if (bytes_ > kMaxSourceBytes || documents_ > kMaxDocuments) {
    set.diagnostics.add_error(size_error(
        "SizeLimit", "the manifests together are more than 64 MiB or 20,000 documents",
        file.path));
    return false;
  }
  set.files.push_back(std::move(loaded));
  return true;
}

// A file that the last load did not have, or had with another content. place: in unknown_.
Result<LoadedFilePtr> ManifestLoader::Run::load_file(const ManifestFile& file, std::size_t place) {
  BlobPtr blob = find_blob(file);
  if (!blob) {
    MOORED_CHECK(read_blobs(place));
    blob = find_blob(file);
  }
  auto fresh = std::make_shared<LoadedFile>();
  fresh->path = file.path;
  fresh->id = file.id;
  report_file(blob->parsed.diagnostics, file.path, fresh->diagnostics);
  fresh->objects =
      for_host(with_file(blob->parsed.objects, file.path), options_.host, fresh->diagnostics);
  fresh->blob = std::move(blob);
  added_.push_back(fresh);
  return LoadedFilePtr(std::move(fresh));
}

Status ManifestLoader::Run::read_files() {
  const auto& files = manifests_.files;
  std::vector<LoadedFilePtr> known;
  known.reserve(files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    known.push_back(find_known(files[i]));
    if (!known.back()) unknown_.push_back(i);
  }
  set.files.reserve(files.size());
  std::size_t place = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!known[i]) {
      MOORED_TRY(known[i], load_file(files[i], place++));
    }
    if (!take(files[i], std::move(known[i]))) break;
  }
  return {};
}

// What the last load had in common with this one was judged with it.
bool ManifestLoader::Run::exchange_is_faultless() {
  const bool comparable = memory_.faultless && memory_.options == options_;
  if (!comparable) return false;
  std::vector<Object> added, removed;
  for (std::size_t i = 0; i < memory_.files.size(); ++i) {
    if (kept_[i]) continue;
    const auto& objects = memory_.files[i]->objects;
    removed.insert(removed.end(), objects.begin(), objects.end());
  }
  for (const auto& file : added_) {
    added.insert(added.end(), file->objects.begin(), file->objects.end());
  }
  Diagnostics said;
  check_rights(added, options_.rights, said);
  if (said.error_count() > 0) return false;
  if (added.empty() && removed.empty()) return true;
  if (!memory_.claims) {
    memory_.claims.emplace();
    for (const auto& file : memory_.files) memory_.claims->add(file->objects);
  }
  return memory_.claims->exchange(removed, added, options_.policy);
}

void ManifestLoader::Run::judge() {
  kept_.resize(memory_.files.size(), false);
  faultless_ = set.files.size() == manifests_.files.size() && exchange_is_faultless();
  if (faultless_) return;
  memory_.claims.reset();
  std::vector<Object> objects;
  for (const auto& file : set.files) {
    objects.insert(objects.end(), file->objects.begin(), file->objects.end());
  }
  Diagnostics judged;
  validate_commit(objects, options_.policy, judged);
  check_rights(objects, options_.rights, judged);
  faultless_ = judged.error_count() + judged.warning_count() == 0;
  set.diagnostics.take(with_fields(std::move(judged), manifests_, reader_));
}

// Only what this load used is kept.
void ManifestLoader::Run::remember() {
  memory_.files = set.files;
  memory_.options = options_;
  memory_.faultless = faultless_;
}

Result<LoadedSet> ManifestLoader::load(const ManifestSet& manifests, FileReader& reader,
                                       const LoadOptions& options, const Clock& clock) {
  Run run(memory_, manifests, reader, options);
  MOORED_CHECK(run.read_files());
  run.set.rendered_at = clock.now().wall;
  run.judge();
  run.set.diagnostics = in_order(run.set.diagnostics);
  run.set.validated_at = clock.now().wall;
  run.set.complete = run.set.diagnostics.ok();
  run.remember();
  return std::move(run.set);
}

}  // namespace moored::git
