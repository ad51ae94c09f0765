// One load: parse what is new, take the rest from the cache, judge the whole.
#include "gitsync/load/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

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

// The same bytes are read differently as JSON, so the format is a part of the key.
std::string cache_key(const ManifestFile& file) {
  const bool json = file.path.size() >= 5 && file.path.substr(file.path.size() - 5) == ".json";
  return file.id + (json ? " json" : " yaml");
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

Result<ManifestLoader::CachedPtr> ManifestLoader::parse_file(const ManifestFile& file,
                                                             FileReader& reader,
                                                             const std::string& target_namespace) {
  auto cached = std::make_shared<CachedFile>();
  // From the object's header: a gigabyte of zeros is refused without being inflated.
  MOORED_TRY(cached->bytes, reader.read_size(file));
  auto& diagnostics = cached->parsed.diagnostics;
  if (cached->bytes > kMaxBlobBytes) {
    diagnostics.add_error(size_error("BlobLimit",
                                     fmt::format("the file has {} bytes, more than any blob may "
                                                 "have", cached->bytes), {}));
  } else if (cached->bytes > kMaxManifestBytes) {
    diagnostics.add_error(size_error(
        "SizeLimit",
        fmt::format("the file has {} bytes, a manifest may have {}", cached->bytes,
                    kMaxManifestBytes), {}));
  } else {
    MOORED_TRY(const std::string text, reader.read(file));
    cached->parsed = parse_manifests(text, file.path, target_namespace);
  }
  return CachedPtr(std::move(cached));
}

Result<LoadedSet> ManifestLoader::load(const ManifestSet& manifests, FileReader& reader,
                                       const LoadOptions& options, const Clock& clock) {
  LoadedSet set;
  set.diagnostics = manifests.diagnostics;
  // Cached objects are in their namespaces already.
  if (cached_namespace_ != options.target_namespace) cache_.clear();
  cached_namespace_ = options.target_namespace;
  Cache used;
  std::size_t bytes = 0;
  std::size_t documents = 0;
  std::vector<Object> objects;
  for (const auto& file : manifests.files) {
    const std::string key = cache_key(file);
    CachedPtr cached;
    if (const auto known = cache_.find(key); known != cache_.end()) {
      cached = known->second;
    } else if (const auto twice = used.find(key); twice != used.end()) {
      cached = twice->second;
    } else {
      auto parsed = parse_file(file, reader, options.target_namespace);
      if (!parsed) {
        parsed.error().place.file = file.path;
        return Unexpected(std::move(parsed).error().context(file.path));
      }
      cached = *std::move(parsed);
      ++set.blobs_read;
    }
    const bool parsed_now = cache_.find(key) == cache_.end();
    used.emplace(key, cached);
    // Errors are said for every path that the content lies under.
    report_file(cached->parsed.diagnostics, file.path, set.diagnostics);
    bytes += cached->bytes;
    documents += cached->parsed.documents;
    // A running sum, so that the rest is not even read.
    if (bytes > kMaxSourceBytes || documents > kMaxDocuments) {
      set.diagnostics.add_error(size_error(
          "SizeLimit", "the manifests together are more than 64 MiB or 20,000 documents",
          file.path));
      break;
    }
    LoadedFile loaded{file.path, file.id, parsed_now,
                      for_host(with_file(cached->parsed.objects, file.path), options.host,
                               set.diagnostics)};
    objects.insert(objects.end(), loaded.objects.begin(), loaded.objects.end());
    set.files.push_back(std::move(loaded));
  }
  // Only what this load used is kept: the limits of a load bound the cache.
  cache_ = std::move(used);
  set.rendered_at = clock.now().wall;
  Diagnostics judged;
  // Also when files failed: the person sees all errors in one pass.
  validate_commit(objects, options.policy, judged);
  check_rights(objects, options.rights, judged);
  set.diagnostics.take(with_fields(std::move(judged), manifests, reader));
  set.diagnostics = in_order(set.diagnostics);
  set.validated_at = clock.now().wall;
  set.complete = set.diagnostics.ok();
  return set;
}

}  // namespace moored::git
