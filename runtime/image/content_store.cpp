#include "runtime/image/content_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>

#include "runtime/image/documents.hpp"
#include "runtime/image/import_source.hpp"
#include "runtime/image/layer_store.hpp"
#include "runtime/image/name_record.hpp"
#include "runtime/image/names.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/log.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"

namespace moored::image {
namespace {

// The reason is the one kubectl shows for a container that waits for its image.
Unexpected not_present(const std::string& reference) {
  return Unexpected(Error{Code::not_found,
                          "the image " + reference + " is not on this machine",
                          "ErrImagePull",
                          {},
                          "import it: moorctl image import " + reference + " PATH"});
}

}  // namespace

class ContentStore::State {
 public:
  State(ContentStoreOptions given, std::unique_ptr<Unpacker> worker, BlobStore blob_store,
        LayerStore layer_store)
      : options(std::move(given)),
        unpacker(std::move(worker)),
        blobs(std::move(blob_store)),
        layers(std::move(layer_store)) {}

  std::string names_directory() const { return options.directory + "/names"; }
  // Hashed, because a name holds slashes and may be longer than a file name can be. Half of
  // the digest is enough against chance, and an attacker gains nothing here.
  std::string record_path(const std::string& name) const {
    return names_directory() + '/' + sha256_hex(name).substr(0, 32) + ".json";
  }
  Result<std::vector<NameRecord>> read_records() const;
  Result<NameRecord> find_record(const ImageName& name) const;
  Result<ImageReport> describe(const NameRecord& record) const;
  Result<ImageReport> install(const FoundImage& image, const std::vector<std::string>& names,
                              const ImportRequest& request,
                              NameRecord::Origin origin = NameRecord::Origin::imported);
  Status write_name(const NameRecord& record) const;
  struct Marks {
    std::set<std::string> blobs;
    std::vector<std::string> chains;
  };
  Result<Marks> mark() const;
  Result<std::int64_t> sweep_blobs(const Marks& marks) const;
  Result<std::vector<NameRecord>> find_unused(const RoomRequest& request,
                                          const std::set<std::string>& used) const;
  Status forget(const NameRecord& record) const;
  Status forget_replaced(const std::vector<std::string>& layers_in_use) const;
  Result<std::int64_t> collect(const std::vector<std::string>& layers_in_use);

  ContentStoreOptions options;
  std::unique_ptr<Unpacker> unpacker;
  BlobStore blobs;
  LayerStore layers;
  std::mutex changing;
  Guarded<std::map<std::string, int>> leases;  // digests, and how often they are held
};

Result<std::vector<NameRecord>> ContentStore::State::read_records() const {
  std::vector<NameRecord> out;
  MOORED_TRY(const auto files, list_directory(names_directory()));
  for (const auto& file : files) {
    if (file.front() == '.') continue;  // half written
    auto record = read_record(names_directory() + '/' + file);
    if (!record && record.error().code == Code::not_found) continue;  // removed meanwhile
    if (!record) return Unexpected(std::move(record).error());
    out.push_back(*std::move(record));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

// By name one file is read; by digest all are, as several names may lead to one manifest.
Result<NameRecord> ContentStore::State::find_record(const ImageName& name) const {
  if (name.digest.empty()) {
    auto record = read_record(record_path(name.text()));
    if (!record && record.error().code == Code::not_found) return not_present(name.text());
    return record;
  }
  MOORED_TRY(const auto records, read_records());
  for (const auto& record : records) {
    if (record.digest == name.digest) return record;
  }
  return not_present(name.repository + '@' + name.digest);
}

// Read anew from the blobs each time: what a report says can never be older than the store.
Result<ImageReport> ContentStore::State::describe(const NameRecord& record) const {
  MOORED_TRY(const auto manifest_json, blobs.read_document(record.digest));
  MOORED_TRY(const auto manifest, parse_document(manifest_json));
  MOORED_TRY(const auto configuration_json, blobs.read_document(manifest.configuration.digest));
  MOORED_TRY(auto configuration, parse_configuration(configuration_json));
  MOORED_TRY(auto chain, layers.find(configuration.diff_ids));
  auto report = std::move(configuration.process);
  report.name = record.name;
  report.digest = record.digest;
  report.layers = std::move(chain.directories);
  report.size_bytes = chain.size_bytes;
  return report;
}

// Unpacks what is missing and, last of all, gives the names: a name always means a whole image.
Result<ImageReport> ContentStore::State::install(const FoundImage& image,
                                                 const std::vector<std::string>& names,
                                                 const ImportRequest& request,
                                                 NameRecord::Origin origin) {
  MOORED_TRY(const auto manifest_json, blobs.read_document(image.manifest_digest));
  MOORED_TRY(const auto manifest, parse_document(manifest_json));
  MOORED_TRY(const auto configuration_json, blobs.read_document(manifest.configuration.digest));
  MOORED_TRY(const auto configuration, parse_configuration(configuration_json));
  // Layers are paired with their diff ids by position; a different count has no right
  // pairing.
  if (configuration.diff_ids.size() != manifest.layers.size()) {
    return Unexpected(Error{Code::invalid,
                            "the image has " + std::to_string(manifest.layers.size()) +
                                " layers, its configuration names " +
                                std::to_string(configuration.diff_ids.size()),
                            "ManifestInvalid",
                            {},
                            {}});
  }
  std::vector<std::string> layer_blobs;
  for (const auto& layer : manifest.layers)
    layer_blobs.push_back(layer.digest);
  if (request.progress) {
    const std::string what = layer_blobs.size() == 1 ? " layer of " : " layers of ";
    request.progress({"unpacking " + std::to_string(layer_blobs.size()) + what + names.front()});
  }
  MOORED_TRY(const auto chain,
             layers.ensure(configuration.diff_ids, layer_blobs, blobs, options.limits));
  for (const auto& warning : chain.warnings) {
    if (request.progress) request.progress({"warning: " + escape_text(warning)});
  }
  for (const auto& name : names) {
    MOORED_CHECK(write_name({name, image.manifest_digest, origin}));
  }
  return describe({names.front(), image.manifest_digest, origin});
}

// A tag that moves leaves the image it was on behind under its digest.
Status ContentStore::State::write_name(const NameRecord& record) const {
  const auto before = read_record(record_path(record.name));
  if (before && before->digest != record.digest && record.name.find('@') == std::string::npos) {
    const auto repository = record.name.substr(0, record.name.rfind(':'));
    const NameRecord left{repository + '@' + before->digest, before->digest,
                          NameRecord::Origin::replaced};
    const bool known = path_exists(record_path(left.name));  // pulled by digest as well
    if (!known) MOORED_CHECK(write_record(record_path(left.name), left));
  }
  return write_record(record_path(record.name), record);
}

// Everything that the names lead to.
Result<ContentStore::State::Marks> ContentStore::State::mark() const {
  Marks marks;
  MOORED_TRY(const auto records, read_records());
  for (const auto& record : records) {
    marks.blobs.insert(record.digest);
    MOORED_TRY(const auto manifest_json, blobs.read_document(record.digest));
    MOORED_TRY(const auto manifest, parse_document(manifest_json));
    marks.blobs.insert(manifest.configuration.digest);
    for (const auto& layer : manifest.layers)
      marks.blobs.insert(layer.digest);
    MOORED_TRY(const auto configuration_json, blobs.read_document(manifest.configuration.digest));
    MOORED_TRY(const auto configuration, parse_configuration(configuration_json));
    const auto own = make_chain_ids(configuration.diff_ids);
    marks.chains.insert(marks.chains.end(), own.begin(), own.end());
  }
  return marks;
}

// Nobody runs from a blob: those that no name leads to may go at any time.
// How many bytes of them went is told.
Result<std::int64_t> ContentStore::State::sweep_blobs(const Marks& marks) const {
  std::int64_t freed = 0;
  const auto directory = options.directory + "/blobs/sha256";
  MOORED_TRY(const auto present, list_directory(directory));
  for (const auto& hex : present) {
    const auto digest = "sha256:" + hex;
    const bool held = leases.with([&](const auto& held_ones) {
      return held_ones.count(digest) != 0;
    });
    if (held || marks.blobs.count(digest) != 0) continue;
    const auto path = directory + '/' + hex;
    struct stat state {};
    if (stat(path.c_str(), &state) < 0 || unlink(path.c_str()) < 0) {
      return Unexpected(system_error("remove a blob", errno));
    }
    freed += state.st_size;
  }
  return freed;
}

// The topmost layer tells whether anything runs from an image; for another image with the same one
// this errs on the safe side.
Status ContentStore::State::forget_replaced(const std::vector<std::string>& layers_in_use) const {
  const std::set<std::string> used(layers_in_use.begin(), layers_in_use.end());
  MOORED_TRY(const auto records, read_records());
  for (const auto& record : records) {
    if (record.origin != NameRecord::Origin::replaced) continue;
    const auto image = describe(record);
    if (image && !image->layers.empty() && used.count(image->layers.front()) != 0) continue;
    MOORED_CHECK(forget(record));
  }
  return {};
}

// Names go before blobs: a crash in between leaves garbage, never a name without an image.
Status ContentStore::State::forget(const NameRecord& record) const {
  if (unlink(record_path(record.name).c_str()) == 0 || errno == ENOENT) return {};
  return Unexpected(system_error("remove the name " + record.name, errno));
}

// The longest unused first. The time of a record's file is that of its last use.
Result<std::vector<NameRecord>> ContentStore::State::find_unused(
    const RoomRequest& request, const std::set<std::string>& used) const {
  std::vector<std::pair<Time, NameRecord>> found;
  MOORED_TRY(const auto records, read_records());
  for (const auto& record : records) {
    struct stat state {};
    if (record.origin == NameRecord::Origin::imported || used.count(record.digest) != 0) continue;
    if (stat(record_path(record.name).c_str(), &state) < 0) continue;
    const Time last{std::chrono::seconds(state.st_mtim.tv_sec)};
    if (last < request.unused_since) found.emplace_back(last, record);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<NameRecord> out;
  for (auto& [last, record] : found) out.push_back(std::move(record));
  return out;
}

// Blobs first: layers are looked up by chain id and do not need the blobs they came from.
Result<std::int64_t> ContentStore::State::collect(const std::vector<std::string>& layers_in_use) {
  MOORED_CHECK(forget_replaced(layers_in_use));
  MOORED_TRY(const auto marks, mark());
  MOORED_TRY(const auto swept, sweep_blobs(marks));
  static_cast<void>(swept);
  return layers.keep_only(marks.chains, layers_in_use);
}

ContentStore::ContentStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
ContentStore::~ContentStore() = default;

Result<std::unique_ptr<ContentStore>> ContentStore::open(ContentStoreOptions options,
                                                         std::unique_ptr<Unpacker> unpacker) {
  MOORED_CHECK(make_directories(options.directory + "/names"));
  MOORED_TRY(auto blobs, BlobStore::open(options.directory));
  MOORED_TRY(auto layers, LayerStore::open(options.directory, *unpacker));
  auto state = std::make_unique<State>(std::move(options), std::move(unpacker), std::move(blobs),
                                       std::move(layers));
  return std::unique_ptr<ContentStore>(new ContentStore(std::move(state)));
}

namespace {

// A reference, or the bare digest of an image.
Result<ImageName> parse_reference(const std::string& text) {
  if (is_digest(text)) return ImageName{{}, {}, text};
  return parse_image_name(text);
}

}  // namespace

Result<ImageReport> ContentStore::find(const std::string& reference) {
  MOORED_TRY(const auto name, parse_reference(reference));
  MOORED_TRY(const auto record, state_->find_record(name));
  return state_->describe(record);
}

Result<std::vector<ImageReport>> ContentStore::list() {
  MOORED_TRY(const auto records, state_->read_records());
  std::vector<ImageReport> out;
  for (const auto& record : records) {
    auto report = state_->describe(record);
    if (report) {
      out.push_back(*std::move(report));
      continue;
    }
    log(LogLevel::warning, "an image is damaged; import it again",
        {{"image", record.name}, {"error", report.error().text()}});
  }
  return out;
}

namespace {

// The names under which an image of an archive is kept.
Result<std::vector<std::string>> choose_names(const FoundImage& image, const std::string& given) {
  std::vector<std::string> out;
  if (!given.empty()) {
    MOORED_TRY(const auto name, parse_image_name(given));
    if (!name.digest.empty()) {
      return Unexpected(Error{Code::invalid,
                              "an image is imported under a tag, not under a digest",
                              "InvalidImageName",
                              {},
                              "leave @sha256:… out"});
    }
    out.push_back(name.text());
    return out;
  }
  for (const auto& said : image.names) {
    const bool bare = said.find_first_of("/:") == std::string::npos;
    const auto name = parse_image_name(said);
    if (!bare && name) out.push_back(name->text());
  }
  if (!out.empty()) return out;
  return Unexpected(Error{Code::invalid,
                          "the archive does not say how its image is called",
                          "InvalidImageName",
                          {},
                          "give a name: moorctl image import NAME PATH"});
}

}  // namespace

Result<std::vector<ImageReport>> ContentStore::import(const ImportRequest& request) {
  auto& s = *state_;
  const std::lock_guard lock(s.changing);
  if (!request.name.empty()) {
    MOORED_TRY(const auto names, choose_names({}, request.name));
  }
  // An archive is unpacked here before it is understood; it goes whatever becomes of the
  // import.
  const auto scratch = make_scratch_name(s.options.directory + "/ingest");
  auto found = take_in(request.path, scratch, request.name, s.blobs, *s.unpacker, s.options.limits);
  const auto cleared = remove_tree(scratch);
  std::vector<ImageReport> out;
  auto status = [&]() -> Status {
    if (!found) return Unexpected(found.error());
    if (!cleared) return Unexpected(cleared.error());
    for (const auto& image : *found) {
      MOORED_TRY(const auto names, choose_names(image, request.name));
      MOORED_TRY(auto report, s.install(image, names, request));
      out.push_back(std::move(report));
    }
    return {};
  }();
  if (!status) {
    // What was copied for it goes; a damaged older image keeps the sweep from knowing what may.
    if (const auto marks = s.mark()) MOORED_CHECK(s.sweep_blobs(*marks));
    return Unexpected(std::move(status).error());
  }
  return out;
}

Result<std::int64_t> ContentStore::collect_garbage(const std::vector<std::string>& layers_in_use) {
  const std::lock_guard lock(state_->changing);
  return state_->collect(layers_in_use);
}

// ---- for what comes from registries ----

void ContentStore::Lease::keep(const std::string& digest) {
  digests_.push_back(digest);
  store_.state_->leases.with([&](auto& held) { ++held[digest]; });
}

ContentStore::Lease::~Lease() {
  store_.state_->leases.with([&](auto& held) {
    for (const auto& digest : digests_) {
      if (--held[digest] == 0) held.erase(digest);
    }
  });
}

const BlobStore& ContentStore::blobs() const { return state_->blobs; }

Result<ImageReport> ContentStore::adopt(const std::string& name,
                                        const std::string& manifest_digest) {
  const std::lock_guard lock(state_->changing);
  return state_->install({{}, manifest_digest}, {name}, {}, NameRecord::Origin::pulled);
}

Status ContentStore::sweep() {
  const std::lock_guard lock(state_->changing);
  MOORED_TRY(const auto marks, state_->mark());
  MOORED_TRY(const auto freed, state_->sweep_blobs(marks));
  static_cast<void>(freed);
  return {};
}

Result<ContentStore::Room> ContentStore::make_room(const RoomRequest& request) {
  auto& s = *state_;
  const std::lock_guard lock(s.changing);
  std::set<std::string> used;
  std::vector<std::string> layers;
  for (const auto& reference : request.in_use) {
    const auto image = find(reference);
    if (!image) continue;  // not here, or not yet
    used.insert(image->digest);
    layers.insert(layers.end(), image->layers.begin(), image->layers.end());
  }
  Room room;
  const auto sweep_all = [&]() -> Status {
    MOORED_TRY(const auto marks, s.mark());
    MOORED_TRY(const auto blobs, s.sweep_blobs(marks));
    MOORED_TRY(const auto freed, s.layers.keep_only(marks.chains, layers));
    room.bytes += blobs + freed;
    return {};
  };
  MOORED_CHECK(s.forget_replaced(layers));
  MOORED_CHECK(sweep_all());
  MOORED_TRY(const auto unused, s.find_unused(request, used));
  for (const auto& record : unused) {
    if (room.bytes >= request.bytes) break;
    MOORED_CHECK(s.forget(record));
    room.given_up.push_back(record.name);
    MOORED_CHECK(sweep_all());
  }
  return room;
}

// The time of the file is enough, and costs no write that anybody waits for.
void ContentStore::touch(const ImageReport& image) {
  if (utimensat(AT_FDCWD, state_->record_path(image.name).c_str(), nullptr, 0) == 0) return;
  log(LogLevel::warning, "the use of an image is not remembered", {{"image", image.name}});
}

Result<std::vector<std::string>> ContentStore::remove(
    const std::string& reference, const std::vector<std::string>& layers_in_use) {
  auto& s = *state_;
  const std::lock_guard lock(s.changing);
  std::vector<std::string> removed;
  MOORED_TRY(const auto records, s.read_records());
  MOORED_TRY(const auto name, parse_reference(reference));
  for (const auto& record : records) {
    const bool meant =
        name.digest.empty() ? record.name == name.text() : record.digest == name.digest;
    if (!meant) continue;
    MOORED_CHECK(s.forget(record));
    removed.push_back(record.name);
  }
  if (removed.empty()) return not_present(reference);
  MOORED_TRY(const auto freed, s.collect(layers_in_use));
  static_cast<void>(freed);
  return removed;
}

}  // namespace moored::image
