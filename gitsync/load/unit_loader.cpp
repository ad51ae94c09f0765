// Joins the tree view and the loader for one unit.
#include "gitsync/load/unit_loader.hpp"

#include "gitsync/repo/ignore.hpp"

namespace moored::git {
namespace {

// Reads the blobs of a commit by id.
class BlobReader final : public FileReader {
 public:
  explicit BlobReader(ObjectSource& objects) : objects_(objects) {}

  // Reads the header alone.
  Result<std::size_t> read_size(const ManifestFile& file) override {
    return objects_.read_blob_size(id_of(file));
  }
  Result<std::string> read(const ManifestFile& file) override {
    return objects_.read_blob(id_of(file));
  }

 private:
  // Ids of a listing are well formed; the zero id would be reported as missing.
  static ObjectId id_of(const ManifestFile& file) {
    return ObjectId::from_hex(file.id).value_or(ObjectId{});
  }

  ObjectSource& objects_;
};

// A link that leads out of the tree is nothing to refuse a commit for when it is left out; unsafe
// names and broken trees stay what they are.
Diagnostics without_links(const Diagnostics& said, const IgnorePatterns& ignored) {
  Diagnostics kept;
  for (const auto& error : said.errors()) {
    const bool left_out = error.reason == "SymlinkRefused" && ignored.matches(error.place.file);
    if (!left_out) kept.add_error(error);
  }
  for (std::size_t n = said.errors().size(); n < said.error_count(); ++n) {
    kept.add_error(Error{Code::invalid, "and more", {}, {}, {}});
  }
  for (const auto& warning : said.warnings()) kept.add_warning(warning);
  return kept;
}

}  // namespace

Result<ManifestSet> UnitLoader::list(Mirror& mirror, const std::string& sha,
                                     const std::string& path, const std::string& ignore) {
  const auto id = ObjectId::from_hex(sha);
  if (!id) return fail(Code::invalid, "a revision is named by 40 hexadecimal digits");
  MOORED_TRY(const CommitHeader commit, mirror.read_commit(*id));
  MOORED_TRY(TreeListing listing, tree_.list(mirror, commit.tree, path));
  const IgnorePatterns ignored(ignore);
  ManifestSet manifests;
  manifests.diagnostics =
      ignore.empty() ? std::move(listing.diagnostics) : without_links(listing.diagnostics, ignored);
  for (auto& file : listing.kustomizations) {
    if (!ignored.matches(file)) manifests.kustomizations.push_back(std::move(file));
  }
  for (auto& file : listing.files) {
    if (ignored.matches(file.path)) continue;
    manifests.files.push_back({std::move(file.path), file.id.hex()});
  }
  return manifests;
}

Result<LoadedSet> UnitLoader::load(Mirror& mirror, const ManifestSet& manifests,
                                   const LoadOptions& options, const Clock& clock) {
  BlobReader reader(mirror);
  return loader_.load(manifests, reader, options, clock);
}

}  // namespace moored::git
